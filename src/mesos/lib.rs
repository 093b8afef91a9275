//! The Mesos v1 HTTP APIs as bytes: the protobuf messages of executors and of schedulers, the RecordIO framing, and durations in text.
//!
//! Pure, and without any knowledge of what an executor or a scheduler does with them.

pub mod duration;
pub mod messages;
pub mod recordio;
pub mod scheduler;

//! The Mesos v1 HTTP API as bytes: the protobuf messages, the RecordIO framing, and durations in text.
//!
//! Pure, and without any knowledge of what an executor or a scheduler does with them.

pub mod duration;
pub mod messages;
pub mod recordio;

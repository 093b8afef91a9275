//! HTTP/1.1 framing, for both ends: the task API reads requests with it, the Mesos client responses.
//!
//! Pure bytes, no I/O. `head`, `fields` and `body` decide where a message ends, with a bound on everything;
//! `h1` makes requests of what they have let through, and is the one door to async-h1, which only writes.

pub mod alarm;
pub mod body;
mod error;
mod fields;
pub mod h1;
pub mod head;
pub mod stream;

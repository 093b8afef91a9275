//! Bytes in, the core's words out, and back: pure, no I/O.

pub mod api;
pub mod json;
pub mod mesos;
pub mod results;
pub mod slip;
pub mod tracking;

//! Conversion between bytes and the core's types. Pure, without I/O.

pub mod api;
pub mod json;
pub mod mesos;
pub mod results;
pub mod slip;
pub mod tracking;

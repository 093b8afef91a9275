//! The executor's side of the Mesos v1 executor API: decoding events, encoding calls, and parsing jobs.

pub mod arguments;
pub mod call;
pub mod checks;
pub mod cook;
pub mod event;
pub mod job;
pub mod place;

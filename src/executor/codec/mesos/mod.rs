//! The executor's half of the Mesos v1 executor API: what events mean, how calls are written, what a job is.

pub mod arguments;
pub mod call;
pub mod checks;
pub mod cook;
pub mod event;
pub mod job;

//! cook-executor: a Mesos executor in one small static file.

pub mod api;
pub mod core;
pub mod http;
pub mod mesos;
pub mod outcome;
pub mod units;

//! The Mesos v1 executor API.

pub mod messages;
pub mod recordio;

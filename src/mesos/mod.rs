//! The Mesos v1 executor API.
//!
//! `messages`, `recordio`, `event`, `call`, `job` and `cook` turn bytes into the core's words and back;
//! `address` and `agent` carry the bytes.

pub mod address;
pub mod agent;
pub mod call;
pub mod cook;
pub mod event;
pub mod job;
pub mod messages;
pub mod recordio;

//! The task API: requests read, replies written.

pub mod patch;
pub mod refusal;
pub mod request;
pub mod response;

//! The task API: parsing requests, and encoding responses.

pub mod patch;
pub mod refusal;
pub mod request;
pub mod response;

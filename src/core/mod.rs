//! The core: every decision, and nothing else.

pub mod environment;
pub mod request;

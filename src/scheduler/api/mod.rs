//! The HTTP API: who may ask, what is asked, what is answered.

pub mod basic;
pub mod browser;
pub mod files;
pub mod response;

//! Conversion of text to values and back: the configuration, requests, replies. Pure functions; nothing
//! here reads a file.

pub mod calendar;
pub mod config;
pub mod edn;
pub mod fault;
pub mod job;
pub mod json;
pub mod pattern;
pub mod query;
pub mod reply;
pub mod suggest;
pub mod task;

//! The program around the core: its configuration and its only loop.

pub mod config;
pub mod runtime;

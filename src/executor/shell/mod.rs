//! The program around the core: its settings, and the one loop.

pub mod config;
pub mod runtime;

//! The program around the core: arguments, the loop, signals, the log.

pub mod options;

//! The program around the core: arguments, the loop, signals, the log.

pub mod alarm;
pub mod clock;
pub mod log;
pub mod machine;
pub mod options;
pub mod setup;

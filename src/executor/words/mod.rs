//! The basic types that all other layers use. They need only the standard library.

pub mod outcome;
pub mod sweep;
pub mod units;

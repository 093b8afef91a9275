//! The words that everything else is written in; they use the standard library only.

pub mod outcome;
pub mod sweep;
pub mod units;

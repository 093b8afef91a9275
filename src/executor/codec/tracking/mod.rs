//! Progress in a task's output: how bytes become lines, and what a line reports.

pub mod escapes;
pub mod lines;
pub mod pattern;

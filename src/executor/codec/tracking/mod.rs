//! Progress in a task's output: how bytes become lines, and what a line reports.

pub mod lines;
pub mod pattern;

//! Progress in a task's output: splitting it into lines, and finding progress in a line.

pub mod escapes;
pub mod lines;
pub mod pattern;

//! The executor with the released Cook scheduler: the variables that it sets, what its jobs expect, and
//! what it accepts from executors.

#[path = "../support/mod.rs"]
mod support;

mod bars;
mod environment;
mod progress;
mod scheduler;
mod stale;

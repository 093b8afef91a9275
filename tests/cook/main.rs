//! Under the released Cook scheduler: what it sets, what its jobs expect, and what it takes back.

#[path = "../support/mod.rs"]
mod support;

mod bars;
mod environment;
mod progress;
mod scheduler;
mod stale;

//! The life of a task: the order of its commands, how it is stopped, what it leaves behind, what is
//! refused, and what happens if the machine has too few resources.

#[path = "../support/mod.rs"]
mod support;

mod environment;
mod hooks;
mod kill;
mod leftovers;
mod limits;
mod log;
mod orphans;
mod refusals;
mod sequence;
mod signals;
mod sources;
mod timeline;

//! The life of a task: what runs in which order, how it is killed, what it leaves behind, what is refused, and
//! what happens when the machine has too little of something.

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

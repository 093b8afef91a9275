//! The core: every decision, and nothing else.
//!
//! One function, [`executor::Executor::step`], takes an event and the time and gives effects. Here is
//! no I/O, no clock, no randomness, no async code and no logging; the world around carries events in
//! and effects out, and decides nothing.

pub mod checks;
pub mod effect;
pub mod environment;
pub mod event;
pub mod executor;
pub mod lifecycle;
pub mod outbox;
pub mod plan;
pub mod progress;
pub mod proxies;
pub mod request;
pub mod session;
mod step;
pub mod variables;

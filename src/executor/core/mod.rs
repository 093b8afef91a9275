//! The core: every decision, and nothing else.
//!
//! [`executor::Executor::step`] takes an event and the time, and returns effects. There is no I/O, clock,
//! randomness, async code or logging in the core. The outer layers turn what happens into events and
//! perform the effects, and decide nothing.

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

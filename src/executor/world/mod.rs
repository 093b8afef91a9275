//! Sockets, processes, files and clocks: turns what happens to them into events, and performs effects.

pub mod address;
pub mod agent;
pub mod api;
pub mod checks;
pub mod client;
pub mod inbox;
pub mod log;
pub mod memory;
pub mod process;
pub mod program;
pub mod random;
mod recognition;
pub mod regular;
pub mod stdio;
pub mod tracking;
pub mod users;

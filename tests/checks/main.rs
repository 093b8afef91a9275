//! Checks and health checks, and other things that frameworks expect of the command executor: each row of
//! the documented tables, with the test agent.

#[path = "../support/mod.rs"]
mod support;

mod common;
mod general;
mod health;
mod http;
mod marathon;
mod plain;
mod processes;
mod refusals;
mod schedule;
mod server;

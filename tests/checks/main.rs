//! Checks and health checks, and what else a framework expects of the command executor: each row of what they
//! promise, against the scripted agent.

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

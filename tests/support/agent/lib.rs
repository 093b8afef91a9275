//! The agent that judges the executor: it speaks the agent's half of the executor API on loopback, injects
//! faults, writes down everything that happened, and checks every call against the protocol.
//!
//! Threads and blocking sockets on purpose: only the protobuf schema and the record framing are
//! shared with the executor, so that its HTTP is judged by other code than its own.

pub mod agent;
pub mod census;
pub mod connection;
pub mod events;
pub mod http;
pub mod journal;
pub mod launch;
pub mod script;
mod server;
pub mod session;
pub mod stream;
pub mod validate;

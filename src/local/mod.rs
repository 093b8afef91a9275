//! The developer's side: everything that is needed to run the executor without Mesos.
//!
//! An embedded [`agent::Agent`] speaks the agent's half of the executor API on loopback,
//! [`launch`] starts the executor as an agent would, [`job`] reads a job file, and [`show`] prints
//! what happens. `cook-local` is these four in a row; the integration tests script the same agent.
//! Threads and blocking sockets on purpose: only the protobuf schema and the record framing are
//! shared with the executor, so that its HTTP is judged by other code than its own.

pub mod agent;
pub mod census;
pub mod connection;
pub mod events;
pub mod http;
pub mod job;
pub mod journal;
pub mod launch;
pub mod script;
mod server;
pub mod session;
pub mod show;
pub mod stream;
pub mod validate;

//! A Mesos master for tests of the scheduler. It serves the v1 scheduler API on loopback, has agents that
//! exist only in its memory, injects faults, records everything that happens, and checks every call against
//! the protocol.
//!
//! Like the test agent, whose sockets and HTTP it uses, it has threads and blocking sockets on purpose: it
//! shares only the protobuf messages and RecordIO with the scheduler.
//!
//! * [`master`]: the handle with which tests control and inspect it.
//! * [`session`]: the response to each call.
//! * [`cluster`]: agents, offers and tasks, and reconciliation.
//! * [`validate`]: the calls that a master refuses.
//! * [`script`]: how it behaves differently from a healthy master.
//! * [`journal`]: what has happened.

pub mod cluster;
pub mod events;
pub mod journal;
pub mod master;
pub mod script;
mod server;
pub mod session;
pub mod validate;

pub use master::{Heartbeats, Master};

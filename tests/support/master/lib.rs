//! The master that judges the scheduler: it speaks the master's half of the v1 scheduler API on loopback, with
//! agents that exist only in its mind, injects faults, writes down everything that happened, and checks every
//! call against the protocol.
//!
//! Threads and blocking sockets on purpose, as in the scripted agent, whose sockets and HTTP it uses: only the
//! protobuf schema and the record framing are shared with the scheduler.
//!
//! * [`master`]: the handle that tests drive and question.
//! * [`session`]: how each call is answered.
//! * [`cluster`]: agents, offers and tasks; what a reconciliation is answered.
//! * [`validate`]: what a master refuses.
//! * [`script`]: what it does otherwise than a healthy master.
//! * [`journal`]: what happened.

pub mod cluster;
pub mod events;
pub mod journal;
pub mod master;
pub mod script;
mod server;
pub mod session;
pub mod validate;

pub use master::{Heartbeats, Master};

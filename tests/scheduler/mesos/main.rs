//! `cook-scheduler --master` against a scripted master: the built program, its HTTP API on one side, the master's
//! calls and events on the other. Agents exist in the master's mind only; what a real one does is tested under
//! `tests/mesos`.

#![allow(clippy::disallowed_methods, reason = "tests may wait")]

mod bytes;
mod ends;
mod faults;
mod launch;
#[path = "../api/server.rs"]
#[allow(dead_code, reason = "this program uses another part of it")]
mod server;
mod stage;
mod subscription;
mod updates;

//! `cook-scheduler --master` with a scripted master: tests of the built program through its HTTP API and the calls
//! that the master receives. There are no agents; the tests send their updates. `tests/mesos` tests the scheduler
//! with a real Mesos.

#![allow(clippy::disallowed_methods, reason = "tests may wait")]

mod bytes;
mod ends;
mod faults;
mod launch;
#[path = "../api/server.rs"]
#[allow(dead_code, reason = "this program uses another part of it")]
mod server;
mod stage;
mod stream;
mod subscription;
mod updates;

//! The part of the Mesos v1 protobuf schema that a scheduler needs, written by hand: calls and events of
//! `/api/v1/scheduler`, and the tasks, executors and offers in them.
//!
//! Field numbers come from `include/mesos/v1/scheduler/scheduler.proto` and `include/mesos/v1/mesos.proto`
//! of Mesos 1.11. Some types have the same name as a type in [`crate::messages`]: an executor reads fewer
//! fields than a scheduler writes, and an executor that knows only those is smaller. As there, unknown
//! fields are skipped, and text written by users is declared as bytes. Enumerations that a later Mesos may
//! extend are numbers in the messages; the enumerations here name the known values.

#![allow(
    missing_docs,
    reason = "the names and meanings are those of the .proto files"
)]

mod calls;
mod events;
mod tasks;

pub use calls::*;
pub use events::*;
pub use tasks::*;

//! A small Mesos agent for one machine. It starts executors, speaks the v1 executor API with them over a unix
//! domain socket, and finds them again after a restart of its own process.
//!
//! It is a library: the program that uses it is the framework. [`agent::Agent`] takes commands, and a
//! channel of [`notice::Notice`]s tells what happens. There is one thread, the program's own.
//!
//! | module | what it is |
//! |---|---|
//! | [`core`] | every decision: one function from (state, event, now) to (state, effects); pure |
//! | [`spec`] | what to start |
//! | [`notice`] | what the program is told |
//! | [`record`] | what is written down of a container, for the next process of the agent |
//! | [`server`] | the executor API: which process may speak for which executor |
//! | [`launch`], [`helper`], [`environment`], [`limits`] | the start of an executor |
//! | [`fetch`] | files for the sandbox |
//! | [`process`], [`sweep`], [`cgroup`] | processes: who they are, and how all of a container's are ended |
//! | [`agent`] | the shell around the core |
//!
//! # What survives what
//!
//! | event | what becomes of an executor and its task |
//! |---|---|
//! | the agent's process ends, in any way | They go on. The next process finds the record and the executor subscribes again, with every update that nobody has acknowledged. |
//! | the executor is killed | All that it leaves behind is ended. Only then is the task reported as ended. |
//! | both, in any order | As before: the record says what to end. |
//! | the machine restarts | The record has another boot id: nothing is signalled, and the task is reported as ended. |
//!
//! Records are not synced to the disk: what a power failure takes of them, it has taken of the executors too.

pub mod agent;
pub mod cgroup;
pub mod core;
pub mod environment;
pub mod fetch;
pub mod helper;
pub mod launch;
pub mod limits;
pub mod notice;
pub mod process;
pub mod record;
pub mod server;
pub mod spec;
pub mod sweep;

//! The core makes all decisions. It does no input or output and reads no clock.
//!
//! [`Scheduler::step`] turns an [`event`] into [`effect`]s; [`view`] answers queries. `words` holds
//! small checked types, `job` the records of jobs and instances, `request` the changes that clients ask
//! for, and `backend` the interface to the backends.

pub mod backend;
pub mod effect;
pub mod event;
pub mod job;
pub mod request;
mod scheduler;
pub mod settings;
pub mod words;

pub use scheduler::{Archived, Found, Scheduler, Start, view};

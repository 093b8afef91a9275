//! What goes to an executor with a job, and what comes back. The same for all backends.

mod launch;
mod status;

pub use launch::{data, environment, executor_data, name};
pub use status::{note, reason, report, state};

//! The data that an executor gets with its task, and the data that it reports. The same for all
//! backends.

mod launch;
mod status;

pub use launch::{data, environment, executor_data, name};
pub use status::{framework_message, reason, report, state};

//! What is known of jobs, their instances and groups.

mod group;
mod instance;
mod reason;
mod record;
mod spec;

pub use group::{Group, GroupName};
pub use instance::{Agent, End, Instance, InstanceState, Outcome, Place, Report, Tally};
pub use reason::{FailureLimit, Reason};
pub use record::{Job, JobKey, JobStatus, Verdict};
pub use spec::{
    Application, Constraint, JobSpec, Priority, Retries, Runtime, Uri, UriUse, Variable,
};

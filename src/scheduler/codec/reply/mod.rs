//! Replies: jobs, instances and groups in JSON, in Cook's format with the additional keys for hooks.
//!
//! Unknown values are left out and never `null`, because Cook's clients fail on `null`. The only
//! exceptions are an instance's arrays of exit codes, which are indexed by command.

mod instance;
mod job;
mod spec;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

use crate::core::job::{Group, Instance, Job, JobStatus, Verdict};
use crate::core::words::{GroupId, JobId};

pub use instance::InstanceReply;
pub use job::JobReply;
pub use spec::HookReply;

/// What a reply depends on, besides the job.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// `host` or `host:port` as the client wrote it. Links to files use it, so that they work through
    /// forwarded ports.
    pub authority: &'a str,
    /// How many failures per reason do not count as attempts, for reasons that are not the job's fault.
    pub free_failures: u32,
    /// The name of the cluster that runs the jobs.
    pub cluster: &'a str,
    /// The framework's id on Mesos.
    pub framework: Option<&'a str>,
    /// The folder of the sandboxes, if they are on this machine. Each is named after its instance.
    pub sandboxes: Option<&'a Path>,
}

/// Shown instead of a framework's id if there is none, as in Cook with several clusters.
const NO_FRAMEWORK: &str = "unsupported";

/// The form of groups in a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsAs {
    /// UUIDs: `/rawscheduler`, `/list`.
    Ids,
    /// UUIDs with names: `/jobs`.
    Names,
}

/// `{"uuid", "name"}` of a group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupName<'a> {
    uuid: String,
    name: &'a str,
}

/// An element of `GET /group`.
#[derive(Debug, Serialize)]
pub struct GroupReply<'a> {
    #[serde(flatten)]
    group: GroupName<'a>,
    host_placement: Policy,
    straggler_handling: Policy,
    jobs: Vec<String>,
    #[serde(flatten)]
    counts: Option<GroupCounts>,
}

#[derive(Debug, Serialize)]
struct Policy {
    r#type: &'static str,
}

/// The number of jobs of a group by status (`detailed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupCounts {
    /// Waiting jobs.
    pub waiting: usize,
    /// Running jobs.
    pub running: usize,
    /// Completed jobs.
    pub completed: usize,
}

/// The job of an instance, in `GET /instances`.
#[derive(Debug, Serialize)]
pub struct JobOfInstance<'a> {
    uuid: String,
    name: &'a str,
    status: &'static str,
    state: &'static str,
    user: &'a str,
}

/// An element of `GET /instances`.
#[derive(Debug, Serialize)]
pub struct InstanceWithJob<'a> {
    #[serde(flatten)]
    instance: InstanceReply<'a>,
    job: JobOfInstance<'a>,
}

impl<'a> Context<'a> {
    fn framework_id(&self) -> &'a str {
        self.framework.unwrap_or(NO_FRAMEWORK)
    }
}

impl<'a> GroupName<'a> {
    /// From a group.
    pub fn new(group: &'a Group) -> Self {
        Self {
            uuid: group.id.to_string(),
            name: group.name.as_str(),
        }
    }

    /// From a UUID alone, when the group's name is unknown.
    pub fn unnamed(id: GroupId) -> Self {
        Self {
            uuid: id.to_string(),
            name: "",
        }
    }
}

impl<'a> GroupReply<'a> {
    /// Converts a group and its jobs.
    pub fn new(group: &'a Group, jobs: &[JobId], counts: Option<GroupCounts>) -> Self {
        Self {
            group: GroupName::new(group),
            host_placement: Policy { r#type: "all" },
            straggler_handling: Policy { r#type: "none" },
            jobs: jobs.iter().map(JobId::to_string).collect(),
            counts,
        }
    }
}

impl<'a> InstanceWithJob<'a> {
    /// Converts an instance and its job.
    pub fn new(job: &'a Job, instance: &'a Instance, context: &Context<'a>) -> Self {
        Self {
            instance: InstanceReply::new(job, instance, context),
            job: JobOfInstance {
                uuid: job.id.to_string(),
                name: job.spec.name.as_str(),
                status: status(job.status),
                state: state(job.status),
                user: job.user.as_str(),
            },
        }
    }
}

/// The `status` of a job.
pub fn status(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Waiting => "waiting",
        JobStatus::Running => "running",
        JobStatus::Completed { .. } => "completed",
    }
}

/// The `state` of a job.
pub fn state(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Waiting => "waiting",
        JobStatus::Running => "running",
        JobStatus::Completed { verdict, .. } => match verdict {
            Verdict::Success => "success",
            Verdict::Failed | Verdict::Killed => "failed",
        },
    }
}

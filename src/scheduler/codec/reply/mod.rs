//! What clients read: jobs, instances and groups as JSON, in Cook's shape with the document's keys.
//!
//! What is not known is absent, never `null`: Cook's clients fall over nulls. The exceptions are an
//! instance's arrays of exit codes, which keep the places of their commands.

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

/// What a reply depends on besides the job.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// How the client calls us: `host` or `host:port`. Links to files go there, through forwarded ports too.
    pub authority: &'a str,
    /// Failures that are not the job's own fault and cost no attempt, for each reason.
    pub free_failures: u32,
    /// What runs the jobs.
    pub cluster: &'a Cluster,
    /// Where the sandboxes are, each under the name of its instance, if this machine has them.
    pub sandboxes: Option<&'a Path>,
}

/// What runs the jobs, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The framework's id.
    pub framework_id: String,
}

/// How the groups of a job are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsAs {
    /// By uuid: `/rawscheduler`, `/list`.
    Ids,
    /// With their names: `/jobs`.
    Names,
}

/// `{"uuid", "name"}` of a group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupName<'a> {
    uuid: String,
    name: &'a str,
}

/// One element of `GET /group`.
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

/// How many jobs of a group are how far (`detailed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupCounts {
    /// That wait.
    pub waiting: usize,
    /// That run.
    pub running: usize,
    /// That are completed.
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

/// One element of `GET /instances`.
#[derive(Debug, Serialize)]
pub struct InstanceWithJob<'a> {
    #[serde(flatten)]
    instance: InstanceReply<'a>,
    job: JobOfInstance<'a>,
}

impl<'a> GroupName<'a> {
    /// Of a group.
    pub fn new(group: &'a Group) -> Self {
        Self {
            uuid: group.id.to_string(),
            name: group.name.as_str(),
        }
    }

    /// Of a group that is known by its uuid alone.
    pub fn unnamed(id: GroupId) -> Self {
        Self {
            uuid: id.to_string(),
            name: "",
        }
    }
}

impl<'a> GroupReply<'a> {
    /// A group and its jobs.
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
    /// An instance and its job.
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

/// `status` of a job.
pub fn status(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Waiting => "waiting",
        JobStatus::Running => "running",
        JobStatus::Completed { .. } => "completed",
    }
}

/// `state` of a job.
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

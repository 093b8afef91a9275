//! Jobs for unit tests.

use std::sync::Arc;

use super::{Endpoint, read};
use crate::core::job::{Job, JobKey, JobSpec, JobStatus};
use crate::core::words::{JobId, Moment, UserName, Uuid};

/// The job that a body of one job submits.
pub fn spec(body: &str) -> JobSpec {
    match read(Endpoint::Jobs, body.as_bytes()) {
        Ok(batch) => batch.jobs.into_iter().next().expect("one").spec,
        Err(fault) => panic!("{body}: {fault}"),
    }
}

/// A running job of this user, without instances.
pub fn job(user: &str, spec: JobSpec) -> Job {
    Job {
        key: JobKey(1),
        id: JobId(Uuid::from_bytes([1; 16])),
        user: UserName::new(user).expect("a name"),
        submitted: Moment::default(),
        max_retries: spec.max_retries,
        spec: Arc::new(spec),
        status: JobStatus::Running,
        instances: Vec::new(),
    }
}

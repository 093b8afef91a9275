//! A job and what has become of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::{Instance, Outcome, Tally};
use super::reason::{FailureLimit, Reason};
use super::spec::{JobSpec, Retries};
use crate::core::words::{JobId, Moment, UserName};

/// The number of a job: jobs are numbered as they are accepted, so numbers are the order of submission,
/// whatever the clocks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub u64);

/// A job and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its number.
    pub key: JobKey,
    /// Its name for clients.
    pub id: JobId,
    /// Whose it is.
    pub user: UserName,
    /// When it was accepted.
    pub submitted: Moment,
    /// As it was submitted.
    pub spec: Arc<JobSpec>,
    /// How far it is.
    pub status: JobStatus,
    /// How often it may be tried in total.
    pub max_retries: Retries,
    /// Every attempt, the oldest first.
    pub instances: Vec<Arc<Instance>>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// It will be started. A killed job that is retried waits also while its old instance ends.
    Waiting,
    /// It has an instance that has not ended.
    Running,
    /// Nothing more will be started, unless a client retries it.
    Completed {
        /// Since when.
        at: Moment,
        /// How it went.
        verdict: Verdict,
    },
}

/// How a job went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An instance succeeded.
    Success,
    /// None did, and the attempts are used up.
    Failed,
    /// A client has killed it.
    Killed,
}

impl Job {
    /// The newest attempt.
    pub fn newest(&self) -> Option<&Arc<Instance>> {
        self.instances.last()
    }

    /// The attempt that has not ended; there is never more than one.
    pub fn live(&self) -> Option<&Arc<Instance>> {
        self.instances
            .iter()
            .rev()
            .find(|instance| !instance.is_ended())
    }

    /// A copy in which the newest instance is this one.
    #[must_use]
    pub fn with_newest(&self, instance: Instance) -> Self {
        let mut job = self.clone();
        if let Some(newest) = job.instances.last_mut() {
            *newest = Arc::new(instance);
        }
        job
    }

    /// It is completed.
    pub fn is_completed(&self) -> bool {
        match self.status {
            JobStatus::Waiting | JobStatus::Running => false,
            JobStatus::Completed { .. } => true,
        }
    }

    /// How many attempts are used up. `free` is the operator's limit for failures that are not the
    /// job's own fault.
    pub fn tally(&self, free: u32) -> Tally {
        let mut counted = 0_u32;
        let mut by_reason = BTreeMap::<Reason, u32>::new();
        for end in self.instances.iter().filter_map(|instance| instance.end()) {
            match end.outcome {
                Outcome::Success => counted = counted.saturating_add(1),
                Outcome::Failed(reason) => *by_reason.entry(reason).or_default() += 1,
            }
        }
        for (reason, count) in by_reason {
            let allowance = match (self.spec.counts_all_failures, reason.limit()) {
                (true, _) | (false, FailureLimit::Counts) => 0,
                (false, FailureLimit::Free) => free,
                (false, FailureLimit::FreeTimes(times)) => times,
            };
            counted = counted.saturating_add(count.saturating_sub(allowance));
        }
        Tally { used: counted }
    }

    /// `max_retries` less what is used up.
    pub fn retries_remaining(&self, free: u32) -> u32 {
        self.max_retries.get().saturating_sub(self.tally(free).used)
    }
}

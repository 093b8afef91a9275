//! A job with its state and its instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::{Instance, Outcome, Tally};
use super::reason::{FailureLimit, Reason};
use super::spec::{JobSpec, Retries};
use crate::core::words::{JobId, Moment, UserName};

/// The number of a job. Jobs are numbered in the order in which they are accepted, independently of any
/// clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub u64);

/// A job with its state and its instances.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its number.
    pub key: JobKey,
    /// Its UUID.
    pub id: JobId,
    /// Its owner.
    pub user: UserName,
    /// When it was accepted.
    pub submitted: Moment,
    /// As it was submitted.
    pub spec: Arc<JobSpec>,
    /// Its state.
    pub status: JobStatus,
    /// How many attempts it has in total.
    pub max_retries: Retries,
    /// All instances, the oldest first.
    pub instances: Vec<Arc<Instance>>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// It waits to be started. A killed job that was retried is in this state also while its previous
    /// instance ends.
    Waiting,
    /// It has an instance that has not ended.
    Running,
    /// It will not be started again, unless a client retries it.
    Completed {
        /// When it was completed.
        at: Moment,
        /// The result.
        verdict: Verdict,
    },
}

/// The result of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An instance succeeded.
    Success,
    /// No instance succeeded, and all attempts are used.
    Failed,
    /// A client killed it.
    Killed,
}

impl Job {
    /// The newest instance.
    pub fn newest(&self) -> Option<&Arc<Instance>> {
        self.instances.last()
    }

    /// The instance that has not ended; there is at most one.
    pub fn live(&self) -> Option<&Arc<Instance>> {
        self.instances
            .iter()
            .rev()
            .find(|instance| !instance.is_ended())
    }

    /// A copy of the job with its newest instance replaced.
    #[must_use]
    pub fn with_newest(&self, instance: Instance) -> Self {
        let mut job = self.clone();
        if let Some(newest) = job.instances.last_mut() {
            *newest = Arc::new(instance);
        }
        job
    }

    /// Whether it is completed.
    pub fn is_completed(&self) -> bool {
        match self.status {
            JobStatus::Waiting | JobStatus::Running => false,
            JobStatus::Completed { .. } => true,
        }
    }

    /// How many attempts are used. `free` is the operator's limit for failures that are not the job's
    /// fault.
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

    /// `max_retries` minus the attempts used.
    pub fn retries_remaining(&self, free: u32) -> u32 {
        self.max_retries.get().saturating_sub(self.tally(free).used)
    }
}

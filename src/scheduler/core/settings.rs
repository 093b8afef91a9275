//! The operator's settings and those of the backend.

use std::time::Duration;

use crate::core::job::Runtime;

/// The settings of the core; they do not change while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How many failures per reason do not count as attempts, for reasons that are not the job's fault
    /// (`:mea-culpa-failure-limit`).
    pub free_failures: u32,
    /// How long any instance may run (`:timeout-hours`); `None` for no limit.
    pub max_runtime: Option<Runtime>,
    /// How long completed jobs are kept.
    pub keep_for: Duration,
    /// How many completed jobs are kept.
    pub keep_count: usize,
    /// How many jobs may be unfinished. Each takes about a kilobyte of memory.
    pub unfinished_limit: usize,
    /// How long an instance may be unreachable before it is given up.
    pub unreachable_timeout: Duration,
    /// How often to reconcile all tasks; `None` if the backend cannot forget any.
    pub reconcile_every: Option<Duration>,
    /// The minimum time between two [`Call::Revive`](crate::core::backend::Call::Revive).
    pub revive_every: Duration,
    /// How long after the first kill the executor is shut down; `None` for never.
    pub shutdown_after: Option<Duration>,
    /// Random: makes the instance ids of this run differ from those of all others.
    pub id_seed: [u8; 16],
}

impl Settings {
    /// For the embedded agent, which forgets nothing and answers at once.
    pub fn embedded(id_seed: [u8; 16]) -> Self {
        Self {
            free_failures: 5,
            max_runtime: None,
            keep_for: Duration::from_secs(7 * 24 * 60 * 60),
            keep_count: 100_000,
            unfinished_limit: 1_000_000,
            unreachable_timeout: Duration::from_secs(10 * 60),
            reconcile_every: None,
            revive_every: Duration::ZERO,
            shutdown_after: None,
            id_seed,
        }
    }

    /// For a Mesos master, which may be slow and may forget tasks. REVIVE is sent at most once in a few
    /// seconds, because it makes the master offer declined resources again.
    pub fn mesos(id_seed: [u8; 16]) -> Self {
        Self {
            reconcile_every: Some(Duration::from_secs(15 * 60)),
            revive_every: Duration::from_secs(5),
            shutdown_after: Some(Duration::from_secs(10 * 60)),
            ..Self::embedded(id_seed)
        }
    }
}

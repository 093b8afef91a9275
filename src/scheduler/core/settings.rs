//! What the operator decides, and what the backend wants.

use std::time::Duration;

use crate::core::job::Runtime;

/// What the core has to know before anything happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How often a failure that is not the job's own fault is free, per reason
    /// (`:mea-culpa-failure-limit`).
    pub free_failures: u32,
    /// How long any instance may run (`:timeout-hours`), if that is limited.
    pub max_runtime: Option<Runtime>,
    /// How long completed jobs are kept.
    pub keep_for: Duration,
    /// How many completed jobs are kept.
    pub keep_count: usize,
    /// How many jobs may be unfinished. Each takes about a kilobyte of memory.
    pub unfinished_limit: usize,
    /// How long an instance may be unreachable before it is written off.
    pub unreachable_timeout: Duration,
    /// How often the backend is asked for the state of everything; never if it cannot forget.
    pub reconcile_every: Option<Duration>,
    /// The least time between two [`Call::Revive`](crate::core::face::Call::Revive).
    pub revive_every: Duration,
    /// How long to ask an instance to end before its executor is ended, if it is.
    pub shutdown_after: Option<Duration>,
    /// Makes the names of this run's instances differ from all others: random.
    pub id_seed: [u8; 16],
}

impl Settings {
    /// For an agent inside this program, which forgets nothing and answers at once.
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

    /// For a Mesos master, which is far away and forgets: one REVIVE in some seconds, since each makes
    /// the master forget what every other framework has declined as well.
    pub fn mesos(id_seed: [u8; 16]) -> Self {
        Self {
            reconcile_every: Some(Duration::from_secs(15 * 60)),
            revive_every: Duration::from_secs(5),
            shutdown_after: Some(Duration::from_secs(10 * 60)),
            ..Self::embedded(id_seed)
        }
    }
}

//! What the program that uses the agent is told.

use std::fmt;

use cook_mesos::messages::{EventType, TaskStatus};

/// Something that has happened to an executor.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Which executor.
    pub executor_id: String,
    /// What happened.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The executor's process runs.
    Started {
        /// Its id.
        pid: i32,
    },
    /// The executor has subscribed, for the first time or again.
    Subscribed,
    /// The task has a new state. It is told again until it is acknowledged.
    Updated(Box<TaskStatus>),
    /// The executor says something to the framework.
    Message(Vec<u8>),
    /// An event went to the executor.
    Sent(EventType),
    /// The executor's process has ended; by which exit code is known if it was our child and no signal ended it.
    Exited(Option<i32>),
    /// The task has ended without a terminal update of the executor's, and nothing of it is left. It is told again
    /// until it is acknowledged.
    Lost {
        /// Why.
        cause: Cause,
        /// What to acknowledge it by.
        uuid: [u8; 16],
    },
    /// The executor has ended, but processes of it cannot be ended, so that its end cannot be told yet.
    Stuck(String),
    /// Everything is over and acknowledged; the agent has forgotten the executor.
    Forgotten,
}

/// Why a task has ended without a word of its executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its sandbox or the executor's process could not be made.
    LaunchFailed(String),
    /// A kill came before the task was handed over.
    KilledDuringLaunch,
    /// The executor did not subscribe in time.
    NotSubscribed,
    /// The executor ended, or was killed.
    Terminated,
    /// The kernel ended processes of it: its memory limit was reached.
    MemoryLimit,
    /// It was ended by [`crate::agent::Agent::destroy`], or because a shutdown took too long.
    Destroyed,
}

// === impl Cause ===

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LaunchFailed(text) => write!(f, "Failed to launch container: {text}"),
            Self::KilledDuringLaunch => f.write_str("Killed before delivery to the executor"),
            Self::NotSubscribed => f.write_str("Executor did not register in time"),
            Self::Terminated => f.write_str("Executor terminated"),
            Self::MemoryLimit => f.write_str("Memory limit exceeded"),
            Self::Destroyed => f.write_str("Executor was shut down and did not end in time"),
        }
    }
}

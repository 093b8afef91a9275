//! What the agent reports to the program that uses it.

use std::fmt;

use cook_mesos::messages::{EventType, TaskStatus};

/// Something that happened to an executor.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The executor.
    pub executor_id: String,
    /// What happened.
    pub what: What,
}

/// The kinds of notices.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The executor's process was started.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// The executor has subscribed, for the first time or again.
    Subscribed,
    /// The executor sent a status update. Repeated until it is acknowledged.
    Updated(Box<TaskStatus>),
    /// The executor sent a message to the framework.
    Message(Vec<u8>),
    /// An event was sent to the executor.
    Sent(EventType),
    /// The executor's process has ended, with this exit code; `None` if a signal ended it, or if it was not
    /// our child.
    Exited(Option<i32>),
    /// The task has ended without a terminal update of the executor, and no process of it is left. Repeated
    /// until it is acknowledged.
    Lost {
        /// The reason.
        cause: Cause,
        /// The uuid for the acknowledgement.
        uuid: [u8; 16],
    },
    /// The executor has ended, but some of its processes cannot be ended, so its end cannot be reported
    /// yet.
    Stuck(String),
    /// Everything has ended and was acknowledged; the agent has forgotten the executor.
    Forgotten,
}

/// Why a task ended without a terminal update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The sandbox could not be filled, or the executor's process not be started.
    LaunchFailed(String),
    /// A kill arrived before the executor got the task.
    KilledDuringLaunch,
    /// The executor did not subscribe in time.
    NotSubscribed,
    /// The executor ended, or was killed.
    Terminated,
    /// The kernel ended processes of it because of its memory limit.
    MemoryLimit,
    /// It was ended by [`crate::agent::Agent::destroy`], or its shutdown took too long.
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

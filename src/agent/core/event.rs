//! The events and effects of the core.

use std::path::PathBuf;
use std::time::Duration;

use cook_mesos::messages::{self, TaskInfo};

use crate::notice::Notice;
use crate::record::{Delivery, RecordedProcess};
use crate::spec::{ContainerId, Spec};

/// A point in time, counted from the agent's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

/// Number of an event stream, so that the end of an old stream is not mistaken for the end of a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamNumber(pub u64);

/// The process at the other end of a connection, as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process id.
    pub pid: i32,
}

/// Everything that can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// Start an executor.
    Launch(Box<Spec>),
    /// Take over an executor of an earlier process of the agent.
    Recovered(Box<Recovered>),
    /// Kill a task, with its grace period.
    Kill {
        /// The executor of the task.
        executor_id: String,
        /// Overrides the task's own grace period.
        grace_period: Option<Duration>,
    },
    /// Ask an executor to end, and destroy it if it does not.
    Shutdown {
        /// The executor.
        executor_id: String,
    },
    /// End an executor and all of its processes at once.
    Destroy {
        /// The executor.
        executor_id: String,
    },
    /// The program has processed an update, or the loss of a task.
    Acknowledge {
        /// The executor that sent it.
        executor_id: String,
        /// Which update.
        uuid: Vec<u8>,
    },
    /// The executor's process was started.
    Started {
        /// The executor.
        executor_id: String,
        /// Its process.
        process: RecordedProcess,
    },
    /// The sandbox could not be filled, or the process not be started.
    NotStarted {
        /// The executor.
        executor_id: String,
        /// The reason.
        text: String,
    },
    /// The executor's process has ended.
    Exited {
        /// The executor.
        executor_id: String,
        /// Its exit code; `None` if a signal ended it, or if it is not known.
        code: Option<i32>,
    },
    /// The executor's event stream was closed.
    StreamClosed {
        /// The executor.
        executor_id: String,
        /// The stream.
        stream: StreamNumber,
    },
    /// The result of [`Effect::Sweep`].
    Swept {
        /// The executor.
        executor_id: String,
        /// The processes that were found. They got SIGKILL.
        survivors: Vec<Survivor>,
        /// Whether the kernel ended a process because of the memory limit.
        out_of_memory: bool,
    },
    /// A deadline may have passed.
    Tick,
}

/// An executor of an earlier process of the agent.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The executor's id.
    pub executor_id: String,
    /// Its container.
    pub container: ContainerId,
    /// Its sandbox.
    pub sandbox: PathBuf,
    /// Its task.
    pub task: TaskInfo,
    /// `ExecutorInfo.data`.
    pub executor_data: Option<Vec<u8>>,
    /// Bytes that the program attached to it.
    pub tag: Vec<u8>,
    /// Its shutdown grace period.
    pub shutdown_grace: Duration,
    /// Whether it has got its task.
    pub delivery: Delivery,
    /// Its process, if it is alive.
    pub process: Option<RecordedProcess>,
}

/// An executor, as the program sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub executor_id: String,
    /// Bytes that the program attached to it with [`Spec`].
    pub tag: Vec<u8>,
    /// Its progress.
    pub standing: Standing,
}

/// How far an executor has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As far as is known, it has not got its task yet.
    Starting,
    /// An update of its task was acknowledged.
    Acknowledged,
    /// It has sent a terminal update, or is being ended.
    Ending,
}

/// Everything that the core can order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Create the record and the sandbox, fetch files, and start the executor. [`Event::Started`] or
    /// [`Event::NotStarted`] follows, and after `Started` at some time [`Event::Exited`].
    Start(Box<Spec>),
    /// Record that the executor has got its task.
    MarkAcknowledged(ContainerId),
    /// Remove the record and the cgroup of a container.
    Erase(ContainerId),
    /// Send an event to an executor.
    Send {
        /// The executor.
        executor_id: String,
        /// The event.
        event: Box<messages::Event>,
    },
    /// Close an executor's event stream.
    EndStream {
        /// The executor.
        executor_id: String,
    },
    /// Send SIGKILL to all processes of a container. [`Event::Swept`] follows immediately.
    Sweep(Sweep),
    /// Send a notice to the program.
    Notify(Notice),
}

/// Which processes to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The executor.
    pub executor_id: String,
    /// Its container.
    pub container: ContainerId,
    /// Its sandbox.
    pub sandbox: PathBuf,
    /// What an earlier sweep found: a process that is ending loses its other marks before it is gone.
    pub found: Vec<RecordedProcess>,
    /// The executor's session, if its number cannot have been reused.
    pub session: Option<i32>,
}

/// A process that a sweep found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The process; `None` if it cannot be identified any more.
    pub process: Option<RecordedProcess>,
    /// A description for people.
    pub text: String,
}

/// The response to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200, followed by events.
    Stream(StreamNumber),
    /// 202.
    Accepted,
    /// Another status code, and the reason.
    Refused(u16, String),
}

// === impl Reply ===

impl Reply {
    /// A refusal with a status code and the reason.
    pub fn refused(status: u16, text: impl Into<String>) -> Self {
        Self::Refused(status, text.into())
    }
}

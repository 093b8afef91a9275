//! What the core is told, and what it wants done.

use std::path::PathBuf;
use std::time::Duration;

use cook_mesos::messages::{self, TaskInfo};

use crate::notice::Notice;
use crate::record::{Delivery, RecordedProcess};
use crate::spec::{ContainerId, Spec};

/// A time, counted from the agent's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

/// Counts event streams, so that the end of an old one is not taken for that of a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamNumber(pub u64);

/// The process at the other end of a connection, as the kernel has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub pid: i32,
}

/// Everything that the core is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Start an executor.
    Launch(Box<Spec>),
    /// An executor of an earlier process of the agent.
    Recovered(Box<Recovered>),
    /// End a task in order.
    Kill {
        /// Whose task.
        executor_id: String,
        /// Another grace period than the task's own.
        grace_period: Option<Duration>,
    },
    /// Ask an executor to end, and make it if it does not.
    Shutdown {
        /// Which one.
        executor_id: String,
    },
    /// End an executor and everything of it, at once.
    Destroy {
        /// Which one.
        executor_id: String,
    },
    /// An update has done its work.
    Acknowledge {
        /// Whose update.
        executor_id: String,
        /// Which one.
        uuid: Vec<u8>,
    },
    /// The executor's process runs.
    Started {
        /// Which executor.
        executor_id: String,
        /// Its process.
        process: RecordedProcess,
    },
    /// The sandbox could not be filled, or the process not be made.
    NotStarted {
        /// Which executor.
        executor_id: String,
        /// Why.
        text: String,
    },
    /// The executor's process has ended.
    Exited {
        /// Which executor.
        executor_id: String,
        /// Its exit code, if it has one and is known.
        code: Option<i32>,
    },
    /// The executor does not listen any more.
    StreamClosed {
        /// Which executor.
        executor_id: String,
        /// Which stream.
        stream: StreamNumber,
    },
    /// [`Effect::Sweep`] is done.
    Swept {
        /// Which executor.
        executor_id: String,
        /// The processes that were there. They were told to end.
        survivors: Vec<Survivor>,
        /// The kernel ended one because of the memory limit.
        out_of_memory: bool,
    },
    /// A deadline may have come.
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
    /// The program's own.
    pub tag: Vec<u8>,
    /// Its shutdown grace period.
    pub shutdown_grace: Duration,
    /// Whether it has the task.
    pub delivery: Delivery,
    /// Its process, if that is alive.
    pub process: Option<RecordedProcess>,
}

/// An executor that is known, for the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub executor_id: String,
    /// The program's own, from its [`Spec`].
    pub tag: Vec<u8>,
    /// How far it is.
    pub standing: Standing,
}

/// How far an executor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its task was not taken yet, as far as is known.
    Starting,
    /// An update of its task was acknowledged.
    Acknowledged,
    /// It has told the end of its task, or is being ended.
    Ending,
}

/// Everything that the core wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make a record and a sandbox, fill it, start the executor there. [`Event::Started`] or
    /// [`Event::NotStarted`] follows, and [`Event::Exited`] after the former.
    Start(Box<Spec>),
    /// Note in the record that the executor has its task.
    MarkAcknowledged(ContainerId),
    /// Remove what is kept of a container: its record and its cgroup.
    Erase(ContainerId),
    /// Send an event to an executor.
    Send {
        /// Which executor.
        executor_id: String,
        /// The event.
        event: Box<messages::Event>,
    },
    /// End an executor's event stream.
    EndStream {
        /// Which executor.
        executor_id: String,
    },
    /// Send SIGKILL to all processes of a container. [`Event::Swept`] follows at once.
    Sweep(Sweep),
    /// Tell the program.
    Tell(Notice),
}

/// Whose processes to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Which executor.
    pub executor_id: String,
    /// Its container.
    pub container: ContainerId,
    /// Its sandbox.
    pub sandbox: PathBuf,
    /// What an earlier sweep has found: a process that ends loses its marks before it is gone.
    pub found: Vec<RecordedProcess>,
    /// The executor's session, if it is certain that no other one has its number by now.
    pub session: Option<i32>,
}

/// A process that a sweep has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The process; `None` if it has no name any more.
    pub process: Option<RecordedProcess>,
    /// For people.
    pub text: String,
}

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200, and events.
    Stream(StreamNumber),
    /// 202.
    Accepted,
    /// Another status, and why.
    Refused(u16, String),
}

// === impl Reply ===

impl Reply {
    /// A refusal.
    pub fn refused(status: u16, text: impl Into<String>) -> Self {
        Self::Refused(status, text.into())
    }
}

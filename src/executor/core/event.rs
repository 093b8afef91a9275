//! Everything that can happen to the executor.

use crate::core::environment::{Name, Value};
use crate::core::outbox::{Answer, Serial};
use crate::core::plan::{CommandId, Plan, Refusal};
use crate::core::progress::Reading;
use crate::core::request::Request;
use crate::core::session::{Generation, StreamEnd};
use crate::words::outcome::Outcome;
use crate::words::units::Pid;
use crate::words::units::{AgentId, Span, TaskId};

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The agent accepted a subscription.
    Subscribed {
        /// Which one.
        generation: Generation,
        /// The framework knows `TASK_KILLING`.
        killing_state: bool,
    },
    /// A subscription could not be opened, or ended.
    StreamEnded(Generation, StreamEnd),
    /// A call was answered.
    CallAnswered(Serial, Answer),
    /// LAUNCH, or LAUNCH_GROUP, which may have any number of tasks.
    Launch(Vec<Launch>),
    /// KILL, with the grace period of its own policy if it has one.
    Kill(TaskId, Option<Span>),
    /// SHUTDOWN, or a signal that asks for the same.
    Shutdown,
    /// The agent has an update on disk.
    Acknowledged(Vec<u8>),
    /// The command's program runs.
    CommandStarted(CommandId, Pid),
    /// The command ended, or never started.
    CommandEnded(CommandId, Outcome),
    /// The system has no room for the command right now, for this reason.
    CommandDelayed(CommandId, String),
    /// A process that some command left behind ended.
    OrphanEnded,
    /// A sweep found so many processes alive.
    Swept {
        /// Everything below us that is not a zombie.
        alive: usize,
    },
    /// The task has written its progress into a file.
    Tracked(Reading),
    /// The task's files were read to their end.
    TrackingEnded,
    /// A command asks for something.
    Request(RequestId, Request),
    /// The moment of [`next_deadline`](crate::core::executor::Executor::next_deadline) has come.
    Tick,
}

/// A task as the agent launched it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Launch {
    /// What the agent knows it by.
    pub identity: Identity,
    /// What is to be done, or why it cannot be.
    pub work: Result<Work, Refusal>,
}

/// What a task is known by; the agent asks for all of it after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The framework's name for the task.
    pub task: TaskId,
    /// The agent that it was given to.
    pub agent: AgentId,
    /// Its name for people.
    pub name: Vec<u8>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// The commands.
    pub plan: Plan,
    /// Variables that the task adds to the executor's environment.
    pub environment: Vec<(Name, Value)>,
    /// The executor's own variables as the framework gave them, before the agent added to them.
    pub executor_environment: Vec<(Name, Value)>,
    /// The task's own grace period (`TaskInfo.kill_policy`).
    pub kill_grace: Option<Span>,
    /// `TaskInfo.max_completion_time`.
    pub maximum_run_time: Option<Span>,
}

/// Identifies a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u32);

// === impl Event ===

impl Event {
    /// For the log: what happened, without what it brought, which may be a task's secret.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Subscribed { .. } => "subscribed",
            Self::StreamEnded(..) => "stream ended",
            Self::CallAnswered(..) => "call answered",
            Self::Launch(_) => "launch",
            Self::Kill(..) => "kill",
            Self::Shutdown => "shutdown",
            Self::Acknowledged(_) => "acknowledged",
            Self::CommandStarted(..) => "command started",
            Self::CommandEnded(..) => "command ended",
            Self::CommandDelayed(..) => "command delayed",
            Self::OrphanEnded => "orphan ended",
            Self::Swept { .. } => "swept",
            Self::Tracked(_) => "tracked",
            Self::TrackingEnded => "tracking ended",
            Self::Request(..) => "request",
            Self::Tick => "tick",
        }
    }
}

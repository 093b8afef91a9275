//! Everything that can happen to the executor.

use crate::core::checks::{CheckPlan, Finding, ProbeId};
use crate::core::effect::Audience;
use crate::core::environment::{Name, Value};
use crate::core::outbox::{CallAnswer, Serial};
use crate::core::plan::{CommandId, Plan, TaskRefusal};
use crate::core::progress::Reading;
use crate::core::session::{Generation, StreamEnd};
use crate::words::outcome::Outcome;
use crate::words::sweep::Left;
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
    CallAnswered(Serial, CallAnswer),
    /// LAUNCH, or LAUNCH_GROUP, which may have any number of tasks.
    Launch(Vec<LaunchedTask>),
    /// KILL, with the grace period of its own policy if it has one.
    Kill(TaskId, Option<Span>),
    /// SHUTDOWN, or a signal that asks for the same.
    Shutdown,
    /// The agent has an update on disk.
    Acknowledged(Vec<u8>),
    /// Something happened to the task's processes or files.
    Task(TaskEvent),
    /// The moment of [`next_deadline`](crate::core::executor::Executor::next_deadline) has come.
    Tick,
}

/// What happens to the processes and the files of the task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// The command's program runs.
    CommandStarted(CommandId, Pid),
    /// The command ended, or never started.
    CommandEnded(CommandId, Outcome),
    /// The system has no room for the command right now, for this reason.
    CommandDelayed(CommandId, String),
    /// A process below us may have ended: a signal came, and SIGCHLD does not say how many it stands for.
    ChildrenChanged,
    /// The sweep that was asked for last is done.
    Swept(Left),
    /// The task has written its progress into a file.
    Tracked(Reading),
    /// The task's files were read to their end.
    TrackingEnded,
    /// A probe of one of the task's checks has a result.
    Probed(ProbeId, Finding),
}

/// A task as the agent launched it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaunchedTask {
    /// What the agent knows it by.
    pub identity: Identity,
    /// What is to be done, or why it cannot be.
    pub work: Result<Work, TaskRefusal>,
    /// Who reads our lines about it.
    pub audience: Audience,
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
    /// Variables that the executor sets for commands, and that only the LAUNCH tells
    /// ([`Class::ForCommands`](crate::core::variables::Class)).
    pub for_commands: Vec<(Name, Value)>,
    /// The executor's own variables as the framework gave them, before the agent added to them.
    pub executor_environment: Vec<(Name, Value)>,
    /// The task's own grace period (`TaskInfo.kill_policy`).
    pub kill_grace: Option<Span>,
    /// `TaskInfo.max_completion_time`.
    pub maximum_run_time: Option<Span>,
    /// `TaskInfo.check` and `TaskInfo.health_check`.
    pub checks: CheckPlan,
}

// === impl Event ===

impl Event {
    /// For the log: the kind of the event, without its contents, which may be secret.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Subscribed { .. } => "subscribed",
            Self::StreamEnded(..) => "stream ended",
            Self::CallAnswered(..) => "call answered",
            Self::Launch(_) => "launch",
            Self::Kill(..) => "kill",
            Self::Shutdown => "shutdown",
            Self::Acknowledged(_) => "acknowledged",
            Self::Task(event) => event.name(),
            Self::Tick => "tick",
        }
    }
}

// === impl TaskEvent ===

impl TaskEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::CommandStarted(..) => "command started",
            Self::CommandEnded(..) => "command ended",
            Self::CommandDelayed(..) => "command delayed",
            Self::ChildrenChanged => "children changed",
            Self::Swept(_) => "swept",
            Self::Tracked(_) => "tracked",
            Self::TrackingEnded => "tracking ended",
            Self::Probed(..) => "probed",
        }
    }
}

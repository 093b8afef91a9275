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
    /// The agent has accepted a subscription.
    Subscribed {
        /// The number of the subscription.
        generation: Generation,
        /// The framework has the capability for `TASK_KILLING`.
        killing_state: bool,
    },
    /// A subscription could not be opened, or ended.
    StreamEnded(Generation, StreamEnd),
    /// A call was answered, or failed.
    CallAnswered(Serial, CallAnswer),
    /// LAUNCH with one task, or LAUNCH_GROUP with any number of tasks.
    Launch(Vec<LaunchedTask>),
    /// KILL, with the grace period of its kill policy if there is one.
    Kill(TaskId, Option<Span>),
    /// SHUTDOWN, or a signal with the same meaning.
    Shutdown,
    /// ACKNOWLEDGED: the uuid of an update that the agent has stored.
    Acknowledged(Vec<u8>),
    /// Something happened to the task's processes or files.
    Task(TaskEvent),
    /// The time of [`next_deadline`](crate::core::executor::Executor::next_deadline) has come.
    Tick,
}

/// What can happen to the task's processes and files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// The command's program has started.
    CommandStarted(CommandId, Pid),
    /// The command has ended, or could not be started.
    CommandEnded(CommandId, Outcome),
    /// The system has no resources to start the command at the moment, for this reason.
    CommandDelayed(CommandId, String),
    /// A descendant may have ended. One SIGCHLD can stand for several processes.
    ChildrenChanged,
    /// The result of the last sweep.
    Swept(Left),
    /// The task has written progress to a file.
    Tracked(Reading),
    /// The task's files have been read to their end.
    TrackingEnded,
    /// A probe for a check has a result.
    Probed(ProbeId, Finding),
}

/// A task of a LAUNCH.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaunchedTask {
    /// How the agent identifies it.
    pub identity: Identity,
    /// What to run, or why the task is refused.
    pub work: Result<Work, TaskRefusal>,
    /// Who gets our lines about it.
    pub audience: Audience,
}

/// How the agent and the framework identify a task. The agent asks for all of it after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The framework's id of the task.
    pub task: TaskId,
    /// The id of the agent that runs it.
    pub agent: AgentId,
    /// Its name, for people.
    pub name: Vec<u8>,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// The commands.
    pub plan: Plan,
    /// Variables that the task adds to the executor's environment.
    pub environment: Vec<(Name, Value)>,
    /// Variables that the executor sets for commands, and that are known only from the LAUNCH
    /// ([`Class::ForCommands`](crate::core::variables::Class)).
    pub for_commands: Vec<(Name, Value)>,
    /// The executor's variables as the framework set them, without the agent's.
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
    /// The kind of the event, for the log. The contents may be secret.
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

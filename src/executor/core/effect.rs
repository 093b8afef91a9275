//! Everything that the core can order.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::checks::{Probe, ProbeId};
use crate::core::environment::Environment;
use crate::core::event::Identity;
use crate::core::outbox::{Item, Serial, TaskState, Update};
use crate::core::plan::{CommandId, Program};
use crate::core::session::Generation;
use crate::words::outcome::Outcome;
use crate::words::sweep::Sweep;
use crate::words::units::{Pid, StopSignal};
use crate::words::units::{Span, TaskId, Uuid};

/// Everything that the core can order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Open a new subscription, which replaces the older one.
    Subscribe {
        /// The number of the new subscription.
        generation: Generation,
        /// The task, until one of its updates was acknowledged: after its restart, the agent reports a task as
        /// lost that it has sent and that is not listed here.
        task: Option<Identity>,
        /// All unacknowledged updates.
        updates: Vec<Update>,
    },
    /// Make one call to the agent.
    Call(Serial, Box<Item>),
    /// Stop waiting for the response to the last call.
    AbandonCall,
    /// Start a command. An event follows immediately: it has started, has failed, or is delayed.
    Start(Box<Start>),
    /// Send a signal to the process groups of these commands. A command that cannot be signalled, because
    /// it runs as another user, is reported as ended immediately.
    Signal {
        /// Running commands.
        commands: Vec<CommandId>,
        /// The signal.
        signal: StopSignal,
    },
    /// Reap ended processes, apply the sweep to all descendants, and count those alive.
    /// [`TaskEvent::Swept`](crate::core::event::TaskEvent) follows immediately.
    Sweep(Sweep),
    /// Reap ended processes that are not commands.
    ReapOrphans,
    /// Serve this task in the task API from now on.
    Publish(TaskId),
    /// Follow the task's output, and its progress file at this path.
    Track(PathBuf),
    /// Read the task's files to their end. [`TaskEvent::TrackingEnded`](crate::core::event::TaskEvent)
    /// follows.
    FinishTracking,
    /// Probe the task for a check. [`TaskEvent::Probed`](crate::core::event::TaskEvent) follows, unless the
    /// probe is abandoned.
    Probe(ProbeId, Box<Probe>),
    /// Abandon a probe, and end the processes that it has started.
    AbandonProbe(ProbeId),
    /// Write a line for this audience.
    Say(Line, Audience),
    /// Write a line to the log.
    Note(Note),
    /// Exit.
    Exit(ExitStatus),
}

/// Everything that is needed to start a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Start {
    /// Identifies the command in events.
    pub id: CommandId,
    /// What to run.
    pub program: Program,
    /// The complete environment.
    pub environment: Environment,
    /// What the log calls it.
    pub description: String,
}

/// The exit status of the executor itself, not of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// There was nothing to do, or the agent has acknowledged the end of the task.
    Done,
    /// The end of the task could not be reported to the agent.
    Unreported,
    /// The operator tests what happens when an executor fails.
    Test(u8),
}

/// Who gets a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Readers of the task's stdout, and readers of the log.
    Everybody,
    /// Readers of the log only: nothing is added to the task's stdout.
    Log,
}

/// The lines that people and scripts look for in a task's stdout. The stock executor and Cook's print the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// The name and version of the program.
    Version,
    /// The task was received.
    Starting(TaskId),
    /// The command has started.
    Forked(Pid),
    /// A kill was requested.
    Killing(TaskId, Span),
    /// The command ended.
    Ended(Outcome, Option<Pid>),
    /// The terminal update is recorded.
    Completed(TaskId, TaskState),
}

/// What the log says about a transition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Variables from outside were overridden, because the executor sets them for commands.
    Overridden(Vec<&'static str>),
    /// A status update was recorded.
    Recorded(TaskState, Uuid, Option<String>),
    /// The agent has acknowledged an update.
    Acknowledged(TaskState, Uuid),
    /// An update with the result of a check was recorded.
    CheckRecorded(Uuid, String),
    /// The agent has acknowledged an update about a check.
    CheckAcknowledged(Uuid),
    /// An update was acknowledged that is not in the outbox.
    AcknowledgedUnknown,
    /// A hook has ended: its description and outcome.
    HookEnded(String, Outcome),
    /// A hook has exceeded its timeout: its description.
    HookTimedOut(String),
    /// Running commands got SIGTERM, and get SIGKILL after this time. After commands follow.
    Stopping(Duration),
    /// The task is being stopped, and no time is left for these after commands.
    NotRun(Vec<String>),
    /// A failure of a check that does not count.
    CheckIgnored(String),
    /// The grace period is over.
    KillingNow,
    /// The agent was away for too long, so the task is stopped.
    AgentLost,
    /// Acknowledgements are missing, so the executor subscribes again.
    AskingAgain,
    /// The executor exits although an update was not acknowledged.
    GivingUp,
}

// === impl Effect ===

impl Effect {
    /// The kind of the effect, for the log. The contents may be secret.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Subscribe { .. } => "subscribe",
            Self::Call(..) => "call",
            Self::AbandonCall => "abandon call",
            Self::Start(_) => "start",
            Self::Signal { .. } => "signal",
            Self::Sweep(_) => "sweep",
            Self::ReapOrphans => "reap orphans",
            Self::Publish(_) => "publish",
            Self::Track(_) => "track",
            Self::FinishTracking => "finish tracking",
            Self::Probe(..) => "probe",
            Self::AbandonProbe(_) => "abandon probe",
            Self::Say(..) => "say",
            Self::Note(_) => "note",
            Self::Exit(_) => "exit",
        }
    }
}

// === impl Line ===

impl Line {
    /// Whether the log must have room for this line. There are few such lines, whatever a task or client
    /// does.
    pub fn explains_the_end(&self) -> bool {
        match self {
            Self::Ended(..) | Self::Completed(..) => true,
            Self::Version | Self::Starting(_) | Self::Forked(_) | Self::Killing(..) => false,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => {
                f.write_str(concat!("Cook Executor version ", env!("CARGO_PKG_VERSION")))
            }
            Self::Starting(TaskId(task)) => write!(f, "Starting task {task}"),
            Self::Forked(Pid(pid)) => write!(f, "Forked command at {pid}"),
            Self::Killing(TaskId(task), grace) => {
                write!(
                    f,
                    "Received kill for task {task} with grace period of {:?}",
                    grace.get()
                )
            }
            Self::Ended(outcome, Some(Pid(pid))) => write!(f, "Command {outcome} (pid: {pid})"),
            Self::Ended(outcome, None) => write!(f, "Command {outcome}"),
            Self::Completed(TaskId(task), state) => {
                write!(
                    f,
                    "Executor completed execution of {task} (state={})",
                    state.name()
                )
            }
        }
    }
}

// === impl Note ===

impl Note {
    /// See [`Line::explains_the_end`].
    pub fn explains_the_end(&self) -> bool {
        match self {
            Self::Recorded(state, ..) | Self::Acknowledged(state, _) => state.is_terminal(),
            Self::Stopping(_)
            | Self::NotRun(_)
            | Self::KillingNow
            | Self::AgentLost
            | Self::GivingUp => true,
            Self::Overridden(_)
            | Self::AcknowledgedUnknown
            | Self::HookEnded(..)
            | Self::CheckRecorded(..)
            | Self::CheckAcknowledged(_)
            | Self::CheckIgnored(_)
            | Self::HookTimedOut(_)
            | Self::AskingAgain => false,
        }
    }

    /// Whether it is about a check. A check can cause any number of these.
    pub fn is_of_a_check(&self) -> bool {
        match self {
            Self::CheckRecorded(..) | Self::CheckAcknowledged(_) | Self::CheckIgnored(_) => true,
            Self::Recorded(..)
            | Self::Acknowledged(..)
            | Self::AcknowledgedUnknown
            | Self::Overridden(_)
            | Self::HookEnded(..)
            | Self::HookTimedOut(_)
            | Self::Stopping(_)
            | Self::NotRun(_)
            | Self::KillingNow
            | Self::AgentLost
            | Self::AskingAgain
            | Self::GivingUp => false,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded(state, uuid, None) => write!(f, "{} uuid={uuid}", state.name()),
            Self::Recorded(state, uuid, Some(message)) => {
                write!(f, "{} uuid={uuid} message={message:?}", state.name())
            }
            Self::Acknowledged(state, uuid) => {
                write!(f, "acknowledged {} uuid={uuid}", state.name())
            }
            Self::Overridden(names) => write!(
                f,
                "ignored the given value of {}: the executor sets it for commands",
                names.join(", ")
            ),
            Self::AcknowledgedUnknown => f.write_str("acknowledged an unknown update"),
            Self::HookEnded(hook, outcome) => write!(f, "{hook} {outcome}"),
            Self::CheckRecorded(uuid, message) => {
                let state = TaskState::Running.name();
                write!(f, "{state} uuid={uuid} message={message:?}")
            }
            Self::CheckAcknowledged(uuid) => {
                write!(f, "acknowledged {} uuid={uuid}", TaskState::Running.name())
            }
            Self::CheckIgnored(what) => f.write_str(what),
            Self::HookTimedOut(hook) => write!(f, "{hook} timed out"),
            Self::Stopping(grace) => write!(
                f,
                "stopping the running commands: SIGTERM now, SIGKILL in {grace:?}"
            ),
            Self::NotRun(hooks) => {
                /// Maximum number of hooks that a line names; the others are counted.
                const MAX_NAMED: usize = 20;
                let named = &hooks[..hooks.len().min(MAX_NAMED)];
                write!(f, "no time left for {}", named.join(", "))?;
                match hooks.len() - named.len() {
                    0 => Ok(()),
                    others => write!(f, " and {others} others"),
                }
            }
            Self::KillingNow => f.write_str("SIGKILL to all processes that are still alive"),
            Self::AgentLost => f.write_str("the agent was away for too long: stopping the task"),
            Self::AskingAgain => f.write_str("acknowledgements are missing: subscribing again"),
            Self::GivingUp => f.write_str("gave up waiting for the agent's acknowledgement"),
        }
    }
}

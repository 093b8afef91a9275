//! Everything the world can be asked to do.

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

/// Everything the world can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Open a new subscription in place of the older one.
    Subscribe {
        /// Its number.
        generation: Generation,
        /// The task, until one update of it was acknowledged: the agent declares a task lost that it
        /// has sent and that is not listed here.
        task: Option<Identity>,
        /// Every update that was not acknowledged.
        updates: Vec<Update>,
    },
    /// Make one call.
    Call(Serial, Box<Item>),
    /// Stop waiting for the answer of the last call.
    AbandonCall,
    /// Start a command; an event that says whether its program runs follows at once.
    Start(Box<Start>),
    /// Send a signal to the process groups of these commands. Those that cannot be killed, since they run as
    /// another user, are said to have ended, at once.
    Signal {
        /// Commands that run.
        commands: Vec<CommandId>,
        /// The signal.
        signal: StopSignal,
    },
    /// Reap what has ended, do this to everything below us, and count what lives;
    /// [`TaskEvent::Swept`](crate::core::event::TaskEvent) follows at once.
    Sweep(Sweep),
    /// Reap what has ended and is no command of ours.
    ReapOrphans,
    /// The task API serves this task from now on.
    Publish(TaskId),
    /// Follow the task's output and its progress file, which is at this path.
    Track(PathBuf),
    /// Read the task's files to their end;
    /// [`TaskEvent::TrackingEnded`](crate::core::event::TaskEvent) follows.
    FinishTracking,
    /// Probe the task for one of its checks; [`TaskEvent::Probed`](crate::core::event::TaskEvent) follows,
    /// unless the probe is abandoned.
    Probe(ProbeId, Box<Probe>),
    /// Give up a probe and end the processes that it started.
    AbandonProbe(ProbeId),
    /// Write a line for this audience.
    Say(Line, Audience),
    /// Write a line to the log.
    Note(Note),
    /// Leave.
    Exit(ExitStatus),
}

/// Everything that it takes to start a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Start {
    /// What the events about it are to name.
    pub id: CommandId,
    /// What to run.
    pub program: Program,
    /// All of its environment.
    pub environment: Environment,
    /// What to call it in the log.
    pub description: String,
}

/// The exit status of the executor itself, which is not the task's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// There was nothing to do, or the agent has acknowledged how it ended.
    Done,
    /// How the task ended could not be reported to the agent.
    Unreported,
    /// The operator wants to see what happens when an executor fails.
    Test(u8),
}

/// Who reads a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Those who read the task's stdout, and those who read the log.
    Everybody,
    /// Those who read the log: the task's stdout is the task's own.
    Log,
}

/// What people and scripts look for in a task's stdout; the stock executor and Cook's print the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// Who speaks.
    Version,
    /// The task was received.
    Starting(TaskId),
    /// The command runs.
    Forked(Pid),
    /// A kill was asked for.
    Killing(TaskId, Span),
    /// The command ended.
    Ended(Outcome, Option<Pid>),
    /// The terminal update is recorded.
    Completed(TaskId, TaskState),
}

/// A transition, as it is written to the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Variables that were set from outside, and that the executor sets for commands.
    Overridden(Vec<&'static str>),
    /// A status update was recorded.
    Recorded(TaskState, Uuid, Option<String>),
    /// The agent has an update on disk.
    Acknowledged(TaskState, Uuid),
    /// An update was recorded that says what a check has found.
    CheckRecorded(Uuid, String),
    /// The agent has such an update on disk.
    CheckAcknowledged(Uuid),
    /// An update that nobody is waiting for was acknowledged.
    AcknowledgedUnknown,
    /// A hook, by its description, ended.
    HookEnded(String, Outcome),
    /// A hook, by its description, has used up its own time.
    HookTimedOut(String),
    /// What runs was asked to end, and is killed after this long; after commands follow.
    Stopping(Duration),
    /// The task is being stopped, and there is no time left for these after commands.
    NotRun(Vec<String>),
    /// What a check found that does not count.
    CheckIgnored(String),
    /// SIGTERM has had its time.
    KillingNow,
    /// The agent was away for too long: nobody waits for the task any more.
    AgentLost,
    /// Acknowledgements do not come: a new subscription asks for them.
    AskingAgain,
    /// The executor leaves although an update was not acknowledged.
    GivingUp,
}

// === impl Effect ===

impl Effect {
    /// For the log: the kind of the effect, without its contents, which may be secret.
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
    /// Whether the log has to have room for it: there are few such lines, whatever anybody does.
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
    /// As [`Line::explains_the_end`].
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

    /// Whether it is about a check, which can cause any number of them.
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
                "overrode {}: the executor sets that for its commands",
                names.join(", ")
            ),
            Self::AcknowledgedUnknown => {
                f.write_str("acknowledged an update that is not waited for")
            }
            Self::HookEnded(hook, outcome) => write!(f, "{hook} {outcome}"),
            Self::CheckRecorded(uuid, message) => {
                let state = TaskState::Running.name();
                write!(f, "{state} uuid={uuid} message={message:?}")
            }
            Self::CheckAcknowledged(uuid) => {
                write!(f, "acknowledged {} uuid={uuid}", TaskState::Running.name())
            }
            Self::CheckIgnored(what) => f.write_str(what),
            Self::HookTimedOut(hook) => write!(f, "{hook} has timed out"),
            Self::Stopping(grace) => write!(f, "stopping what runs: SIGTERM, SIGKILL in {grace:?}"),
            Self::NotRun(hooks) => {
                /// A line names this many; the others are counted.
                const MAX_NAMED: usize = 20;
                let named = &hooks[..hooks.len().min(MAX_NAMED)];
                write!(f, "no time left, not run: {}", named.join(", "))?;
                match hooks.len() - named.len() {
                    0 => Ok(()),
                    others => write!(f, " and {others} others"),
                }
            }
            Self::KillingNow => f.write_str("SIGKILL to what still lives"),
            Self::AgentLost => f.write_str("the agent is lost: the task is stopped"),
            Self::AskingAgain => {
                f.write_str("no acknowledgement: asking again by a new subscription")
            }
            Self::GivingUp => f.write_str("gave up waiting for the agent's acknowledgement"),
        }
    }
}

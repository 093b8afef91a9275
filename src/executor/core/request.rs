//! What a command can ask of the executor over the task API, and what it is told.

use crate::core::environment::{Name, Value};
use crate::words::units::{Percent, WallTime};

/// A request that was understood; anything else is answered without troubling the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ApiRequest {
    /// `GET /task/:taskid`.
    View,
    /// `PATCH /task/:taskid`.
    Patch(Patch),
}

/// The body of a PATCH, valid as a whole: it is applied entirely or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Patch {
    /// The task's new progress.
    pub progress: Option<Percent>,
    /// The task's new message, not yet cut to the configured length.
    pub message: Option<String>,
    /// Variables to set, or to unset (`None`), for commands that start later.
    pub environment: Vec<(Name, Option<Value>)>,
}

/// The core's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The patch was applied.
    Applied,
    /// The patch was applied, but its progress or message cannot reach the agent right now.
    AppliedWithoutAgent,
    /// Nothing was applied: the environment would be too large to start a command with.
    EnvironmentTooLarge,
    /// There is no task any more that a patch could change: its terminal update is recorded.
    TaskEnded,
    /// What is known about the task.
    View(View),
}

/// What is known about the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// How its commands went so far.
    pub results: Results,
    /// The task's progress, once reported.
    pub progress: Option<Percent>,
    /// The task's message, once set.
    pub message: Option<String>,
    /// The task state reported last, such as `TASK_RUNNING`.
    pub state: Option<&'static str>,
}

/// How the commands of a task went so far, each list in the order of the job, or of the operator's
/// configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Results {
    /// The command.
    pub command: CommandResult,
    /// The job's own before commands.
    pub before: Vec<CommandResult>,
    /// The job's own after commands.
    pub after: Vec<CommandResult>,
    /// The operator's before commands.
    pub default_before: Vec<CommandResult>,
    /// The operator's after commands.
    pub default_after: Vec<CommandResult>,
}

/// How one command went so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommandResult {
    /// Its exit code, once it has ended, if it ran.
    pub code: Option<i32>,
    /// When its program began to run, if it did.
    pub started: Option<WallTime>,
    /// When it ended, if it ran.
    pub ended: Option<WallTime>,
}

//! What a command can ask of the executor over the task API, and what it is told.

use crate::core::environment::{Name, Value};
use crate::words::units::Percent;

/// A request that was understood; anything else is answered without troubling the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
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

/// What is known about the task. Lists are aligned with the task's commands by index: a trailing
/// command without a code is left out, one before a later code is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// The command's exit code; absent until it ended.
    pub exit_code: Option<i32>,
    /// The job's own before commands.
    pub before_codes: Vec<Option<i32>>,
    /// The job's own after commands.
    pub after_codes: Vec<Option<i32>>,
    /// The operator's before commands; absent if there are none.
    pub default_before_codes: Option<Vec<Option<i32>>>,
    /// The operator's after commands; absent if there are none.
    pub default_after_codes: Option<Vec<Option<i32>>>,
    /// The task's progress, once reported.
    pub progress: Option<Percent>,
    /// The task's message, once set.
    pub message: Option<String>,
    /// The task state reported last, such as `TASK_RUNNING`.
    pub state: Option<&'static str>,
}

//! Requests of the task API, and the replies to them.

use crate::core::environment::{Environment, Name, Value};
use crate::core::variables::{self, Class};
use crate::words::units::{Percent, WallTime};

/// A valid request; anything else is answered without the core.
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
    /// Nothing was applied: the executor sets this variable for commands.
    SetForCommands(Name),
    /// Nothing was applied: the executor has read this variable at its start, and does not read it again.
    ReadAtStart(Name),
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

// === impl Patch ===

impl Patch {
    /// Why nothing of this can be applied where this is the environment of commands, and `progress_file`
    /// the variable that holds the progress file. A value that a variable has already is no change.
    pub fn refusal(&self, environment: &Environment, progress_file: &Name) -> Option<Reply> {
        let changed = self.environment.iter().filter(|(name, value)| {
            environment.get(name.as_os_str()) != value.as_ref().map(Value::as_os_str)
        });
        for (name, _) in changed {
            if name == progress_file {
                return Some(Reply::SetForCommands(name.clone()));
            }
            match variables::class_of(name.as_os_str()) {
                Some(Class::ForCommands) => return Some(Reply::SetForCommands(name.clone())),
                Some(Class::Setting) => return Some(Reply::ReadAtStart(name.clone())),
                Some(
                    Class::ProgressFile
                    | Class::Hooks
                    | Class::Agents
                    | Class::Secret
                    | Class::Proxy
                    | Class::NoProxy,
                )
                | None => {}
            }
        }
        let has_room = environment.has_room_for(&self.environment);
        (!has_room).then_some(Reply::EnvironmentTooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("valid")
    }

    #[test]
    fn what_others_own_can_be_named_but_not_changed() {
        let given = [
            ("EXECUTOR_PHASE", "command"),
            ("PROGRESS_SAMPLE_INTERVAL_MS", "100"),
            ("FILE", "f"),
        ];
        let environment = Environment::inherited(given.map(|(n, v)| (n.into(), v.into())));
        let refusal = |changed: &str, value: Option<&str>| {
            let value = value.map(|value| Value::new(value).expect("valid"));
            let patch = Patch {
                environment: vec![(name("FREE"), None), (name(changed), value)],
                ..Patch::default()
            };
            patch.refusal(&environment, &name("FILE"))
        };
        for (changed, value, wanted) in [
            ("EXECUTOR_PHASE", Some("command"), None),
            (
                "EXECUTOR_PHASE",
                Some("after"),
                Some(Reply::SetForCommands as fn(Name) -> Reply),
            ),
            ("EXECUTOR_PHASE", None, Some(Reply::SetForCommands)),
            ("EXECUTOR_EXIT_CODE", None, None),
            ("EXECUTOR_EXIT_CODE", Some("0"), Some(Reply::SetForCommands)),
            (
                "MESOS_ALLOCATION_ROLE",
                Some(""),
                Some(Reply::SetForCommands),
            ),
            ("FILE", Some("f"), None),
            ("FILE", Some("g"), Some(Reply::SetForCommands)),
            ("EXECUTOR_PROGRESS_OUTPUT_FILE", Some("g"), None),
            ("PROGRESS_SAMPLE_INTERVAL_MS", Some("100"), None),
            (
                "PROGRESS_SAMPLE_INTERVAL_MS",
                None,
                Some(Reply::ReadAtStart),
            ),
            (
                "EXECUTOR_LOG_LEVEL",
                Some("DEBUG"),
                Some(Reply::ReadAtStart),
            ),
            ("EXECUTOR_LOG_LEVEL", None, None),
            ("EXECUTOR_BEFORE_COMMANDS", Some("[]"), None),
            ("MESOS_SANDBOX", Some("/"), None),
            ("no_proxy", Some("x"), None),
            ("FREE", Some("x"), None),
        ] {
            let wanted = wanted.map(|wanted| wanted(name(changed)));
            assert_eq!(refusal(changed, value), wanted, "{changed}={value:?}");
        }
    }
}

//! Requests of the task API, and the replies to them.

use crate::core::environment::{Environment, Name, Value};
use crate::core::variables::{self, Class};
use crate::words::units::{Percent, WallTime};

/// A valid request. Invalid ones are answered without the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ApiRequest {
    /// `GET /task/:taskid`.
    View,
    /// `PATCH /task/:taskid`.
    Patch(Patch),
}

/// The body of a PATCH. It is valid, and is applied as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Patch {
    /// The task's new progress.
    pub progress: Option<Percent>,
    /// The task's new message, not yet cut to the maximum length.
    pub message: Option<String>,
    /// Variables to set, or to unset (`None`), for commands that start later.
    pub environment: Vec<(Name, Option<Value>)>,
}

/// The core's reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The patch was applied.
    Applied,
    /// The patch was applied, but its progress or message cannot be sent to the agent at the moment.
    AppliedWithoutAgent,
    /// Nothing was applied: the environment would be too large to start a command.
    EnvironmentTooLarge,
    /// Nothing was applied: the executor sets this variable for commands itself.
    SetForCommands(Name),
    /// Nothing was applied: the executor reads this variable only at its start.
    ReadAtStart(Name),
    /// Nothing was applied: the terminal update is already recorded.
    TaskEnded,
    /// What is known about the task.
    View(View),
}

/// What is known about the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// The results of its commands so far.
    pub results: Results,
    /// The task's progress, if it was reported.
    pub progress: Option<Percent>,
    /// The task's message, if it was set.
    pub message: Option<String>,
    /// The state of the last update, such as `TASK_RUNNING`.
    pub state: Option<&'static str>,
}

/// The results of a task's commands so far. Each list is in the order of the job or of the operator's
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

/// The result of one command so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommandResult {
    /// Its exit code, if it has ended and has run.
    pub code: Option<i32>,
    /// When its program started, if it has run.
    pub started: Option<WallTime>,
    /// When it ended, if it has run.
    pub ended: Option<WallTime>,
}

// === impl Patch ===

impl Patch {
    /// Why this patch must not be applied to `environment`, if so. `progress_file` is the variable with the
    /// path of the progress file. Setting a variable to the value that it has is allowed.
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
    fn variables_of_the_executor_may_be_repeated_but_not_changed() {
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

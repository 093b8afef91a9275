//! Decodes a record of the agent's stream into an event for the core. Also makes the log lines for
//! callbacks, with the names that Mesos uses for them (`registered`, `launchTask`, `killTask`, ...).

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use prost::Message;

use crate::codec::api::request::percent_encode_task_id;
use crate::codec::mesos::arguments::Arguments;
use crate::codec::mesos::checks::{FindCurl, read_checks};
use crate::codec::mesos::job::{HookVariables, Sources, read_plan};
use crate::codec::mesos::place::{IsUser, check_place};
use crate::core::effect::Audience;
use crate::core::environment::{Name, Value};
use crate::core::event::{Event, Identity, LaunchedTask, Work};
use crate::core::plan::{Command, Part, TaskRefusal};
use crate::core::session::{Generation, StreamEnd};
use crate::core::variables::{self, Class};
use crate::words::units::{AgentId, Span, TaskId};
use cook_mesos::messages::{
    self, CommandInfo, DurationInfo, EventType, Subscribed, TASK_KILLING_STATE, TaskInfo,
    VARIABLE_SECRET,
};

/// Decodes records. Remembers what SUBSCRIBED has told, for the LAUNCH that follows.
#[derive(Debug)]
pub struct Translator {
    hooks: HookVariables,
    arguments: Arguments,
    /// The address of the task API up to the slash before the task's id; `None` if there is none.
    endpoint: Option<String>,
    find_curl: FindCurl,
    is_user: IsUser,
    executor_data: Option<Vec<u8>>,
    was_subscribed: bool,
}

/// The meaning of a record.
#[derive(Debug)]
pub enum Meaning {
    /// An event for the core.
    Event(Event),
    /// Nothing to do.
    Nothing,
    /// The agent has ended this subscription.
    Ended(StreamEnd),
}

/// How important a line for the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something has happened.
    Info,
    /// Something is not as requested.
    Warning,
}

/// Why a record was skipped. The next record can be read.
#[derive(Debug)]
pub enum EventError {
    /// It is not a valid event.
    Undecodable(prost::DecodeError),
    /// It is an event of this type without its contents.
    Empty(i32),
}

/// What the executor's own arguments add to its task.
#[derive(Default)]
struct Given<'a> {
    /// The command, if the task has none.
    arguments: &'a [Vec<u8>],
    /// Variables, which the task's command overrides.
    environment: &'a [(Name, Value)],
    /// Variables whose secret was not resolved.
    unresolved: &'a [String],
}

// === impl EventError ===

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Undecodable(error) => write!(f, "it is not a valid event: {error}"),
            Self::Empty(kind) => write!(f, "an event of type {kind} has no contents"),
        }
    }
}

impl std::error::Error for EventError {}

// === impl Translator ===

impl Translator {
    /// `hooks` and `arguments` come from the executor's start. `endpoint` is the address of the task API up
    /// to the slash before the task's id, if there is a task API.
    pub fn new(
        hooks: HookVariables,
        arguments: Arguments,
        endpoint: Option<String>,
        find_curl: FindCurl,
        is_user: IsUser,
    ) -> Self {
        Self {
            hooks,
            arguments,
            endpoint,
            find_curl,
            is_user,
            executor_data: None,
            was_subscribed: false,
        }
    }

    /// Decodes a record of the subscription `generation`. `log` gets at least one line about it.
    ///
    /// # Errors
    ///
    /// The record is invalid. The next one can be read.
    pub fn translate(
        &mut self,
        generation: Generation,
        record: &[u8],
        log: &mut dyn FnMut(Severity, String),
    ) -> Result<Meaning, EventError> {
        let messages::Event {
            kind,
            subscribed,
            acknowledged,
            launch,
            kill,
            message,
            error,
            launch_group,
        } = messages::Event::decode(record).map_err(EventError::Undecodable)?;
        let number = kind.unwrap_or_default();
        let missing = || EventError::Empty(number);
        let event = match EventType::try_from(number) {
            Ok(EventType::Subscribed) => {
                self.subscribed(generation, subscribed.ok_or_else(missing)?, log)
            }
            Ok(EventType::Launch) => {
                let task = launch.ok_or_else(missing)?.task;
                Event::Launch(vec![self.launch(task, log)])
            }
            Ok(EventType::LaunchGroup) => {
                let tasks = launch_group.ok_or_else(missing)?.task_group.tasks;
                log(
                    Severity::Info,
                    format!("launchTaskGroup tasks={}", tasks.len()),
                );
                Event::Launch(
                    tasks
                        .into_iter()
                        .map(|task| self.launch(task, log))
                        .collect(),
                )
            }
            Ok(EventType::Kill) => {
                let kill = kill.ok_or_else(missing)?;
                let policy = kill.kill_policy.as_ref();
                let grace = policy.and_then(|policy| policy.grace_period.as_ref());
                let grace = grace.map(|info| span("the kill's grace period", info));
                let (grace, warning) = grace.unzip();
                if let Some(warning) = warning.flatten() {
                    log(Severity::Warning, warning);
                }
                let own = grace.map_or(String::new(), |grace| format!(" grace={:?}", grace.get()));
                log(
                    Severity::Info,
                    format!("killTask task={:?}{own}", kill.task_id.value),
                );
                Event::Kill(TaskId(kill.task_id.value), grace)
            }
            Ok(EventType::Acknowledged) => {
                let uuid = acknowledged.ok_or_else(missing)?.uuid;
                Event::Acknowledged(uuid)
            }
            Ok(EventType::Shutdown) => {
                log(Severity::Info, "shutdown".to_owned());
                Event::Shutdown
            }
            Ok(EventType::Message) => {
                let size = message.map_or(0, |message| message.data.len());
                log(
                    Severity::Info,
                    format!("frameworkMessage bytes={size} (ignored)"),
                );
                return Ok(Meaning::Nothing);
            }
            Ok(EventType::Error) => {
                let text = error.map(|error| error.message).unwrap_or_default();
                log(
                    Severity::Info,
                    format!("error message={:?}", String::from_utf8_lossy(&text)),
                );
                return Ok(Meaning::Ended(StreamEnd::Disconnected));
            }
            Ok(EventType::Heartbeat) => return Ok(Meaning::Nothing),
            Ok(EventType::Unknown) | Err(_) => {
                log(
                    Severity::Info,
                    format!("ignored an event of the unknown type {number}"),
                );
                return Ok(Meaning::Nothing);
            }
        };
        Ok(Meaning::Event(event))
    }

    fn subscribed(
        &mut self,
        generation: Generation,
        subscribed: Subscribed,
        log: &mut dyn FnMut(Severity, String),
    ) -> Event {
        let callback = if self.was_subscribed {
            "reregistered"
        } else {
            "registered"
        };
        self.was_subscribed = true;
        let id = |id: Option<messages::Id>| id.map(|id| id.value).unwrap_or_default();
        log(
            Severity::Info,
            format!(
                "{callback} executor={:?} framework={:?} agent={:?} host={:?}",
                subscribed.executor_info.executor_id.value,
                id(subscribed.framework_info.id),
                id(subscribed.agent_info.id),
                String::from_utf8_lossy(&subscribed.agent_info.hostname),
            ),
        );
        self.executor_data = subscribed.executor_info.data;
        let capabilities = &subscribed.framework_info.capabilities;
        let killing_state = capabilities
            .iter()
            .any(|one| one.kind == Some(TASK_KILLING_STATE));
        Event::Subscribed {
            generation,
            killing_state,
        }
    }

    /// Who gets our lines about a task. Users and tools of Cook look for them in the task's stdout, and so
    /// do users of hooks. Other frameworks expect only the task's own output there. Cook's scheduler puts
    /// the command of a job into `TaskInfo.data`, never into `TaskInfo.command`, and starts the executor
    /// without arguments (`scheduler/src/cook/mesos/task.clj`). No other framework is known to do the same.
    fn audience(&self, command: Option<&CommandInfo>, work: Option<&Work>) -> Audience {
        let is_alone = matches!(&self.arguments, Arguments::Command(words) if words.is_empty());
        let is_of_cook = is_alone && command.is_none_or(|command| command.value.is_none());
        let is_hook = |(_, command): (_, &Command)| command.part != Part::Main;
        let has_hooks = work.is_some_and(|work| work.plan.iter().any(is_hook));
        match is_of_cook || has_hooks {
            true => Audience::Everybody,
            false => Audience::Log,
        }
    }

    /// What the executor's own arguments add to its task.
    fn given(&self) -> Result<Given<'_>, TaskRefusal> {
        match &self.arguments {
            Arguments::Command(words) => Ok(Given {
                arguments: words,
                ..Given::default()
            }),
            Arguments::Flags(Ok(flags)) => Ok(Given {
                environment: &flags.environment,
                unresolved: &flags.unresolved,
                ..Given::default()
            }),
            Arguments::Flags(Err(refusal)) => Err(refusal.clone()),
        }
    }

    /// The hooks from the environment. Those in the task's own environment override the executor's.
    fn hooks_with(&self, environment: &[(Name, Value)]) -> HookVariables {
        let own = |name: &str| {
            let mut found = environment.iter().rev();
            let found = found.find(|(given, _)| given.as_os_str() == name);
            found.map(|(_, value)| value.as_os_str().as_bytes().to_vec())
        };
        let mut hooks = self.hooks.clone();
        if let Some(before) = own(variables::BEFORE_COMMANDS) {
            hooks.before = before;
        }
        if let Some(after) = own(variables::AFTER_COMMANDS) {
            hooks.after = after;
        }
        hooks
    }

    fn launch(&self, task: TaskInfo, log: &mut dyn FnMut(Severity, String)) -> LaunchedTask {
        let TaskInfo {
            name,
            task_id,
            agent_id,
            resources,
            executor,
            data,
            command,
            health_check,
            container,
            kill_policy,
            check,
            max_completion_time,
        } = task;
        let name_for_people = String::from_utf8_lossy(&name);
        log(
            Severity::Info,
            format!(
                "launchTask task={:?} name={name_for_people:?}",
                task_id.value
            ),
        );
        let (own_executor_data, executor_command) =
            executor.map_or((None, None), |executor| (executor.data, executor.command));
        let work = self.given().and_then(|given| {
            let mut environment = given.environment.to_vec();
            environment.extend(variables_of("the task's", command.as_ref())?);
            let hooks = self.hooks_with(&environment);
            for name in given.unresolved {
                log(
                    Severity::Warning,
                    format!(
                        "the agent has not resolved the secret {name:?}; the variable is not set"
                    ),
                );
            }
            for (name, _) in &environment {
                if let Some(why) = idle(name) {
                    log(
                        Severity::Warning,
                        format!("{:?} of the task's environment {why}", name.as_os_str()),
                    );
                }
            }
            let sources = Sources {
                command: command.as_ref(),
                data: data.as_deref(),
                arguments: given.arguments,
                executor_data: own_executor_data
                    .as_deref()
                    .or(self.executor_data.as_deref()),
                variables: &hooks,
            };
            let plan = read_plan(sources, &mut |line| log(Severity::Info, line))?;
            let remark = &mut |line| log(Severity::Warning, line);
            check_place(command.as_ref(), container.as_ref(), self.is_user, remark)?;
            let (check, health) = (check.as_ref(), health_check.as_ref());
            let checks = read_checks(check, health, self.find_curl, remark)?;
            let role = resources
                .first()
                .and_then(|one| one.allocation_info.as_ref()?.role.clone());
            let id = percent_encode_task_id(&TaskId(task_id.value.clone()));
            let endpoint = self.endpoint.as_ref();
            let endpoint = endpoint.map(|endpoint| format!("{endpoint}{id}"));
            let own = [
                (variables::ALLOCATION_ROLE, role),
                (variables::ENDPOINT, endpoint),
            ];
            let for_commands = own.into_iter().filter_map(|(name, value)| {
                Some((Name::new(name).ok()?, Value::new(value?).ok()?))
            });
            let mut span = |what: &str, info: Option<&DurationInfo>| {
                let (span, warning) = span(what, info?);
                if let Some(warning) = warning {
                    log(Severity::Warning, warning);
                }
                Some(span)
            };
            let grace = kill_policy.as_ref();
            let grace = grace.and_then(|policy| policy.grace_period.as_ref());
            Ok(Work {
                plan,
                environment,
                for_commands: for_commands.collect(),
                executor_environment: variables_of("the executor's", executor_command.as_ref())
                    .unwrap_or_default(),
                kill_grace: span("the task's grace period", grace),
                maximum_run_time: span("the task's maximum run time", max_completion_time.as_ref()),
                checks,
            })
        });
        let audience = self.audience(command.as_ref(), work.as_ref().ok());
        LaunchedTask {
            identity: Identity {
                task: TaskId(task_id.value),
                agent: AgentId(agent_id.value),
                name,
            },
            work,
            audience,
        }
    }
}

/// The variables that a command sets. Secrets are resolved by the agent's isolator, never here. `whose` is
/// the owner's name in a refusal.
pub(super) fn variables_of(
    whose: &str,
    command: Option<&CommandInfo>,
) -> Result<Vec<(Name, Value)>, TaskRefusal> {
    let environment = command.and_then(|command| command.environment.as_ref());
    let variables = environment.map_or(&[][..], |environment| &environment.variables);
    let plain = variables
        .iter()
        .filter(|variable| variable.kind != Some(VARIABLE_SECRET));
    plain
        .map(|variable| {
            let value = variable.value.clone().unwrap_or_default();
            let checked =
                Name::new(variable.name.clone()).and_then(|name| Ok((name, Value::new(value)?)));
            checked.map_err(|invalid| {
                let name = String::from_utf8_lossy(&variable.name);
                TaskRefusal(format!(
                    "{whose} environment variable {name:?} is invalid: {invalid}"
                ))
            })
        })
        .collect()
}

/// Why a variable in the task's own environment has no effect, if people may expect one.
fn idle(name: &Name) -> Option<&'static str> {
    match variables::class_of(name.as_os_str())? {
        Class::Setting => Some("has no effect, because the executor reads it only at its start"),
        Class::Hooks
            if name.as_os_str() == variables::DEFAULT_BEFORE_COMMANDS
                || name.as_os_str() == variables::DEFAULT_AFTER_COMMANDS =>
        {
            Some("is ignored: only the executor's own environment has the operator's hooks")
        }
        Class::Hooks
        | Class::ForCommands
        | Class::ProgressFile
        | Class::Agents
        | Class::Secret
        | Class::Proxy
        | Class::NoProxy => None,
    }
}

/// A duration from a framework, and a line for the log if it was replaced.
fn span(what: &str, info: &DurationInfo) -> (Span, Option<String>) {
    let given = info.nanoseconds;
    let length = Duration::from_nanos(u64::try_from(given).unwrap_or(0));
    let warning = if given < 0 {
        Some(format!("{what} is negative ({given} ns); using 0"))
    } else if Span::new(length).is_none() {
        let most = Span::MAX.get();
        Some(format!(
            "{what} of {length:?} is above the maximum of {most:?}; using {most:?}"
        ))
    } else {
        None
    };
    (Span::saturating(length), warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frameworks_duration_saturates_with_a_warning() {
        const MOST: i64 = 1_000_000_000_000_000_000;
        let read = |nanoseconds| {
            let (span, warning) = span("it", &DurationInfo { nanoseconds });
            (span.get(), warning)
        };
        let most = Span::MAX.get();
        assert_eq!(read(0), (Duration::ZERO, None));
        assert_eq!(read(1), (Duration::from_nanos(1), None));
        assert_eq!(read(MOST), (most, None));
        let (span, warning) = read(i64::MAX);
        assert_eq!(span, most);
        assert_eq!(
            warning.as_deref(),
            Some(
                "it of 9223372036.854775807s is above the maximum of 1000000000s; using 1000000000s"
            )
        );
        let (span, warning) = read(i64::MIN);
        assert_eq!(span, Duration::ZERO);
        let words = "it is negative (-9223372036854775808 ns); using 0";
        assert_eq!(warning.as_deref(), Some(words));
    }
}

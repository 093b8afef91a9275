//! From the bytes of one record to what it means: an event for the core, and lines for the log in the
//! words of the document (`registered`, `launchTask`, `killTask`, ...).

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use prost::Message;

use crate::codec::api::request::percent_encode_task_id;
use crate::codec::mesos::arguments::Arguments;
use crate::codec::mesos::checks::{FindCurl, read_checks};
use crate::codec::mesos::job::{HookVariables, Sources, read_plan};
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

/// Reads records; remembers what SUBSCRIBED said for the LAUNCH that follows.
#[derive(Debug)]
pub struct Translator {
    hooks: HookVariables,
    arguments: Arguments,
    /// Where the task API is, up to and including the slash before the task's id; `None` if there is none.
    endpoint: Option<String>,
    find_curl: FindCurl,
    executor_data: Option<Vec<u8>>,
    was_subscribed: bool,
}

/// What a record means.
#[derive(Debug)]
pub enum Meaning {
    /// Something for the core.
    Event(Event),
    /// Nothing to do.
    Nothing,
    /// The agent gave up this subscription.
    Ended(StreamEnd),
}

/// How much a line for the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What happens.
    Info,
    /// Something is not as it was asked for.
    Warning,
}

/// Why a record means nothing. The stream goes on behind it.
#[derive(Debug)]
pub enum EventError {
    /// It is not an event.
    Undecodable(prost::DecodeError),
    /// It is an event of this type, without what such an event is about.
    Empty(i32),
}

/// What the executor's own arguments give to its task.
#[derive(Default)]
struct Given<'a> {
    /// Its command, if it has no other.
    arguments: &'a [Vec<u8>],
    /// Variables that rank below those of its command.
    environment: &'a [(Name, Value)],
    /// Variables without a value.
    unresolved: &'a [String],
}

// === impl EventError ===

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Undecodable(error) => write!(f, "decode the event: {error}"),
            Self::Empty(kind) => write!(f, "find the payload of an event of type {kind}"),
        }
    }
}

impl std::error::Error for EventError {}

// === impl Translator ===

impl Translator {
    /// `hooks` and `arguments` are what the executor was started with; `endpoint` is the task API's address
    /// up to and including the slash before the task's id, if there is a task API.
    pub fn new(
        hooks: HookVariables,
        arguments: Arguments,
        endpoint: Option<String>,
        find_curl: FindCurl,
    ) -> Self {
        Self {
            hooks,
            arguments,
            endpoint,
            find_curl,
            executor_data: None,
            was_subscribed: false,
        }
    }

    /// Reads one record of the subscription `generation`. `log` gets one line or more about it.
    ///
    /// # Errors
    ///
    /// The record cannot be decoded; the stream goes on behind it.
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

    /// Who reads our lines about a task. Cook's users and tools look for them in its stdout, and so do those of
    /// hooks; other frameworks expect nothing there but the task's own bytes. Cook's scheduler puts a job's
    /// command into `TaskInfo.data` and never into `TaskInfo.command`, and starts its executor without
    /// arguments (`scheduler/src/cook/mesos/task.clj`); nobody else has a reason to.
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

    /// What the executor's own arguments give to its task.
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

    /// The hooks from the environment; the job's own may also stand in that of its task, which ranks higher.
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
                    format!("the agent has not resolved the secret {name:?}: it is left out"),
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

/// The variables that a task sets. A secret is resolved by the agent's isolator, never here.
/// `whose` is what a refusal calls its owner.
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

/// Why a variable of the task's own environment does nothing here, if it could be thought to do something.
fn idle(name: &Name) -> Option<&'static str> {
    match variables::class_of(name.as_os_str())? {
        Class::Setting => Some("does not change the executor, which reads it at its start only"),
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

/// A framework's length of time, and a line for the log if it is not one that can be kept.
fn span(what: &str, info: &DurationInfo) -> (Span, Option<String>) {
    let given = info.nanoseconds;
    let length = Duration::from_nanos(u64::try_from(given).unwrap_or(0));
    let warning = if given < 0 {
        Some(format!("{what} is negative ({given} ns): using none"))
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
    fn a_frameworks_length_of_time_saturates_with_a_warning() {
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
        let words = "it is negative (-9223372036854775808 ns): using none";
        assert_eq!(warning.as_deref(), Some(words));
    }
}

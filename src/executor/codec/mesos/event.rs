//! From the bytes of one record to what it means: an event for the core, and lines for the log in the
//! words of the document (`registered`, `launchTask`, `killTask`, ...).

use std::time::Duration;

use prost::Message;

use crate::codec::api::request::percent_encode_task_id;
use crate::codec::mesos::job::{HookVariables, Sources, read_plan};
use crate::core::environment::{Name, Value};
use crate::core::event::{Event, Identity, Launch, Work};
use crate::core::plan::Refusal;
use crate::core::session::{Generation, StreamEnd};
use crate::words::units::{AgentId, Span, TaskId};
use cook_mesos::messages::{
    self, CommandInfo, DurationInfo, EventType, KillPolicy, Subscribed, TASK_KILLING_STATE,
    TaskInfo, VARIABLE_SECRET,
};

/// Reads records; remembers what SUBSCRIBED said for the LAUNCH that follows.
#[derive(Debug)]
pub struct Translator {
    hooks: HookVariables,
    /// Where the task API is, up to and including the slash before the task's id; `None` if there is none.
    endpoint: Option<String>,
    executor_data: Option<Vec<u8>>,
    was_subscribed: bool,
}

/// Where commands find the task API.
pub const ENDPOINT: &str = "EXECUTOR_ENDPOINT";

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

/// Why a record means nothing. The stream goes on behind it.
#[derive(Debug)]
pub enum EventError {
    /// It is not an event.
    Undecodable(prost::DecodeError),
    /// It is an event of this type, without what such an event is about.
    Empty(i32),
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
    /// `endpoint` is the task API's address up to and including the slash before the task's id, if there is
    /// a task API.
    pub fn new(hooks: HookVariables, endpoint: Option<String>) -> Self {
        Self {
            hooks,
            endpoint,
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
        log: &mut dyn FnMut(String),
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
                log(format!("launchTaskGroup tasks={}", tasks.len()));
                Event::Launch(
                    tasks
                        .into_iter()
                        .map(|task| self.launch(task, log))
                        .collect(),
                )
            }
            Ok(EventType::Kill) => {
                let kill = kill.ok_or_else(missing)?;
                let grace = grace_of(kill.kill_policy.as_ref());
                let own = grace.map_or(String::new(), |grace| format!(" grace={:?}", grace.get()));
                log(format!("killTask task={:?}{own}", kill.task_id.value));
                Event::Kill(TaskId(kill.task_id.value), grace)
            }
            Ok(EventType::Acknowledged) => {
                let uuid = acknowledged.ok_or_else(missing)?.uuid;
                Event::Acknowledged(uuid)
            }
            Ok(EventType::Shutdown) => {
                log("shutdown".to_owned());
                Event::Shutdown
            }
            Ok(EventType::Message) => {
                let size = message.map_or(0, |message| message.data.len());
                log(format!("frameworkMessage bytes={size} (ignored)"));
                return Ok(Meaning::Nothing);
            }
            Ok(EventType::Error) => {
                let text = error.map(|error| error.message).unwrap_or_default();
                log(format!(
                    "error message={:?}",
                    String::from_utf8_lossy(&text)
                ));
                return Ok(Meaning::Ended(StreamEnd::Disconnected));
            }
            Ok(EventType::Heartbeat) => return Ok(Meaning::Nothing),
            Ok(EventType::Unknown) | Err(_) => {
                log(format!("ignored an event of the unknown type {number}"));
                return Ok(Meaning::Nothing);
            }
        };
        Ok(Meaning::Event(event))
    }

    fn subscribed(
        &mut self,
        generation: Generation,
        subscribed: Subscribed,
        log: &mut dyn FnMut(String),
    ) -> Event {
        let callback = if self.was_subscribed {
            "reregistered"
        } else {
            "registered"
        };
        self.was_subscribed = true;
        let id = |id: Option<messages::Id>| id.map(|id| id.value).unwrap_or_default();
        log(format!(
            "{callback} executor={:?} framework={:?} agent={:?} host={:?}",
            subscribed.executor_info.executor_id.value,
            id(subscribed.framework_info.id),
            id(subscribed.agent_info.id),
            String::from_utf8_lossy(&subscribed.agent_info.hostname),
        ));
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

    fn launch(&self, task: TaskInfo, log: &mut dyn FnMut(String)) -> Launch {
        let TaskInfo {
            name,
            task_id,
            agent_id,
            resources,
            executor,
            data,
            command,
            health_check: _,
            kill_policy,
            check: _,
            max_completion_time,
        } = task;
        let name_for_people = String::from_utf8_lossy(&name);
        log(format!(
            "launchTask task={:?} name={name_for_people:?}",
            task_id.value
        ));
        let (own_executor_data, executor_command) =
            executor.map_or((None, None), |executor| (executor.data, executor.command));
        let sources = Sources {
            data: data.as_deref(),
            command: command.as_ref(),
            executor_data: own_executor_data
                .as_deref()
                .or(self.executor_data.as_deref()),
            variables: &self.hooks,
        };
        let plan = read_plan(sources, log);
        let work = plan.and_then(|plan| {
            let mut environment = variables_of(command.as_ref())?;
            let role = resources
                .first()
                .and_then(|one| one.allocation_info.as_ref()?.role.clone());
            let id = percent_encode_task_id(&TaskId(task_id.value.clone()));
            let endpoint = self.endpoint.as_ref();
            let endpoint = endpoint.map(|endpoint| format!("{endpoint}{id}"));
            if endpoint.is_none() {
                // Whatever it names, it is not this task's API.
                environment.retain(|(name, _)| name.as_os_str() != ENDPOINT);
            }
            let own = [("MESOS_ALLOCATION_ROLE", role), (ENDPOINT, endpoint)];
            for (name, value) in own {
                if let (Ok(name), Some(Ok(value))) = (Name::new(name), value.map(Value::new)) {
                    environment.push((name, value));
                }
            }
            Ok(Work {
                plan,
                environment,
                executor_environment: variables_of(executor_command.as_ref()).unwrap_or_default(),
                kill_grace: grace_of(kill_policy.as_ref()),
                maximum_run_time: max_completion_time.as_ref().map(duration),
            })
        });
        Launch {
            identity: Identity {
                task: TaskId(task_id.value),
                agent: AgentId(agent_id.value),
                name,
            },
            work,
        }
    }
}

/// The variables that a task sets. A secret is resolved by the agent's isolator, never here.
fn variables_of(command: Option<&CommandInfo>) -> Result<Vec<(Name, Value)>, Refusal> {
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
                Refusal(format!(
                    "the task's environment variable {name:?} is invalid: {invalid}"
                ))
            })
        })
        .collect()
}

fn grace_of(policy: Option<&KillPolicy>) -> Option<Span> {
    policy?.grace_period.as_ref().map(duration)
}

/// A negative duration means none.
fn duration(info: &DurationInfo) -> Span {
    Span::saturating(Duration::from_nanos(
        u64::try_from(info.nanoseconds).unwrap_or(0),
    ))
}

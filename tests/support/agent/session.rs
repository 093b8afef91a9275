//! The agent's state, and its response to each call.
//!
//! It follows `Slave::subscribe`, `Slave::statusUpdate` and `Http::executor` of Mesos 1.11.0. Everything
//! that a real agent would refuse, drop or crash on is recorded as a violation. There are no threads and no
//! waiting here, and only the event stream is written to.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use crate::agent::AgentConfig;
use crate::connection::{Connection, Transport};
use crate::events;
use crate::http::Request;
use crate::journal::{Journal, Side, Subscription, What, is_terminal};
use crate::script::{Script, Trouble};
use crate::stream::EventStream;
use crate::validate::{self, Refusal};
use cook_mesos::messages::{
    AgentInfo, Call, CallType, Capability, CommandInfo, Environment, Event, EventType,
    ExecutorInfo, FrameworkInfo, Subscribe, Subscribed, TaskStatus, Variable,
};

/// The state of the agent.
#[derive(Debug)]
pub struct Session {
    /// Identity of the agent and its executor.
    pub config: AgentConfig,
    /// Everything that has happened.
    pub journal: Journal,
    /// Faults to inject.
    pub script: Script,
    stream: Option<EventStream>,
    generation: u64,
    /// Whether the executor has subscribed since the agent's last start.
    pub registered: bool,
    /// Whether the agent has asked the executor to shut down.
    terminating: bool,
    /// LAUNCH events that wait for the executor to subscribe.
    queued: Vec<Event>,
    /// The tasks that were sent to the executor.
    tasks: BTreeMap<String, Task>,
    /// The uuids of all accepted updates.
    accepted: HashSet<Vec<u8>>,
    /// Acknowledgements that were not sent yet.
    due: Vec<(String, Vec<u8>)>,
}

/// What the agent knows about a task.
#[derive(Debug, Default)]
struct Task {
    /// Whether an update was received.
    reported: bool,
    /// Whether a terminal update was received.
    terminal: bool,
}

/// What to do with the connection of a request.
#[derive(Debug)]
pub enum Answer {
    /// Send this response, and read the next request.
    Reply(u16, String),
    /// It carries the event stream of this generation now.
    Stream(u64),
    /// Reset it.
    Reset,
}

// === impl Session ===

impl Session {
    /// The state at the agent's start.
    pub fn new(config: AgentConfig) -> Self {
        Self {
            config,
            journal: Journal::new(),
            script: Script::default(),
            stream: None,
            generation: 0,
            registered: false,
            terminating: false,
            queued: Vec::new(),
            tasks: BTreeMap::new(),
            accepted: HashSet::new(),
            due: Vec::new(),
        }
    }

    /// Responds to one request. Faults are injected after the checks, so an invalid call is reported in any
    /// case.
    pub fn answer(
        &mut self,
        request: &Request,
        transport: Transport,
        connection: &Connection,
    ) -> Answer {
        let (kind, call) = match self.check(request, transport) {
            Ok(checked) => checked,
            Err(refusal) => return self.violated(&refusal),
        };
        let troubles = match kind {
            CallType::Subscribe => &mut self.script.subscribes,
            CallType::Unknown | CallType::Update | CallType::Message => &mut self.script.calls,
        };
        let trouble = troubles.pop_front();
        let call_name = validate::name(kind);
        match trouble {
            Some(Trouble::Status(status)) => {
                return self.refuse(call_name, status, "as scripted");
            }
            Some(Trouble::Refusal(status, text)) => return self.refuse(call_name, status, text),
            Some(Trouble::Reset) => {
                self.journal.record(What::Refused {
                    call: call_name,
                    status: None,
                });
                return Answer::Reset;
            }
            Some(Trouble::LoseReply) | None => {}
        }
        let answer = match (call.subscribe, call.update, call.message) {
            (Some(subscribe), _, _) if kind == CallType::Subscribe => {
                let authorization = request.header("authorization").map(str::to_owned);
                return self.subscribe(subscribe, transport, authorization, connection);
            }
            _ if !self.registered => self.not_subscribed(call_name),
            (_, Some(update), _) if kind == CallType::Update => {
                self.take_update(update.status);
                Answer::Reply(202, String::new())
            }
            (_, _, Some(message)) => {
                self.journal.record(What::Message(message.data));
                Answer::Reply(202, String::new())
            }
            // The contents for each type were checked before.
            _ => Answer::Reply(500, "call without its payload".to_owned()),
        };
        match trouble {
            Some(Trouble::LoseReply) => Answer::Reset,
            _ => answer,
        }
    }

    /// The checks before the call is handled, in the agent's order.
    fn check(&self, request: &Request, transport: Transport) -> Result<(CallType, Call), Refusal> {
        let target = request.target.replace("%28", "(").replace("%29", ")");
        match (target.as_str(), transport) {
            ("/slave(1)/api/v1/executor", _) | ("/api/v1/executor", Transport::Tcp) => {}
            (other, Transport::Tcp) => {
                return Err(Refusal::new(404, format!("unknown path {other}")));
            }
            (other, Transport::Unix) => {
                return Err(Refusal::new(403, format!("unknown path {other}")));
            }
        }
        if let Some(token) = &self.config.token
            && request.header("authorization") != Some(&format!("Bearer {token}"))
        {
            return Err(Refusal::new(401, "the bearer token is missing or wrong"));
        }
        validate::head(request)?;
        let call = Call::decode(request.body.as_slice())
            .map_err(|error| Refusal::new(400, format!("Failed to parse body: {error}")))?;
        let kind = validate::call(&call)?;
        if kind == CallType::Subscribe {
            validate::accept(request)?;
        }
        if call.framework_id.value != self.config.framework_id {
            return Err(Refusal::new(400, "Framework cannot be found"));
        }
        if call.executor_id.value != self.config.executor_id {
            return Err(Refusal::new(400, "Executor cannot be found"));
        }
        Ok((kind, call))
    }

    fn violated(&mut self, refusal: &Refusal) -> Answer {
        let Refusal { status, text } = refusal;
        self.violation(format!("a call is refused with {status}: {text}"));
        Answer::Reply(*status, text.clone())
    }

    fn refuse(&mut self, call: &'static str, status: u16, text: &str) -> Answer {
        self.journal.record(What::Refused {
            call,
            status: Some(status),
        });
        Answer::Reply(status, text.to_owned())
    }

    fn not_subscribed(&mut self, call: &'static str) -> Answer {
        if self.generation == 0 {
            self.violation(format!("{call} before the first SUBSCRIBE"));
        }
        self.refuse(call, 403, "Executor is not subscribed")
    }

    /// Writes down that the executor did what the protocol forbids.
    pub fn violation(&mut self, text: impl Into<String>) {
        self.journal.record(What::Violation(text.into()));
    }

    fn subscribe(
        &mut self,
        subscribe: Subscribe,
        transport: Transport,
        authorization: Option<String>,
        connection: &Connection,
    ) -> Answer {
        if let Some(former) = self.stream.take() {
            if former.is_open() {
                // A real agent may crash on this (MESOS-7622).
                self.violation("SUBSCRIBE while the former stream is open");
            }
            former.finish();
        }
        let tasks = subscribe.unacknowledged_tasks.iter();
        let tasks: Vec<String> = tasks.map(|task| task.task_id.value.clone()).collect();
        let updates = subscribe.unacknowledged_updates.into_iter();
        let updates: Vec<TaskStatus> = updates.map(|update| update.status).collect();
        self.journal.record(What::Subscribed(Subscription {
            transport,
            authorization,
            tasks: tasks.clone(),
            updates: updates.clone(),
        }));
        self.generation += 1;
        match EventStream::open(connection.clone(), self.generation) {
            Ok(stream) => self.stream = Some(stream),
            Err(_) => return Answer::Reset,
        }
        if self.terminating {
            // Its updates are not even looked at (`slave.cpp`, lines 5269 to 5298).
            self.send(&events::shutdown());
            self.end_stream(EventStream::finish);
            return Answer::Stream(self.generation);
        }
        self.registered = true;
        for status in updates {
            self.take_update(status);
        }
        if self.script.acknowledge_first {
            self.send_due();
        }
        self.drop_unknown_tasks(&tasks);
        self.send(&self.subscribed());
        for event in std::mem::take(&mut self.queued) {
            self.send(&event);
        }
        self.send_due();
        Answer::Stream(self.generation)
    }

    /// A task that was delivered, but neither reported nor listed now, is lost for the agent.
    fn drop_unknown_tasks(&mut self, listed: &[String]) {
        for (task_id, task) in &mut self.tasks {
            if !task.reported && !listed.contains(task_id) {
                task.reported = true;
                self.journal.record(What::Dropped(task_id.clone()));
            }
        }
    }

    fn subscribed(&self) -> Event {
        let variables = self.config.executor_environment.iter();
        let variables = variables.map(|(name, value)| Variable {
            name: name.clone().into_bytes(),
            value: Some(value.clone().into_bytes()),
            kind: Some(1),
        });
        let capabilities = self.config.capabilities.iter();
        Event {
            subscribed: Some(Subscribed {
                executor_info: ExecutorInfo {
                    executor_id: self.config.executor_id.as_str().into(),
                    data: self.config.executor_data.clone(),
                    command: Some(CommandInfo {
                        environment: Some(Environment {
                            variables: variables.collect(),
                        }),
                        value: Some(b"./cook-executor".to_vec()),
                        ..CommandInfo::default()
                    }),
                },
                framework_info: FrameworkInfo {
                    id: Some(self.config.framework_id.as_str().into()),
                    capabilities: capabilities
                        .map(|&kind| Capability { kind: Some(kind) })
                        .collect(),
                },
                agent_info: AgentInfo {
                    hostname: b"localhost".to_vec(),
                    id: Some(self.config.agent_id.as_str().into()),
                },
                container_id: Some("container".into()),
            }),
            ..events::of_kind(EventType::Subscribed)
        }
    }

    /// `Slave::statusUpdate`: checks and records the update, and prepares its acknowledgement.
    fn take_update(&mut self, status: TaskStatus) {
        let task_id = status.task_id.value.clone();
        if status.agent_id.as_ref().map(|id| id.value.as_str()) != Some(&self.config.agent_id) {
            return self.violation("update without the agent's id: dropped by a real agent");
        }
        // Its length was checked before.
        let uuid = status.uuid.clone().unwrap_or_default();
        if self.accepted.contains(&uuid) {
            self.due.push((task_id, uuid));
            return self.journal.record(What::Repeated(Box::new(status)));
        }
        let state = status.state();
        match self.tasks.get_mut(&task_id) {
            Some(task) if task.terminal => {
                self.violation(format!("{state:?} of {task_id} after its terminal update"));
            }
            Some(task) => {
                task.reported = true;
                task.terminal = is_terminal(state);
            }
            None => self.violation(format!("{state:?} of {task_id}, which was not delivered")),
        }
        self.accepted.insert(uuid.clone());
        self.due.push((task_id, uuid));
        self.journal.record(What::Update(Box::new(status)));
    }

    /// Sends the acknowledgements that were prepared, unless the script holds them back.
    pub fn send_due(&mut self) {
        if self.script.hold_acknowledgements {
            return;
        }
        for (task_id, uuid) in std::mem::take(&mut self.due) {
            self.send(&events::acknowledged(&task_id, &uuid));
        }
    }

    /// Sends a LAUNCH, or keeps it until the executor has subscribed.
    pub fn launch(&mut self, event: Event) {
        match self.registered {
            true => self.send(&event),
            false => self.queued.push(event),
        }
    }

    /// Asks the executor to shut down, now or when it subscribes.
    pub fn shutdown(&mut self) {
        self.terminating = true;
        if self.stream.is_some() {
            self.send(&events::shutdown());
        }
    }

    /// Sends an event. Without a stream it is lost, as in a real agent.
    pub fn send(&mut self, event: &Event) {
        let name = events::describe(event);
        if !self.write(&name, |stream, splitting| {
            stream.send(&event.encode_to_vec(), splitting)
        }) {
            return;
        }
        if event.launch.is_some() || event.launch_group.is_some() || event.kill.is_some() {
            for task_id in events::tasks_of(event) {
                self.tasks.entry(task_id).or_default();
            }
        }
    }

    /// Writes to the stream, and records that. False if there is no stream.
    pub fn write(
        &mut self,
        name: &str,
        write: impl FnOnce(&EventStream, crate::script::Splitting) -> std::io::Result<()>,
    ) -> bool {
        let splitting = self.script.splitting;
        // Before writing: the executor may act on it before it is recorded.
        let at = self.journal.now();
        let written = self
            .stream
            .as_ref()
            .is_some_and(|stream| write(stream, splitting).is_ok());
        let what = match written {
            true => What::Sent(name.to_owned()),
            false => What::Lost(name.to_owned()),
        };
        self.journal.record_at(at, what);
        written
    }

    /// Ends the stream in the given way, if there is one.
    pub fn end_stream(&mut self, end: impl FnOnce(EventStream)) {
        if let Some(stream) = self.stream.take() {
            self.journal.record(What::StreamEnded { by: Side::Agent });
            end(stream);
        }
    }

    /// The executor has ended the stream of this generation, unless it was replaced before.
    pub fn stream_ended(&mut self, generation: u64) {
        if self.stream.as_ref().map(|stream| stream.generation) == Some(generation) {
            self.stream = None;
            self.journal
                .record(What::StreamEnded { by: Side::Executor });
        }
    }

    /// The agent disappears: connections end, and the executor must subscribe again.
    pub fn stop(&mut self) {
        self.end_stream(EventStream::cut);
        self.registered = false;
    }
}

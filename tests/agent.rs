//! Tests of the test agent: it detects a client that violates the protocol, and accepts one that does not.
//!
//! The client here uses only a socket, so that the agent's HTTP is checked byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;

use cook_mesos::messages::{
    Call, CallMessage, CallType, Event, EventType, SOURCE_EXECUTOR, Subscribe, TaskState,
    TaskStatus, Update,
};
use cook_mesos::recordio;
use cook_test_agent::agent::{Agent, AgentConfig};
use cook_test_agent::events;
use cook_test_agent::journal::What;
use prost::Message;

/// The path of the executor API.
const PATH: &str = "/slave(1)/api/v1/executor";

/// What a correct client sends besides the body.
const HEADERS: &str =
    "Host: x\r\nContent-Type: application/x-protobuf\r\nAccept: application/x-protobuf\r\n";

/// An executor's side of a connection.
struct Client {
    stream: TcpStream,
    decoder: recordio::Decoder,
    records: Vec<Vec<u8>>,
}

// === impl Client ===

impl Client {
    fn connect(agent: &Agent) -> Self {
        Self {
            stream: TcpStream::connect(agent.address()).expect("the agent listens"),
            decoder: recordio::Decoder::default(),
            records: Vec::new(),
        }
    }

    /// A client with an open event stream.
    fn subscribe(agent: &Agent, subscribe: Subscribe) -> Self {
        let mut client = Self::connect(agent);
        let mut call = call(CallType::Subscribe);
        call.subscribe = Some(subscribe);
        assert_eq!(client.post(PATH, HEADERS, &call.encode_to_vec()), 200);
        client
    }

    /// Sends a request. Returns the status of the response.
    fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> u16 {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat());
        self.status()
    }

    fn call(&mut self, call: &Call) -> u16 {
        self.post(PATH, HEADERS, &call.encode_to_vec())
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the agent reads");
    }

    /// Reads a head, and the body if it has a length.
    fn status(&mut self) -> u16 {
        let head = self.line_block();
        let status = head[9..12].parse().expect("a status of three digits");
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |text| text.parse().expect("a length"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a whole body");
        status
    }

    fn line_block(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte().expect("a whole head"));
        }
        String::from_utf8(head).expect("a head of text")
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    /// The next event; `None` at the end of the stream.
    fn event(&mut self) -> Option<Event> {
        while self.records.is_empty() {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.byte()?);
            }
            let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("hexadecimal digits");
            let length = usize::from_str_radix(digits, 16).expect("a chunk's length");
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).ok()?;
            let mut bytes = &chunk[..length];
            while let Some(record) = self.decoder.next(&mut bytes).expect("good framing") {
                self.records.push(record);
            }
            if length == 0 {
                return None;
            }
        }
        let record = self.records.remove(0);
        Some(Event::decode(record.as_slice()).expect("an event"))
    }

    fn event_type(&mut self) -> Option<EventType> {
        let number = self.event()?.kind?;
        EventType::try_from(number).ok()
    }
}

fn call(kind: CallType) -> Call {
    Call {
        executor_id: "executor-1".into(),
        framework_id: "framework-1".into(),
        kind: Some(kind as i32),
        ..Call::default()
    }
}

fn status(state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: "t".into(),
        state: state as i32,
        agent_id: Some("agent-1".into()),
        executor_id: Some("executor-1".into()),
        source: Some(SOURCE_EXECUTOR),
        uuid: Some(vec![uuid; 16]),
        ..TaskStatus::default()
    }
}

fn update(state: TaskState, uuid: u8) -> Call {
    let mut update = call(CallType::Update);
    update.update = Some(Update {
        status: status(state, uuid),
    });
    update
}

fn start() -> Agent {
    Agent::start(AgentConfig::default()).expect("the agent starts")
}

fn violations(agent: &Agent) -> Vec<String> {
    agent.inspect(|journal| {
        let violations = journal.violations();
        violations.into_iter().map(str::to_owned).collect()
    })
}

#[test]
fn a_correct_executor_gets_what_mesos_promises() {
    let agent = start();
    agent.launch(events::task("t", "agent-1", "{}"));
    let mut stream = Client::subscribe(&agent, Subscribe::default());
    assert_eq!(stream.event_type(), Some(EventType::Subscribed));
    assert_eq!(stream.event_type(), Some(EventType::Launch));
    let mut calls = Client::connect(&agent);
    assert_eq!(calls.call(&update(TaskState::Running, 1)), 202);
    let acknowledged = stream.event().unwrap().acknowledged.unwrap();
    assert_eq!(acknowledged.uuid, [1; 16]);
    let mut message = call(CallType::Message);
    message.message = Some(CallMessage {
        data: b"{\"a\": 1}".to_vec(),
    });
    assert_eq!(calls.call(&message), 202);
    // A repeated update is not new, and is acknowledged again.
    assert_eq!(calls.call(&update(TaskState::Running, 1)), 202);
    assert_eq!(stream.event_type(), Some(EventType::Acknowledged));
    assert_eq!(calls.call(&update(TaskState::Finished, 2)), 202);
    assert_eq!(stream.event_type(), Some(EventType::Acknowledged));
    agent.close_stream();
    assert_eq!(stream.event_type(), None);
    agent.inspect(|journal| {
        assert_eq!(journal.states(), [TaskState::Running, TaskState::Finished]);
        assert_eq!(journal.messages(), [serde_json::json!({"a": 1})]);
        assert_eq!(
            journal.arrivals(),
            ["TASK_RUNNING", "{\"a\": 1}", "TASK_FINISHED"]
        );
    });
    assert_eq!(violations(&agent), [] as [&str; 0]);
}

#[test]
fn updates_within_a_subscription_are_accepted_and_acknowledged_once_each() {
    let agent = start();
    agent.launch(events::task("t", "agent-1", "{}"));
    let mut first = Client::subscribe(&agent, Subscribe::default());
    assert_eq!(first.event_type(), Some(EventType::Subscribed));
    assert_eq!(first.event_type(), Some(EventType::Launch));
    drop(first);
    let updates = [(TaskState::Running, 1), (TaskState::Finished, 2)];
    let mut second = Client::subscribe(
        &agent,
        Subscribe {
            unacknowledged_tasks: vec![events::task("t", "agent-1", "{}").into()],
            unacknowledged_updates: updates
                .map(|(state, uuid)| Update {
                    status: status(state, uuid),
                })
                .to_vec(),
        },
    );
    assert_eq!(second.event_type(), Some(EventType::Subscribed));
    for uuid in [1, 2] {
        let acknowledged = second.event().unwrap().acknowledged.unwrap();
        assert_eq!(acknowledged.uuid, [uuid; 16]);
    }
    assert_eq!(violations(&agent), [] as [&str; 0]);
}

#[test]
fn a_task_that_the_executor_forgot_is_dropped() {
    let agent = start();
    agent.launch(events::task("t", "agent-1", "{}"));
    let mut first = Client::subscribe(&agent, Subscribe::default());
    assert_eq!(first.event_type(), Some(EventType::Subscribed));
    assert_eq!(first.event_type(), Some(EventType::Launch));
    drop(first);
    let _second = Client::subscribe(&agent, Subscribe::default());
    agent.inspect(|journal| {
        let dropped = journal.entries().iter();
        assert!(
            dropped
                .into_iter()
                .any(|entry| matches!(entry.what, What::Dropped(_)))
        );
    });
}

#[test]
fn each_violation_of_the_protocol_is_detected() {
    let good = update(TaskState::Running, 1).encode_to_vec();
    let json = HEADERS.replace("x-protobuf", "json");
    let mut staging = status(TaskState::Running, 1);
    staging.state = 6;
    let mut short = status(TaskState::Running, 1);
    short.uuid = Some(vec![1]);
    let with = |status| {
        let mut call = call(CallType::Update);
        call.update = Some(Update { status });
        call.encode_to_vec()
    };
    let mut foreign = update(TaskState::Running, 1);
    foreign.framework_id = "another".into();
    for (status, path, headers, body) in [
        (404, "/slave(2)/api/v1/executor", HEADERS, good.clone()),
        (400, PATH, "Host: x\r\n", good.clone()),
        (
            400,
            PATH,
            "Content-Type: application/x-protobuf\r\n",
            good.clone(),
        ),
        (415, PATH, json.as_str(), good.clone()),
        (400, PATH, HEADERS, b"not protobuf".to_vec()),
        (400, PATH, HEADERS, with(staging)),
        (400, PATH, HEADERS, with(short)),
        (400, PATH, HEADERS, foreign.encode_to_vec()),
        (403, PATH, HEADERS, good.clone()),
    ] {
        let agent = start();
        assert_eq!(Client::connect(&agent).post(path, headers, &body), status);
        assert_eq!(violations(&agent).len(), 1, "{status} {headers}");
    }
}

#[test]
fn updates_that_mesos_would_drop_or_crash_on_are_detected() {
    let mut nobody = update(TaskState::Running, 1);
    if let Some(update) = &mut nobody.update {
        update.status.agent_id = None;
    }
    let mut unknown = update(TaskState::Running, 1);
    if let Some(update) = &mut unknown.update {
        update.status.task_id = "never-launched".into();
    }
    let late = update(TaskState::Running, 3);
    let second_end = update(TaskState::Killed, 4);
    for wrong in [nobody, unknown, late, second_end] {
        let agent = start();
        agent.launch(events::task("t", "agent-1", "{}"));
        let _stream = Client::subscribe(&agent, Subscribe::default());
        let mut calls = Client::connect(&agent);
        assert_eq!(calls.call(&update(TaskState::Finished, 2)), 202);
        assert_eq!(violations(&agent), [] as [&str; 0]);
        calls.call(&wrong);
        assert_eq!(violations(&agent).len(), 1, "{wrong:?}");
    }
}

#[test]
fn a_second_subscription_is_detected_and_replaces_the_first() {
    let agent = start();
    let mut first = Client::subscribe(&agent, Subscribe::default());
    assert_eq!(first.event_type(), Some(EventType::Subscribed));
    let mut second = Client::subscribe(&agent, Subscribe::default());
    assert_eq!(violations(&agent).len(), 1);
    assert_eq!(first.event_type(), None);
    assert_eq!(second.event_type(), Some(EventType::Subscribed));
    agent.heartbeat();
    assert_eq!(second.event_type(), Some(EventType::Heartbeat));
}

#[test]
fn a_call_on_the_streams_connection_is_detected() {
    let agent = start();
    let mut stream = Client::subscribe(&agent, Subscribe::default());
    let head = format!("POST {PATH} HTTP/1.1\r\n{HEADERS}Content-Length: 0\r\n\r\n");
    stream.send(head.as_bytes());
    agent
        .wait_until("the violation", |journal| !journal.violations().is_empty())
        .unwrap();
}

#[test]
fn the_token_is_required() {
    let config = AgentConfig {
        token: Some("secret".to_owned()),
        ..AgentConfig::default()
    };
    let agent = Agent::start(config).unwrap();
    let mut subscribe = call(CallType::Subscribe);
    subscribe.subscribe = Some(Subscribe::default());
    let body = subscribe.encode_to_vec();
    let mut client = Client::connect(&agent);
    assert_eq!(client.post(PATH, HEADERS, &body), 401);
    let headers = format!("{HEADERS}Authorization: Bearer secret\r\n");
    assert_eq!(client.post(PATH, &headers, &body), 200);
}

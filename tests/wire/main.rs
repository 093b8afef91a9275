//! Golden bytes: every call and event is encoded by hand from the field numbers in Mesos' .proto files, and
//! by our schema, and both must be equal. The test agent uses the same schema as the executor, so it cannot
//! find errors in it; these bytes can.

mod scheduler;

use cook_mesos::messages::{
    Acknowledged, AgentInfo, AllocationInfo, Call, CallMessage, CallType, Capability, CheckCommand,
    CheckInfo, CheckStatusInfo, CheckType, CommandInfo, CommandStatus, DurationInfo, Environment,
    Error, Event, EventMessage, EventType, ExecutorInfo, FrameworkInfo, HealthCheck, HttpCheckInfo,
    HttpStatus, Kill, KillPolicy, Launch, LaunchGroup, PROTOCOL_IPV4, PROTOCOL_IPV6, Reason,
    Resource, SOURCE_EXECUTOR, Subscribe, Subscribed, TASK_KILLING_STATE, TaskGroupInfo, TaskInfo,
    TaskState, TaskStatus, TcpCheckInfo, TcpStatus, Update, VARIABLE_SECRET, Variable,
};
use cook_mesos::recordio;
use prost::Message;

/// A protobuf message that is being built. Fields are appended in the order of their numbers.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

// === impl Bytes ===

impl Bytes {
    fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field of wire type 0: an integer, an enumeration value or a boolean.
    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// A field of wire type 1.
    fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of wire type 2: a string, bytes or a message.
    fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend(value.as_ref());
        self
    }

    fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, value.0)
    }

    /// An id: a message whose field 1 is a string.
    fn id(self, field: u64, value: &str) -> Self {
        self.message(field, Self::new().bytes(1, value))
    }
}

/// Checks both directions: the schema encodes the value to these bytes, and decodes them to the same value.
#[track_caller]
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(value: &M, bytes: &Bytes) {
    assert_eq!(hex(&value.encode_to_vec()), hex(&bytes.0));
    assert_eq!(
        &M::decode(bytes.0.as_slice()).expect("the bytes are a message"),
        value
    );
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

const UUID: [u8; 16] = *b"0123456789abcdef";

/// `executor_id`, `framework_id` and `type`, which every call has.
fn call_bytes(kind: u64) -> Bytes {
    Bytes::new().id(1, "e").id(2, "f").number(3, kind)
}

fn call(kind: CallType) -> Call {
    Call {
        executor_id: "e".into(),
        framework_id: "f".into(),
        kind: Some(kind as i32),
        ..Call::default()
    }
}

fn event(kind: EventType) -> Event {
    Event {
        kind: Some(kind as i32),
        ..Event::default()
    }
}

fn status() -> TaskStatus {
    TaskStatus {
        task_id: "t".into(),
        state: TaskState::Failed as i32,
        data: Some(b"{}".to_vec()),
        message: Some("m".to_owned()),
        agent_id: Some("a".into()),
        timestamp: Some(1.5),
        executor_id: Some("e".into()),
        healthy: None,
        source: Some(SOURCE_EXECUTOR),
        reason: Some(Reason::TaskInvalid as i32),
        uuid: Some(UUID.to_vec()),
        check_status: None,
    }
}

fn status_bytes() -> Bytes {
    Bytes::new()
        .id(1, "t")
        .number(2, 3)
        .bytes(3, "{}")
        .bytes(4, "m")
        .id(5, "a")
        .double(6, 1.5)
        .id(7, "e")
        .number(9, 2)
        .number(10, 14)
        .bytes(11, UUID)
}

fn task() -> TaskInfo {
    TaskInfo {
        name: b"n".to_vec(),
        task_id: "t".into(),
        agent_id: "a".into(),
        ..TaskInfo::default()
    }
}

fn task_bytes() -> Bytes {
    Bytes::new().bytes(1, "n").id(2, "t").id(3, "a")
}

#[test]
fn the_encoder_of_this_test_is_correct() {
    let bytes = Bytes::new().number(1, 300).bytes(2, "ab").double(3, 1.0);
    assert_eq!(
        hex(&bytes.0),
        "08 ac 02 12 02 61 62 19 00 00 00 00 00 00 f0 3f"
    );
}

#[test]
fn a_subscribe_call_without_tasks_and_updates() {
    let mut subscribe = call(CallType::Subscribe);
    subscribe.subscribe = Some(Subscribe::default());
    check(&subscribe, &call_bytes(1).message(4, Bytes::new()));
    // The same without any helper: three ids, a type, an empty message.
    assert_eq!(
        hex(&subscribe.encode_to_vec()),
        "0a 03 0a 01 65 12 03 0a 01 66 18 01 22 00"
    );
}

#[test]
fn a_subscribe_call_with_tasks_and_updates() {
    let mut subscribe = call(CallType::Subscribe);
    subscribe.subscribe = Some(Subscribe {
        unacknowledged_tasks: vec![task().into()],
        unacknowledged_updates: vec![Update { status: status() }, Update { status: status() }],
    });
    let update = || Bytes::new().message(1, status_bytes());
    let payload = Bytes::new()
        .message(1, task_bytes())
        .message(2, update())
        .message(2, update());
    check(&subscribe, &call_bytes(1).message(4, payload));
}

#[test]
fn an_update_call() {
    let mut update = call(CallType::Update);
    update.update = Some(Update { status: status() });
    let payload = Bytes::new().message(1, status_bytes());
    check(&update, &call_bytes(2).message(5, payload));
}

#[test]
fn an_update_of_starting_contains_its_zero() {
    let starting = TaskStatus {
        task_id: "t".into(),
        state: TaskState::Starting as i32,
        ..TaskStatus::default()
    };
    check(&starting, &Bytes::new().id(1, "t").number(2, 0));
}

#[test]
fn a_message_call_has_its_data_in_field_2() {
    let mut message = call(CallType::Message);
    message.message = Some(CallMessage {
        data: b"hello".to_vec(),
    });
    check(
        &message,
        &call_bytes(3).message(6, Bytes::new().bytes(2, "hello")),
    );
}

#[test]
fn all_task_states_have_the_numbers_of_mesos() {
    for (state, number) in [
        (TaskState::Starting, 0),
        (TaskState::Running, 1),
        (TaskState::Finished, 2),
        (TaskState::Failed, 3),
        (TaskState::Killed, 4),
        (TaskState::Error, 7),
        (TaskState::Killing, 8),
    ] {
        assert_eq!(state as i32, number);
    }
    assert_eq!(Reason::TaskInvalid as i32, 14);
    assert_eq!(Reason::TaskCheckStatusUpdated as i32, 28);
    assert_eq!(Reason::TaskHealthCheckStatusUpdated as i32, 29);
    assert_eq!(Reason::MaxCompletionTimeReached as i32, 33);
    for (kind, number) in [
        (CheckType::Command, 1),
        (CheckType::Http, 2),
        (CheckType::Tcp, 3),
    ] {
        assert_eq!(kind as i32, number);
    }
    assert_eq!((PROTOCOL_IPV4, PROTOCOL_IPV6), (1, 2));
    assert_eq!(TASK_KILLING_STATE, 2);
    assert_eq!(VARIABLE_SECRET, 2);
}

#[test]
fn a_subscribed_event() {
    let variable = |name: &str, kind: Option<i32>| Variable {
        name: name.into(),
        value: Some(b"v".to_vec()),
        kind,
    };
    let mut subscribed = event(EventType::Subscribed);
    subscribed.subscribed = Some(Subscribed {
        executor_info: ExecutorInfo {
            executor_id: "e".into(),
            data: Some(b"d".to_vec()),
            command: Some(CommandInfo {
                environment: Some(Environment {
                    variables: vec![variable("A", None), variable("B", Some(VARIABLE_SECRET))],
                }),
                value: Some(b"./cook-executor".to_vec()),
                ..CommandInfo::default()
            }),
        },
        framework_info: FrameworkInfo {
            id: Some("f".into()),
            capabilities: vec![Capability { kind: Some(2) }, Capability { kind: Some(5) }],
        },
        agent_info: AgentInfo {
            hostname: b"host".to_vec(),
            id: Some("a".into()),
        },
        container_id: Some("c".into()),
    });
    let plain = Bytes::new().bytes(1, "A").bytes(2, "v");
    let secret = Bytes::new().bytes(1, "B").bytes(2, "v").number(3, 2);
    let environment = Bytes::new().message(1, plain).message(1, secret);
    let command = Bytes::new()
        .message(2, environment)
        .bytes(3, "./cook-executor");
    let executor = Bytes::new().id(1, "e").bytes(4, "d").message(7, command);
    let framework = Bytes::new()
        .id(3, "f")
        .message(10, Bytes::new().number(1, 2))
        .message(10, Bytes::new().number(1, 5));
    let agent = Bytes::new().bytes(1, "host").id(6, "a");
    let payload = Bytes::new()
        .message(1, executor)
        .message(2, framework)
        .message(3, agent)
        .id(4, "c");
    check(&subscribed, &Bytes::new().number(1, 1).message(2, payload));
}

#[test]
fn a_launch_event_with_everything_an_executor_reads() {
    let mut launch = event(EventType::Launch);
    launch.launch = Some(Launch {
        task: TaskInfo {
            resources: vec![Resource {
                allocation_info: Some(AllocationInfo {
                    role: Some("r".to_owned()),
                }),
            }],
            executor: Some(ExecutorInfo {
                executor_id: "e".into(),
                ..ExecutorInfo::default()
            }),
            data: Some(b"{}".to_vec()),
            command: Some(CommandInfo {
                value: Some(b"/bin/echo".to_vec()),
                shell: Some(false),
                arguments: vec![b"echo".to_vec(), b"hi".to_vec()],
                ..CommandInfo::default()
            }),
            kill_policy: Some(KillPolicy {
                grace_period: Some(DurationInfo {
                    nanoseconds: 1 << 40,
                }),
            }),
            max_completion_time: Some(DurationInfo { nanoseconds: 7 }),
            ..task()
        },
    });
    let resource = Bytes::new().message(11, Bytes::new().bytes(1, "r"));
    let command = Bytes::new()
        .bytes(3, "/bin/echo")
        .number(6, 0)
        .bytes(7, "echo")
        .bytes(7, "hi");
    let policy = Bytes::new().message(1, Bytes::new().number(1, 1 << 40));
    let task = task_bytes()
        .message(4, resource)
        .message(5, Bytes::new().id(1, "e"))
        .bytes(6, "{}")
        .message(7, command)
        .message(12, policy)
        .message(14, Bytes::new().number(1, 7));
    let payload = Bytes::new().message(1, task);
    check(&launch, &Bytes::new().number(1, 2).message(4, payload));
}

#[test]
fn a_health_check_of_each_type() {
    let command = CommandInfo {
        value: Some(b"true".to_vec()),
        ..CommandInfo::default()
    };
    let http = HttpCheckInfo {
        port: 8080,
        path: Some(b"/health".to_vec()),
        scheme: Some(b"http".to_vec()),
        statuses: vec![200, 204],
        protocol: Some(PROTOCOL_IPV6),
    };
    let tcp = TcpCheckInfo {
        port: 65535,
        protocol: Some(PROTOCOL_IPV4),
    };
    let check_of = |kind: CheckType| HealthCheck {
        delay_seconds: Some(0.5),
        interval_seconds: Some(10.0),
        timeout_seconds: Some(0.0),
        consecutive_failures: Some(0),
        grace_period_seconds: Some(300.0),
        kind: Some(kind as i32),
        ..HealthCheck::default()
    };
    // The fields that every type has, after its first one.
    let times = |bytes: Bytes| {
        bytes
            .double(2, 0.5)
            .double(3, 10.0)
            .double(4, 0.0)
            .number(5, 0)
            .double(6, 300.0)
    };
    let http_bytes = Bytes::new()
        .number(1, 8080)
        .bytes(2, "/health")
        .bytes(3, "http")
        .number(4, 200)
        .number(4, 204)
        .number(5, 2);
    check(
        &HealthCheck {
            http: Some(http),
            ..check_of(CheckType::Http)
        },
        &times(Bytes::new().message(1, http_bytes)).number(8, 2),
    );
    // Here the command is a direct member.
    check(
        &HealthCheck {
            command: Some(command),
            ..check_of(CheckType::Command)
        },
        &times(Bytes::new())
            .message(7, Bytes::new().bytes(3, "true"))
            .number(8, 1),
    );
    let tcp_bytes = Bytes::new().number(1, 65535).number(2, 1);
    check(
        &HealthCheck {
            tcp: Some(tcp),
            ..check_of(CheckType::Tcp)
        },
        &times(Bytes::new()).number(8, 3).message(9, tcp_bytes),
    );
}

#[test]
fn a_task_with_a_check_of_each_type_and_a_health_check() {
    let command = CommandInfo {
        value: Some(b"true".to_vec()),
        ..CommandInfo::default()
    };
    let http = HttpCheckInfo {
        port: 80,
        ..HttpCheckInfo::default()
    };
    let tcp = TcpCheckInfo {
        port: 25,
        ..TcpCheckInfo::default()
    };
    let info = CheckInfo {
        delay_seconds: Some(1.0),
        interval_seconds: Some(2.0),
        timeout_seconds: Some(3.0),
        ..CheckInfo::default()
    };
    let times = |bytes: Bytes| bytes.double(4, 1.0).double(5, 2.0).double(6, 3.0);
    let port = |number| Bytes::new().number(1, number);
    // Here the command is one message deeper than in a health check.
    let wrapped = Bytes::new().message(1, Bytes::new().bytes(3, "true"));
    for (info, bytes) in [
        (
            CheckInfo {
                kind: Some(CheckType::Command as i32),
                command: Some(CheckCommand { command }),
                ..info.clone()
            },
            times(Bytes::new().number(1, 1).message(2, wrapped)),
        ),
        (
            CheckInfo {
                kind: Some(CheckType::Http as i32),
                http: Some(http),
                ..info.clone()
            },
            times(Bytes::new().number(1, 2).message(3, port(80))),
        ),
        (
            CheckInfo {
                kind: Some(CheckType::Tcp as i32),
                tcp: Some(tcp),
                ..info
            },
            times(Bytes::new().number(1, 3)).message(7, port(25)),
        ),
    ] {
        let task = TaskInfo {
            health_check: Some(HealthCheck::default()),
            check: Some(info),
            ..task()
        };
        let whole = task_bytes().message(8, Bytes::new()).message(13, bytes);
        check(&task, &whole);
    }
}

#[test]
fn a_status_with_healthy_and_a_check_status_of_each_type() {
    let number = |value| Bytes::new().number(1, value);
    let info = |kind: CheckType| CheckStatusInfo {
        kind: Some(kind as i32),
        ..CheckStatusInfo::default()
    };
    for (info, bytes) in [
        (
            CheckStatusInfo {
                command: Some(CommandStatus { exit_code: Some(1) }),
                ..info(CheckType::Command)
            },
            number(1).message(2, number(1)),
        ),
        (
            CheckStatusInfo {
                http: Some(HttpStatus {
                    status_code: Some(503),
                }),
                ..info(CheckType::Http)
            },
            number(2).message(3, number(503)),
        ),
        (
            CheckStatusInfo {
                tcp: Some(TcpStatus {
                    succeeded: Some(false),
                }),
                ..info(CheckType::Tcp)
            },
            number(3).message(4, number(0)),
        ),
        // There is no result yet.
        (
            CheckStatusInfo {
                http: Some(HttpStatus::default()),
                ..info(CheckType::Http)
            },
            number(2).message(3, Bytes::new()),
        ),
    ] {
        let status = TaskStatus {
            task_id: "t".into(),
            state: TaskState::Running as i32,
            healthy: Some(false),
            reason: Some(Reason::TaskHealthCheckStatusUpdated as i32),
            check_status: Some(info),
            ..TaskStatus::default()
        };
        let whole = Bytes::new()
            .id(1, "t")
            .number(2, 1)
            .number(8, 0)
            .number(10, 29)
            .message(15, bytes);
        check(&status, &whole);
    }
}

#[test]
fn a_launch_group_event() {
    let mut group = event(EventType::LaunchGroup);
    group.launch_group = Some(LaunchGroup {
        task_group: TaskGroupInfo {
            tasks: vec![task(), task()],
        },
    });
    let tasks = Bytes::new()
        .message(1, task_bytes())
        .message(1, task_bytes());
    let payload = Bytes::new().message(1, tasks);
    check(&group, &Bytes::new().number(1, 8).message(8, payload));
}

#[test]
fn a_kill_event_with_and_without_a_policy() {
    let mut kill = event(EventType::Kill);
    kill.kill = Some(Kill {
        task_id: "t".into(),
        kill_policy: None,
    });
    let bytes = |payload| Bytes::new().number(1, 3).message(5, payload);
    check(&kill, &bytes(Bytes::new().id(1, "t")));
    kill.kill = Some(Kill {
        task_id: "t".into(),
        kill_policy: Some(KillPolicy {
            grace_period: Some(DurationInfo {
                nanoseconds: 5_000_000_000,
            }),
        }),
    });
    let policy = Bytes::new().message(1, Bytes::new().number(1, 5_000_000_000));
    check(&kill, &bytes(Bytes::new().id(1, "t").message(2, policy)));
}

#[test]
fn an_acknowledged_event() {
    let mut acknowledged = event(EventType::Acknowledged);
    acknowledged.acknowledged = Some(Acknowledged {
        task_id: "t".into(),
        uuid: UUID.to_vec(),
    });
    let payload = Bytes::new().id(1, "t").bytes(2, UUID);
    check(
        &acknowledged,
        &Bytes::new().number(1, 4).message(3, payload),
    );
}

#[test]
fn a_message_event_has_its_data_in_field_1() {
    let mut message = event(EventType::Message);
    message.message = Some(EventMessage {
        data: vec![0xff, 0],
    });
    let payload = Bytes::new().bytes(1, [0xff, 0]);
    check(&message, &Bytes::new().number(1, 5).message(6, payload));
}

#[test]
fn an_error_event() {
    let mut error = event(EventType::Error);
    error.error = Some(Error {
        message: b"wrong".to_vec(),
    });
    let payload = Bytes::new().bytes(1, "wrong");
    check(&error, &Bytes::new().number(1, 6).message(7, payload));
}

#[test]
fn shutdown_and_heartbeat_have_only_their_type() {
    check(&event(EventType::Shutdown), &Bytes::new().number(1, 7));
    check(&event(EventType::Heartbeat), &Bytes::new().number(1, 9));
    check(&event(EventType::Unknown), &Bytes::new().number(1, 0));
}

#[test]
fn an_event_type_of_a_later_mesos_can_be_decoded() {
    let bytes = Bytes::new()
        .number(1, 99)
        .bytes(50, "payload of the future");
    let event = Event::decode(bytes.0.as_slice()).unwrap();
    assert_eq!(event.kind, Some(99));
    assert_eq!(EventType::try_from(99).ok(), None);
}

#[test]
fn fields_that_an_executor_does_not_read_are_skipped() {
    // A framework as a real agent describes it: user, name, failover timeout, role, hostname.
    let framework = Bytes::new()
        .bytes(1, "user")
        .bytes(2, "name")
        .id(3, "f")
        .double(4, 60.0)
        .number(5, 1)
        .bytes(6, "*")
        .bytes(7, "host")
        .message(13, Bytes::new().bytes(1, "key"));
    let scalar = Bytes::new().double(1, 0.5);
    let resource = Bytes::new()
        .bytes(1, "cpus")
        .number(2, 0)
        .message(3, scalar);
    let executor = Bytes::new()
        .id(1, "e")
        .message(5, resource)
        .id(8, "f")
        .bytes(9, [b'n', 0xff])
        .number(15, 2);
    let agent = Bytes::new()
        .bytes(1, "host")
        .message(3, Bytes::new())
        .id(6, "a")
        .number(8, 5051);
    let payload = Bytes::new()
        .message(1, executor)
        .message(2, framework)
        .message(3, agent);
    let bytes = Bytes::new().number(1, 1).message(2, payload);
    let event = Event::decode(bytes.0.as_slice()).unwrap();
    let subscribed = event.subscribed.unwrap();
    assert_eq!(subscribed.executor_info.executor_id.value, "e");
    assert_eq!(subscribed.framework_info.id.unwrap().value, "f");
    assert_eq!(subscribed.agent_info.id.unwrap().value, "a");
}

#[test]
fn text_written_by_users_need_not_be_utf_8() {
    let variable = Bytes::new().bytes(1, [b'A', 0xe9]).bytes(2, [0xe9]);
    let environment = Bytes::new().message(1, variable);
    let command = Bytes::new()
        .message(2, environment)
        .bytes(3, [b'x', 0xe9])
        .bytes(7, [0xe9]);
    let task = Bytes::new()
        .bytes(1, [0xe9])
        .id(2, "t")
        .id(3, "a")
        .bytes(6, [0xe9])
        .message(7, command);
    let task = TaskInfo::decode(task.0.as_slice()).unwrap();
    assert_eq!(task.name, [0xe9]);
    let command = task.command.unwrap();
    assert_eq!(command.value.as_deref(), Some(&[b'x', 0xe9][..]));
    assert_eq!(command.arguments, [[0xe9]]);
    assert_eq!(command.environment.unwrap().variables[0].name, [b'A', 0xe9]);
}

#[test]
fn a_record_is_its_length_in_decimal_a_line_feed_and_the_bytes() {
    let heartbeat = event(EventType::Heartbeat).encode_to_vec();
    assert_eq!(recordio::encode(&heartbeat), b"2\n\x08\x09");
    assert_eq!(recordio::encode(b""), b"0\n");
}

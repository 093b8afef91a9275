//! Golden bytes of the scheduler API: each call as it is encoded, each event as it is decoded.

use cook_mesos::messages::{DurationInfo, Environment, KillPolicy, Variable};
use cook_mesos::scheduler::*;
use prost::Message;

use crate::Bytes;

fn id(value: &str) -> Bytes {
    Bytes::new().bytes(1, value)
}

fn call(kind: CallType) -> Call {
    Call {
        framework_id: Some("f".into()),
        kind: Some(kind.into()),
        ..Call::default()
    }
}

/// Checks a call of this type with this message in this field.
#[track_caller]
fn check_call(call: &Call, kind: u64, payload: Option<(u64, Bytes)>) {
    let mut wanted = Bytes::new().message(1, id("f")).number(2, kind);
    if let Some((field, payload)) = payload {
        wanted = wanted.message(field, payload);
    }
    assert_eq!(call.encode_to_vec(), wanted.0);
    assert_eq!(Call::decode(&*wanted.0).as_ref(), Ok(call));
}

/// Checks an event of this type with this message in this field.
#[track_caller]
fn check_event(event: &Event, kind: u64, payload: Option<(u64, Bytes)>) {
    let mut bytes = Bytes::new().number(1, kind);
    if let Some((field, payload)) = payload {
        bytes = bytes.message(field, payload);
    }
    assert_eq!(Event::decode(&*bytes.0).as_ref(), Ok(event));
    assert_eq!(event.encode_to_vec(), bytes.0);
}

fn framework() -> (FrameworkInfo, Bytes) {
    let capability = |kind: CapabilityType| Capability {
        kind: Some(kind.into()),
    };
    let info = FrameworkInfo {
        user: "cook".into(),
        name: "Cook".into(),
        id: Some("f".into()),
        failover_timeout: Some(604_800.0),
        checkpoint: Some(true),
        role: Some("r".into()),
        hostname: Some("h".into()),
        principal: Some("p".into()),
        webui_url: Some("http://w".into()),
        capabilities: vec![
            capability(CapabilityType::TaskKillingState),
            capability(CapabilityType::PartitionAware),
            capability(CapabilityType::MultiRole),
        ],
        roles: vec!["a".into(), "b".into()],
    };
    let bytes = Bytes::new()
        .bytes(1, "cook")
        .bytes(2, "Cook")
        .message(3, id("f"))
        .double(4, 604_800.0)
        .number(5, 1)
        .bytes(6, "r")
        .bytes(7, "h")
        .bytes(8, "p")
        .bytes(9, "http://w")
        .message(10, Bytes::new().number(1, 2))
        .message(10, Bytes::new().number(1, 5))
        .message(10, Bytes::new().number(1, 6))
        .bytes(12, "a")
        .bytes(12, "b");
    (info, bytes)
}

#[test]
fn a_first_subscription_has_no_framework_id() {
    let (mut framework_info, _) = framework();
    framework_info.id = None;
    let first = Call {
        framework_id: None,
        subscribe: Some(Subscribe {
            framework_info: FrameworkInfo {
                user: "u".into(),
                name: "n".into(),
                ..FrameworkInfo::default()
            },
            suppressed_roles: Vec::new(),
        }),
        ..call(CallType::Subscribe)
    };
    let info = Bytes::new().bytes(1, "u").bytes(2, "n");
    let wanted = Bytes::new()
        .number(2, 1)
        .message(3, Bytes::new().message(1, info));
    assert_eq!(first.encode_to_vec(), wanted.0);
}

#[test]
fn a_subscription_after_a_failover_has_the_framework_id_twice() {
    let (framework_info, bytes) = framework();
    let subscribe = Call {
        subscribe: Some(Subscribe {
            framework_info,
            suppressed_roles: vec!["a".into()],
        }),
        ..call(CallType::Subscribe)
    };
    let payload = Bytes::new().message(1, bytes).bytes(2, "a");
    check_call(&subscribe, 1, Some((3, payload)));
}

fn scalar(name: &str, value: f64) -> (Resource, Bytes) {
    let resource = Resource {
        name: name.into(),
        kind: ValueType::Scalar.into(),
        scalar: Some(Scalar { value }),
        ..Resource::default()
    };
    let bytes = Bytes::new()
        .bytes(1, name)
        .number(2, 0)
        .message(3, Bytes::new().double(1, value));
    (resource, bytes)
}

fn executor() -> (ExecutorInfo, Bytes) {
    let (cpus, cpus_bytes) = scalar("cpus", 0.1);
    let (command, command_bytes) = command();
    let (container, container_bytes) = container();
    let executor = ExecutorInfo {
        executor_id: "e".into(),
        data: Some(b"d".to_vec()),
        resources: vec![cpus],
        command: Some(command),
        framework_id: Some("f".into()),
        name: Some("n".into()),
        source: Some("s".into()),
        container: Some(container),
        shutdown_grace_period: Some(DurationInfo { nanoseconds: 5 }),
        labels: Some(labels().0),
        kind: Some(ExecutorType::Custom.into()),
    };
    let bytes = Bytes::new()
        .message(1, id("e"))
        .bytes(4, "d")
        .message(5, cpus_bytes)
        .message(7, command_bytes)
        .message(8, id("f"))
        .bytes(9, "n")
        .bytes(10, "s")
        .message(11, container_bytes)
        .message(13, Bytes::new().number(1, 5))
        .message(14, labels().1)
        .number(15, 2);
    (executor, bytes)
}

fn command() -> (CommandInfo, Bytes) {
    let command = CommandInfo {
        uris: vec![Uri {
            value: "http://x".into(),
            executable: Some(true),
            extract: Some(false),
            cache: Some(true),
            output_file: Some("o".into()),
        }],
        environment: Some(Environment {
            variables: vec![Variable {
                name: b"A".to_vec(),
                value: Some(b"1".to_vec()),
                kind: None,
            }],
        }),
        value: Some("./cook-executor".into()),
        user: Some("u".into()),
        shell: Some(true),
        arguments: vec!["a".into()],
    };
    let uri = Bytes::new()
        .bytes(1, "http://x")
        .number(2, 1)
        .number(3, 0)
        .number(4, 1)
        .bytes(5, "o");
    let variable = Bytes::new().bytes(1, "A").bytes(2, "1");
    let bytes = Bytes::new()
        .message(1, uri)
        .message(2, Bytes::new().message(1, variable))
        .bytes(3, "./cook-executor")
        .bytes(5, "u")
        .number(6, 1)
        .bytes(7, "a");
    (command, bytes)
}

fn container() -> (ContainerInfo, Bytes) {
    let container = ContainerInfo {
        kind: CONTAINER_DOCKER,
        volumes: vec![Volume {
            container_path: "/c".into(),
            host_path: Some("/h".into()),
            mode: VOLUME_READ_ONLY,
        }],
        docker: Some(DockerInfo {
            image: "i".into(),
            network: Some(2),
            port_mappings: vec![PortMapping {
                host_port: 8080,
                container_port: 80,
                protocol: Some("tcp".into()),
            }],
            parameters: vec![Parameter {
                key: "k".into(),
                value: "v".into(),
            }],
            force_pull_image: Some(true),
        }),
        hostname: Some("h".into()),
        mesos: Some(MesosInfo {
            image: Some(Image {
                kind: 2,
                docker: Some(ImageDocker { name: "i".into() }),
            }),
        }),
    };
    let volume = Bytes::new().bytes(1, "/c").bytes(2, "/h").number(3, 2);
    let mapping = Bytes::new().number(1, 8080).number(2, 80).bytes(3, "tcp");
    let docker = Bytes::new()
        .bytes(1, "i")
        .number(2, 2)
        .message(3, mapping)
        .message(5, Bytes::new().bytes(1, "k").bytes(2, "v"))
        .number(6, 1);
    let image = Bytes::new().number(1, 2).message(3, id("i"));
    let bytes = Bytes::new()
        .number(1, 1)
        .message(2, volume)
        .message(3, docker)
        .bytes(4, "h")
        .message(5, Bytes::new().message(1, image));
    (container, bytes)
}

fn labels() -> (Labels, Bytes) {
    let labels = Labels {
        labels: vec![Label {
            key: "k".into(),
            value: Some("v".into()),
        }],
    };
    let label = Bytes::new().bytes(1, "k").bytes(2, "v");
    (labels, Bytes::new().message(1, label))
}

#[test]
fn an_acceptance_launches_tasks() {
    let (mem, mem_bytes) = scalar("mem", 128.0);
    let (executor, executor_bytes) = executor();
    let ports = Resource {
        name: "ports".into(),
        kind: ValueType::Ranges.into(),
        ranges: Some(Ranges {
            range: vec![Range {
                begin: 31_000,
                end: 31_001,
            }],
        }),
        role: Some("r".into()),
        allocation_info: Some(AllocationInfo {
            role: Some("r".into()),
        }),
        reservations: vec![ReservationInfo {
            principal: Some("p".into()),
            labels: None,
            role: Some("r".into()),
            kind: Some(2),
        }],
        ..Resource::default()
    };
    let range = Bytes::new().number(1, 31_000).number(2, 31_001);
    let ports_bytes = Bytes::new()
        .bytes(1, "ports")
        .number(2, 1)
        .message(4, Bytes::new().message(1, range))
        .bytes(6, "r")
        .message(11, Bytes::new().bytes(1, "r"))
        .message(13, Bytes::new().bytes(1, "p").bytes(3, "r").number(4, 2));
    let task = TaskInfo {
        name: "n".into(),
        task_id: "t".into(),
        agent_id: "a".into(),
        resources: vec![mem, ports],
        executor: Some(executor),
        data: Some(b"{}".to_vec()),
        command: Some(command().0),
        container: Some(container().0),
        labels: Some(labels().0),
        kill_policy: Some(KillPolicy {
            grace_period: Some(DurationInfo { nanoseconds: 7 }),
        }),
        max_completion_time: Some(DurationInfo { nanoseconds: 9 }),
    };
    let task_bytes = Bytes::new()
        .bytes(1, "n")
        .message(2, id("t"))
        .message(3, id("a"))
        .message(4, mem_bytes)
        .message(4, ports_bytes)
        .message(5, executor_bytes)
        .bytes(6, "{}")
        .message(7, command().1)
        .message(9, container().1)
        .message(10, labels().1)
        .message(12, Bytes::new().message(1, Bytes::new().number(1, 7)))
        .message(14, Bytes::new().number(1, 9));
    let accept = Call {
        accept: Some(Accept {
            offer_ids: vec!["o".into(), "p".into()],
            operations: vec![Operation {
                kind: Some(OperationType::Launch.into()),
                launch: Some(LaunchTasks {
                    task_infos: vec![task],
                }),
            }],
            filters: Some(Filters {
                refuse_seconds: Some(1.5),
            }),
        }),
        ..call(CallType::Accept)
    };
    let operation = Bytes::new()
        .number(1, 1)
        .message(2, Bytes::new().message(1, task_bytes));
    let payload = Bytes::new()
        .message(1, id("o"))
        .message(1, id("p"))
        .message(2, operation)
        .message(3, Bytes::new().double(1, 1.5));
    check_call(&accept, 3, Some((4, payload)));
}

#[test]
fn the_other_calls() {
    let decline = Call {
        decline: Some(Decline {
            offer_ids: vec!["o".into()],
            filters: Some(Filters {
                refuse_seconds: Some(3600.0),
            }),
        }),
        ..call(CallType::Decline)
    };
    let payload = Bytes::new()
        .message(1, id("o"))
        .message(2, Bytes::new().double(1, 3600.0));
    check_call(&decline, 4, Some((5, payload)));

    let kill = Call {
        kill: Some(Kill {
            task_id: "t".into(),
            agent_id: Some("a".into()),
            kill_policy: Some(KillPolicy {
                grace_period: Some(DurationInfo { nanoseconds: 1 }),
            }),
        }),
        ..call(CallType::Kill)
    };
    let policy = Bytes::new().message(1, Bytes::new().number(1, 1));
    let payload = Bytes::new()
        .message(1, id("t"))
        .message(2, id("a"))
        .message(3, policy);
    check_call(&kill, 6, Some((6, payload)));

    let shutdown = Call {
        shutdown: Some(Shutdown {
            executor_id: "e".into(),
            agent_id: "a".into(),
        }),
        ..call(CallType::Shutdown)
    };
    let payload = Bytes::new().message(1, id("e")).message(2, id("a"));
    check_call(&shutdown, 7, Some((7, payload)));

    let acknowledge = Call {
        acknowledge: Some(Acknowledge {
            agent_id: "a".into(),
            task_id: "t".into(),
            uuid: vec![7; 16],
        }),
        ..call(CallType::Acknowledge)
    };
    let payload = Bytes::new()
        .message(1, id("a"))
        .message(2, id("t"))
        .bytes(3, [7; 16]);
    check_call(&acknowledge, 8, Some((8, payload)));

    let reconcile = Call {
        reconcile: Some(Reconcile {
            tasks: vec![ReconcileTask {
                task_id: "t".into(),
                agent_id: Some("a".into()),
            }],
        }),
        ..call(CallType::Reconcile)
    };
    let task = Bytes::new().message(1, id("t")).message(2, id("a"));
    check_call(&reconcile, 9, Some((9, Bytes::new().message(1, task))));

    let (message, bytes) = framework_message();
    let message = Call {
        message: Some(message),
        ..call(CallType::Message)
    };
    check_call(&message, 10, Some((10, bytes)));

    let roles = || Roles {
        roles: vec!["r".into()],
    };
    let revive = Call {
        revive: Some(roles()),
        ..call(CallType::Revive)
    };
    check_call(&revive, 5, Some((15, Bytes::new().bytes(1, "r"))));
    let suppress = Call {
        suppress: Some(roles()),
        ..call(CallType::Suppress)
    };
    check_call(&suppress, 12, Some((16, Bytes::new().bytes(1, "r"))));
    check_call(&call(CallType::Teardown), 2, None);
}

fn framework_message() -> (FrameworkMessage, Bytes) {
    let message = FrameworkMessage {
        agent_id: "a".into(),
        executor_id: "e".into(),
        data: b"d".to_vec(),
    };
    let bytes = Bytes::new()
        .message(1, id("a"))
        .message(2, id("e"))
        .bytes(3, "d");
    (message, bytes)
}

fn event(kind: EventType) -> Event {
    Event {
        kind: Some(kind.into()),
        ..Event::default()
    }
}

#[test]
fn an_offer_is_decoded_with_all_relevant_fields() {
    let (disk, disk_bytes) = scalar("disk", 10.0);
    let disk = Resource {
        disk: Some(DiskInfo {
            persistence: Some(Persistence { id: "p".into() }),
            source: Some(DiskSource { kind: 2 }),
        }),
        reservation: Some(ReservationInfo {
            principal: None,
            labels: Some(labels().0),
            role: None,
            kind: None,
        }),
        revocable: Some(Nothing {}),
        shared: Some(Nothing {}),
        provider_id: Some("x".into()),
        ..disk
    };
    let disk_info = Bytes::new()
        .message(1, id("p"))
        .message(3, Bytes::new().number(1, 2));
    let disk_bytes = disk_bytes
        .message(7, disk_info)
        .message(8, Bytes::new().message(2, labels().1))
        .message(9, Bytes::new())
        .message(10, Bytes::new())
        .message(12, id("x"));
    let set = Resource {
        name: "s".into(),
        kind: ValueType::Set.into(),
        set: Some(Set {
            item: vec![b"one".to_vec()],
        }),
        ..Resource::default()
    };
    let set_bytes = Bytes::new()
        .bytes(1, "s")
        .number(2, 2)
        .message(5, Bytes::new().bytes(1, "one"));
    let attribute = |kind: ValueType| Attribute {
        name: b"rack".to_vec(),
        kind: kind.into(),
        ..Attribute::default()
    };
    let offers = Event {
        offers: Some(Offers {
            offers: vec![Offer {
                id: "o".into(),
                framework_id: "f".into(),
                agent_id: "a".into(),
                hostname: b"h".to_vec(),
                resources: vec![disk, set],
                executor_ids: vec!["e".into()],
                attributes: vec![
                    Attribute {
                        text: Some(Text {
                            value: b"t".to_vec(),
                        }),
                        ..attribute(ValueType::Text)
                    },
                    Attribute {
                        scalar: Some(Scalar { value: 2.0 }),
                        ranges: Some(Ranges::default()),
                        set: Some(Set::default()),
                        ..attribute(ValueType::Scalar)
                    },
                ],
                url: Some(Url {
                    scheme: b"http".to_vec(),
                    address: Address {
                        hostname: Some(b"h".to_vec()),
                        ip: Some(b"10.0.0.1".to_vec()),
                        port: 5051,
                    },
                    path: Some(b"/slave(1)".to_vec()),
                }),
                unavailability: Some(Unavailability {
                    start: TimeInfo { nanoseconds: 3 },
                    duration: Some(DurationInfo { nanoseconds: 4 }),
                }),
                allocation_info: Some(AllocationInfo {
                    role: Some("r".into()),
                }),
            }],
        }),
        ..event(EventType::Offers)
    };
    let text = Bytes::new()
        .bytes(1, "rack")
        .number(2, 3)
        .message(5, Bytes::new().bytes(1, "t"));
    let number = Bytes::new()
        .bytes(1, "rack")
        .number(2, 0)
        .message(3, Bytes::new().double(1, 2.0))
        .message(4, Bytes::new())
        .message(6, Bytes::new());
    let address = Bytes::new()
        .bytes(1, "h")
        .bytes(2, "10.0.0.1")
        .number(3, 5051);
    let url = Bytes::new()
        .bytes(1, "http")
        .message(2, address)
        .bytes(3, "/slave(1)");
    let unavailability = Bytes::new()
        .message(1, Bytes::new().number(1, 3))
        .message(2, Bytes::new().number(1, 4));
    let offer = Bytes::new()
        .message(1, id("o"))
        .message(2, id("f"))
        .message(3, id("a"))
        .bytes(4, "h")
        .message(5, disk_bytes)
        .message(5, set_bytes)
        .message(6, id("e"))
        .message(7, text)
        .message(7, number)
        .message(8, url)
        .message(9, unavailability)
        .message(10, Bytes::new().bytes(1, "r"));
    check_event(&offers, 2, Some((3, Bytes::new().message(1, offer))));
}

#[test]
fn the_other_events() {
    let subscribed = Event {
        subscribed: Some(Subscribed {
            framework_id: "f".into(),
            heartbeat_interval_seconds: Some(15.0),
            master_info: Some(MasterInfo {
                id: b"m".to_vec(),
                pid: Some(b"master@10.0.0.1:5050".to_vec()),
                hostname: Some(b"h".to_vec()),
                version: Some(b"1.11.0".to_vec()),
            }),
        }),
        ..event(EventType::Subscribed)
    };
    let master = Bytes::new()
        .bytes(1, "m")
        .bytes(4, "master@10.0.0.1:5050")
        .bytes(5, "h")
        .bytes(6, "1.11.0");
    let payload = Bytes::new()
        .message(1, id("f"))
        .double(2, 15.0)
        .message(3, master);
    check_event(&subscribed, 1, Some((2, payload)));

    let rescind = Event {
        rescind: Some(Rescind {
            offer_id: "o".into(),
        }),
        ..event(EventType::Rescind)
    };
    check_event(&rescind, 3, Some((4, Bytes::new().message(1, id("o")))));

    let update = Event {
        update: Some(Update {
            status: TaskStatus {
                task_id: "t".into(),
                state: TaskState::Unreachable.into(),
                data: Some(b"d".to_vec()),
                message: Some(b"m".to_vec()),
                agent_id: Some("a".into()),
                timestamp: Some(0.5),
                executor_id: Some("e".into()),
                healthy: Some(false),
                source: Some(Source::Agent.into()),
                reason: Some(Reason::AgentRemoved.into()),
                uuid: Some(vec![1; 16]),
            },
        }),
        ..event(EventType::Update)
    };
    let status = Bytes::new()
        .message(1, id("t"))
        .number(2, 10)
        .bytes(3, "d")
        .bytes(4, "m")
        .message(5, id("a"))
        .double(6, 0.5)
        .message(7, id("e"))
        .number(8, 0)
        .number(9, 1)
        .number(10, 11)
        .bytes(11, [1; 16]);
    check_event(&update, 4, Some((5, Bytes::new().message(1, status))));

    let (message, bytes) = framework_message();
    let message = Event {
        message: Some(message),
        ..event(EventType::Message)
    };
    check_event(&message, 5, Some((6, bytes)));

    let failure = Event {
        failure: Some(Failure {
            agent_id: Some("a".into()),
            executor_id: Some("e".into()),
            status: Some(9),
        }),
        ..event(EventType::Failure)
    };
    let payload = Bytes::new()
        .message(1, id("a"))
        .message(2, id("e"))
        .number(3, 9);
    check_event(&failure, 6, Some((7, payload)));

    let error = Event {
        error: Some(Error {
            message: b"Framework has been removed".to_vec(),
        }),
        ..event(EventType::Error)
    };
    let payload = Bytes::new().bytes(1, "Framework has been removed");
    check_event(&error, 7, Some((8, payload)));
    check_event(&event(EventType::Heartbeat), 8, None);
}

#[test]
fn fields_of_a_later_master_are_skipped() {
    let unknown = Bytes::new()
        .number(1, 99)
        .message(11, Bytes::new().number(1, 1))
        .message(40, id("x"));
    let event = Event::decode(&*unknown.0).expect("readable");
    assert_eq!(event.kind, Some(99));
    assert!(EventType::try_from(99).is_err());
    assert_eq!(TaskState::try_from(13), Ok(TaskState::Unknown));
}

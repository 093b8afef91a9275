//! TaskInfo and ExecutorInfo as Cook's scheduler makes them, and events of all kinds of bytes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{self as pb, EventType, Resource, Scalar, TaskInfo};
use prost::Message as _;

use super::super::session::MasterEvent;
use super::launch::Recipe;
use super::offer::{OpenOffer, open};
use super::*;
use crate::codec::config::{self, ExecutorSettings};
use crate::codec::job::fixture;
use crate::core::backend::{FrameworkId, InstanceMessage, Task, TaskState};
use crate::core::job::{Reason, Report};
use crate::core::words::{InstanceId, Message, Uuid};

fn id(value: &str) -> Id {
    Id {
        value: value.to_owned(),
    }
}

fn instance() -> InstanceId {
    InstanceId(Uuid::from_bytes([2; 16]))
}

fn task(user: &str, body: &str) -> Task {
    Task {
        instance: instance(),
        job: Arc::new(fixture::job(user, fixture::spec(body))),
        number: 0,
        ports: [].into(),
    }
}

fn offer() -> OpenOffer {
    let scalar = |name: &str, value| Resource {
        name: name.to_owned(),
        scalar: Some(Scalar { value }),
        ..Resource::default()
    };
    let (_, open) = open(pb::Offer {
        id: id("O"),
        agent_id: id("A"),
        resources: vec![scalar("cpus", 4.0), scalar("mem", 4096.0)],
        ..pb::Offer::default()
    });
    open
}

fn executor_settings(file: &str) -> ExecutorSettings {
    let text = format!("{{:executor {file}}}");
    let (configuration, _) = config::read(text.as_bytes(), &|_| None).expect("valid");
    configuration.executor
}

fn built(recipe: &Recipe, task: &Task) -> Option<TaskInfo> {
    recipe.task(task, Some(&id("F")), &mut offer())
}

// --- launches ---

#[test]
fn a_task_is_what_cooks_scheduler_makes() {
    let settings = executor_settings(
        r#"{:before-commands [{:value "operator's"}] :uris [{:value "/opt/tools.tgz" :extract true}]
            :uri {:value "http://files/cook-executor"} :environment {"A" "operator"}}"#,
    );
    let recipe = Recipe::new(&settings, None, None, Some(Duration::from_secs(7200)));
    let task = task(
        "bob",
        r#"{"command": "x", "before_commands": [{"value": "b"}], "name": "n", "labels": {"k/l": "v"},
            "max_runtime": 5000, "env": {"A": "job", "B": "b"},
            "uris": [{"value": "http://h/data", "cache": true}]}"#,
    );
    let info = built(&recipe, &task).expect("it fits");
    let name = instance().to_string();
    assert_eq!((&info.task_id, &info.agent_id), (&id(&name), &id("A")));
    assert_eq!(info.name, format!("n_bob_{name}"));
    assert_eq!((info.command, info.kill_policy), (None, None));
    let data = info.data.expect("data");
    assert_eq!(
        String::from_utf8_lossy(&data),
        r#"{"command":"x","before_commands":[{"value":"b"}]}"#
    );
    let labels = info.labels.expect("labels").labels;
    assert_eq!(
        (labels[0].key.as_str(), labels[0].value.as_deref()),
        ("k/l", Some("v"))
    );
    let limit = info.max_completion_time.expect("a limit");
    assert_eq!(limit.nanoseconds, 5_000_000_000);

    let executor = info.executor.expect("an executor");
    assert_eq!(
        (executor.executor_id, executor.framework_id),
        (id(&name), Some(id("F")))
    );
    assert_eq!(executor.resources, []);
    let data = executor.data.expect("data");
    assert_eq!(
        String::from_utf8_lossy(&data),
        r#"{"before_commands":[{"value":"operator's"}]}"#
    );
    let command = executor.command.expect("a command");
    assert_eq!(command.value.as_deref(), Some("./cook-executor"));
    assert_eq!(
        (command.shell, command.user.as_deref()),
        (Some(true), Some("bob"))
    );
    let uris: Vec<_> = command
        .uris
        .iter()
        .map(|uri| (uri.value.as_str(), uri.executable, uri.extract, uri.cache))
        .collect();
    assert_eq!(
        uris,
        [
            ("http://h/data", Some(false), Some(false), Some(true)),
            ("/opt/tools.tgz", Some(false), Some(true), Some(false)),
            (
                "http://files/cook-executor",
                Some(true),
                Some(false),
                Some(false)
            ),
        ]
    );
    let variables = command.environment.expect("an environment").variables;
    let value = |wanted: &str| {
        let found = variables.iter().find(|it| it.name == wanted.as_bytes());
        found.and_then(|it| it.value.as_deref())
    };
    assert_eq!(
        (value("A"), value("B")),
        (Some(&b"operator"[..]), Some(&b"b"[..]))
    );
    assert_eq!(value("COOK_INSTANCE_UUID"), Some(name.as_bytes()));
}

#[test]
fn the_executor_is_a_file_on_the_agents_a_fetched_one_or_one_in_path() {
    let command = |recipe: &Recipe| {
        let info = built(recipe, &task("bob", r#"{"command": "x"}"#)).expect("it fits");
        let command = info.executor.and_then(|it| it.command).expect("a command");
        (
            command.shell,
            command.value.expect("a value"),
            command.arguments,
        )
    };
    let file = Path::new("/opt/cook executor");
    let recipe = Recipe::new(&ExecutorSettings::default(), Some(file), None, None);
    let path = "/opt/cook executor".to_owned();
    assert_eq!(command(&recipe), (Some(false), path.clone(), vec![path]));
    assert!(!recipe.is_in_path());

    for (settings, line, is_in_path) in [
        ("{}", "cook-executor", true),
        (
            r#"{:command "/opt/cook-executor -x"}"#,
            "/opt/cook-executor -x",
            false,
        ),
        (
            r#"{:command "my-executor -x" :uris [{:value "hdfs://a/my-executor"}]}"#,
            "./my-executor -x",
            false,
        ),
    ] {
        let recipe = Recipe::new(&executor_settings(settings), None, None, None);
        assert_eq!(command(&recipe), (Some(true), line.to_owned(), vec![]));
        assert_eq!(recipe.is_in_path(), is_in_path, "{settings}");
    }
}

#[test]
fn jobs_run_as_their_owner_or_the_configured_user_and_never_as_root_otherwise() {
    let user = |run_as: Option<&str>, owner: &str| {
        let settings = ExecutorSettings::default();
        let recipe = Recipe::new(&settings, None, run_as.map(str::to_owned), None);
        let info = built(&recipe, &task(owner, r#"{"command": "x"}"#))?;
        info.executor?.command?.user
    };
    assert_eq!(user(None, "bob").as_deref(), Some("bob"));
    assert_eq!(user(Some("jobs"), "bob").as_deref(), Some("jobs"));
    assert_eq!(user(None, "root"), None);
    assert_eq!(user(Some("root"), "bob").as_deref(), Some("root"));
}

#[test]
fn a_job_of_hooks_only_goes_without_a_command() {
    let recipe = Recipe::new(&ExecutorSettings::default(), None, None, None);
    let info = built(
        &recipe,
        &task("bob", r#"{"after_commands": [{"value": "mail"}]}"#),
    );
    let data = info.and_then(|info| info.data).expect("data");
    assert_eq!(
        String::from_utf8_lossy(&data),
        r#"{"after_commands":[{"value":"mail"}]}"#
    );
}

// --- events ---

fn updated(status: pb::TaskStatus) -> StatusUpdate {
    let event = pb::Event {
        kind: Some(EventType::Update as i32),
        update: Some(pb::Update { status }),
        ..pb::Event::default()
    };
    match read(&event.encode_to_vec()) {
        MasterEvent::Notice(Notice::Updated(update)) => update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_state_and_reason_of_mesos_is_read() {
    for number in 0..14 {
        let status = pb::TaskStatus {
            task_id: id(&instance().to_string()),
            state: number,
            reason: Some(9),
            ..pb::TaskStatus::default()
        };
        let StatusUpdate::Instance(update) = updated(status) else {
            panic!("{number} is not read");
        };
        assert_eq!(update.reason, Some(Reason::Reconciliation));
    }
    let newer = pb::TaskStatus {
        task_id: id(&instance().to_string()),
        state: 14,
        ..pb::TaskStatus::default()
    };
    assert!(matches!(
        updated(newer),
        StatusUpdate::Foreign(ForeignUpdate { state: None, .. })
    ));
}

#[test]
fn the_data_of_the_last_status_is_read_and_a_huge_one_is_not() {
    let report = |data: Vec<u8>| {
        let status = pb::TaskStatus {
            task_id: id(&instance().to_string()),
            state: pb::TaskState::Failed as i32,
            data: Some(data),
            ..pb::TaskStatus::default()
        };
        match updated(status) {
            StatusUpdate::Instance(update) => {
                assert_eq!(update.state, TaskState::Failed);
                update.report
            }
            other => panic!("{other:?}"),
        }
    };
    let wanted = Report {
        exit_code: Some(3),
        after_codes: vec![Some(7)],
        message: Some(Message::cut("m")),
        ..Report::default()
    };
    let data = br#"{"exit_code":3,"after_codes":[7],"message":"m"}"#;
    assert_eq!(report(data.to_vec()), Some(wanted));
    assert_eq!(report(b"\xff\xfe".to_vec()), None);
    let huge = format!(r#"{{"message":"{}"}}"#, "x".repeat(2 << 20));
    assert_eq!(report(huge.into_bytes()), None);
}

#[test]
fn messages_of_executors_are_read() {
    let said = |executor: &str, data: &[u8]| {
        let event = pb::Event {
            kind: Some(EventType::Message as i32),
            message: Some(pb::FrameworkMessage {
                agent_id: id("A"),
                executor_id: id(executor),
                data: data.to_vec(),
            }),
            ..pb::Event::default()
        };
        read(&event.encode_to_vec())
    };
    let name = instance().to_string();
    let sandbox = br#"{"sandbox-directory":"/s","task-id":"T","type":"directory"}"#;
    let note = InstanceMessage::Sandbox("/s".into());
    assert_eq!(
        said(&name, sandbox),
        MasterEvent::Notice(Notice::Messaged(instance(), note))
    );
    let note = InstanceMessage::ExitCode(3);
    assert_eq!(
        said(&name, br#"{"exit-code":3,"task-id":"T"}"#),
        MasterEvent::Notice(Notice::Messaged(instance(), note))
    );
    for (executor, data) in [("else", &sandbox[..]), (&name, b"nonsense"), (&name, b"")] {
        assert_eq!(said(executor, data), MasterEvent::Heartbeat);
    }
}

#[test]
fn a_subscription_says_how_often_to_expect_heartbeats() {
    let heartbeat = |seconds: Option<f64>| {
        let event = pb::Event {
            kind: Some(EventType::Subscribed as i32),
            subscribed: Some(pb::Subscribed {
                framework_id: id("F"),
                heartbeat_interval_seconds: seconds,
                master_info: Some(pb::MasterInfo {
                    version: Some(b"1.11.0".to_vec()),
                    ..pb::MasterInfo::default()
                }),
            }),
            ..pb::Event::default()
        };
        match read(&event.encode_to_vec()) {
            MasterEvent::Subscribed {
                framework,
                heartbeat,
                version,
            } => {
                assert_eq!(
                    (framework, version.as_deref()),
                    (FrameworkId("F".into()), Some("1.11.0"))
                );
                heartbeat
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(heartbeat(Some(1.5)), Some(Duration::from_millis(1500)));
    for nonsense in [
        None,
        Some(0.0),
        Some(-1.0),
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(1e300),
    ] {
        assert_eq!(heartbeat(nonsense), None, "{nonsense:?}");
    }
}

/// Bytes as a broken or hostile master might send them. Whatever they are read as, an offer can be used.
#[test]
fn no_bytes_make_it_panic() {
    let name = instance().to_string();
    let good = [
        pb::Event {
            kind: Some(EventType::Offers as i32),
            offers: Some(pb::Offers {
                offers: vec![pb::Offer {
                    id: id("O"),
                    agent_id: id("A"),
                    hostname: b"host".to_vec(),
                    resources: vec![
                        Resource {
                            name: "cpus".to_owned(),
                            scalar: Some(Scalar { value: 4.0 }),
                            ..Resource::default()
                        },
                        Resource {
                            name: "ports".to_owned(),
                            ranges: Some(pb::Ranges {
                                range: vec![pb::Range {
                                    begin: 31_000,
                                    end: 32_000,
                                }],
                            }),
                            ..Resource::default()
                        },
                    ],
                    ..pb::Offer::default()
                }],
            }),
            ..pb::Event::default()
        },
        pb::Event {
            kind: Some(EventType::Update as i32),
            update: Some(pb::Update {
                status: pb::TaskStatus {
                    task_id: id(&name),
                    state: 3,
                    data: Some(br#"{"exit_code":3}"#.to_vec()),
                    uuid: Some(vec![1; 16]),
                    ..pb::TaskStatus::default()
                },
            }),
            ..pb::Event::default()
        },
        pb::Event {
            kind: Some(EventType::Message as i32),
            message: Some(pb::FrameworkMessage {
                agent_id: id("A"),
                executor_id: id(&name),
                data: br#"{"progress-sequence":1,"progress-percent":5}"#.to_vec(),
            }),
            ..pb::Event::default()
        },
    ]
    .map(|event| event.encode_to_vec());
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % 1_000_003).unwrap_or_default()
    };
    let recipe = Recipe::new(&ExecutorSettings::default(), None, None, None);
    let task = task("bob", r#"{"command": "x", "ports": 1}"#);
    let mut usable = 0;
    for round in 0..30_000 {
        let mut bytes = good[round % good.len()].clone();
        for _ in 0..next() % 4 {
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes[at] = next().to_le_bytes()[0],
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, next().to_le_bytes()[0]),
            }
        }
        if let MasterEvent::Notice(Notice::Offers(offers)) = read(&bytes) {
            for offer in offers {
                let (shown, mut open) = open(offer);
                let mut ports = shown.ports.clone();
                let task = Task {
                    ports: ports.take(1).unwrap_or_default().into(),
                    ..task.clone()
                };
                let info = recipe.task(&task, None, &mut open);
                let fits = task.job.spec.demand.cpus <= shown.resources.cpus
                    && task.job.spec.demand.mem <= shown.resources.mem;
                assert_eq!(info.is_some(), fits, "what fits can be launched");
                usable += 1;
            }
        }
    }
    assert!(usable > 1000, "{usable} offers were read");
}

//! ACCEPT, DECLINE, REVIVE and SUPPRESS.

use std::collections::BTreeMap;

use cook_mesos::scheduler::{CallType, Resource, TaskState};
use cook_test_master::Heartbeats;
use cook_test_master::cluster::{Agent, for_role, ports, scalar};
use serde_json::{Value, json};

use crate::server::wait_for;
use crate::stage::{AGENT, HOST, Stage, USUAL};

/// Name, role of the reservation and amount of each resource, sorted. Ports are listed one by one.
fn shown(resources: &[Resource]) -> Vec<(String, String, Vec<f64>)> {
    let mut all: Vec<_> = resources
        .iter()
        .map(|resource| {
            let reserved = resource.reservations.last().and_then(|it| it.role.clone());
            let ranges = resource.ranges.iter().flat_map(|it| &it.range);
            let numbers = ranges.flat_map(|range| range.begin..=range.end);
            let amounts = resource.scalar.iter().map(|it| it.value);
            let amounts = amounts.chain(numbers.map(|port| port as f64));
            let reserved = reserved.unwrap_or_else(|| "*".to_owned());
            (resource.name.clone(), reserved, amounts.collect())
        })
        .collect();
    all.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    all
}

fn text(bytes: Option<&[u8]>) -> Value {
    serde_json::from_slice(bytes.expect("there")).expect("JSON")
}

#[test]
fn a_task_has_everything_that_cooks_scheduler_puts_into_it() {
    let stage = Stage::with(
        Heartbeats::Usual,
        ":run-as-user \"alice\" :role \"cook\"",
        "",
    );
    let reserved = |resource| for_role(resource, "cook", true);
    let free = |resource| for_role(resource, "cook", false);
    let agent = Agent::new(HOST).with_resources(vec![
        free(scalar("cpus", 3.0)),
        reserved(scalar("cpus", 1.0)),
        free(scalar("mem", 1024.0)),
        reserved(scalar("mem", 100.0)),
        free(scalar("disk", 1000.0)),
        reserved(ports(&[(31_000, 31_000)])),
        free(ports(&[(32_000, 32_010)])),
    ]);
    stage.master.add_agent(AGENT, agent);
    let group = "11111111-2222-3333-4444-555555555555";
    let job = json!({
        "command": "run it", "name": "meal", "cpus": 2.5, "mem": 300, "ports": 2, "max_runtime": 90_000, "group": group,
        "before_commands": [{"value": "b", "guard": true}], "after_commands": [{"value": "a", "async": true}],
        "env": {"MY_VAR": "foo", "COOK_JOB_UUID": "forged"}, "labels": {"team/x": "y"},
        "uris": [{"value": "http://files/a.tar.gz"}, {"value": "hdfs://b", "executable": true, "extract": false, "cache": true}],
        "progress_output_file": "p", "progress_regex_string": "at (.*)",
    });
    let (uuid, task) = stage.launch(&job.to_string());
    let id = task.task_id.value.clone();
    let shown_job = stage.server.job(&uuid);
    assert_eq!(shown_job["instances"][0]["task_id"], id.as_str());
    assert_eq!(task.name, format!("meal_bob_{id}"));
    assert_eq!(task.agent_id.value, AGENT);
    assert!(task.command.is_none() && task.container.is_none() && task.kill_policy.is_none());
    assert_eq!(
        shown(&task.resources),
        [
            ("cpus".to_owned(), "*".to_owned(), vec![1.5]),
            ("cpus".to_owned(), "cook".to_owned(), vec![1.0]),
            ("mem".to_owned(), "*".to_owned(), vec![200.0]),
            ("mem".to_owned(), "cook".to_owned(), vec![100.0]),
            ("ports".to_owned(), "*".to_owned(), vec![32_000.0]),
            ("ports".to_owned(), "cook".to_owned(), vec![31_000.0]),
        ]
    );
    let is_allocated = |resource: &Resource| {
        let role = resource
            .allocation_info
            .as_ref()
            .and_then(|it| it.role.as_deref());
        role == Some("cook")
    };
    assert!(
        task.resources.iter().all(is_allocated),
        "{:?}",
        task.resources
    );
    assert_eq!(
        text(task.data.as_deref()),
        json!({"command": "run it", "before_commands": [{"value": "b", "guard": true}], "after_commands": [{"value": "a", "async": true}]})
    );
    let labels = task.labels.expect("labels").labels;
    assert_eq!(
        (labels[0].key.as_str(), labels[0].value.as_deref()),
        ("team/x", Some("y"))
    );
    assert_eq!(
        task.max_completion_time.map(|span| span.nanoseconds),
        Some(90_000_000_000)
    );

    let executor = task.executor.expect("an executor");
    assert_eq!(executor.executor_id.value, id, "executor id is task id");
    assert!(executor.resources.iter().all(is_allocated));
    let framework = executor.framework_id.map(|id| id.value);
    assert!(framework.is_none_or(|id| Some(id) == stage.master.framework()));
    assert_eq!(executor.data, None, "this operator has no hooks");
    let command = executor.command.expect("a command");
    assert_eq!(command.user.as_deref(), Some("alice"));
    assert_eq!(command.value.as_deref(), Some("./cook-executor"));
    let uris: Vec<_> = command
        .uris
        .iter()
        .map(|uri| {
            let flag = |given: Option<bool>, usual| given.unwrap_or(usual);
            let flags = [
                flag(uri.executable, false),
                flag(uri.extract, true),
                flag(uri.cache, false),
            ];
            (uri.value.as_str(), flags)
        })
        .collect();
    assert_eq!(uris[0], ("http://files/a.tar.gz", [false, false, false]));
    assert_eq!(uris[1], ("hdfs://b", [true, false, true]));
    assert_eq!(
        uris[2].0, "http://files/cook-executor",
        "the operator's come last"
    );
    assert!(uris[2].1[0], "executable");
    let variables = command.environment.expect("variables").variables;
    let names = variables
        .iter()
        .map(|it| String::from_utf8_lossy(&it.name).into_owned());
    let values = variables.iter().map(|it| {
        let value = it.value.clone().unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    });
    let variables: BTreeMap<_, _> = names.zip(values).collect();
    for (name, value) in [
        ("MY_VAR", "foo"),
        ("COOK_JOB_UUID", uuid.as_str()),
        ("COOK_INSTANCE_UUID", &id),
        ("COOK_INSTANCE_NUM", "0"),
        ("COOK_JOB_GROUP_UUID", group),
        ("COOK_JOB_CPUS", "2.5"),
        ("COOK_JOB_MEM_MB", "300.0"),
        ("PROGRESS_REGEX_STRING", "at (.*)"),
        ("EXECUTOR_PROGRESS_OUTPUT_FILE_NAME", "p"),
        ("EXECUTOR_LOG_LEVEL", "INFO"),
        ("EXECUTOR_MAX_MESSAGE_LENGTH", "512"),
    ] {
        assert_eq!(
            variables.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    let job_ports = &shown_job["instances"][0]["ports"];
    for (name, port) in [("PORT0", &job_ports[0]), ("PORT1", &job_ports[1])] {
        assert_eq!(variables.get(name), Some(&port.to_string()), "{name}");
    }
}

#[test]
fn the_operators_hooks_and_environment_go_with_the_executor() {
    let folder = crate::server::Folder::new();
    let master = crate::stage::master(Heartbeats::Usual);
    let config = folder.file(
        "config.edn",
        "{:authorization {:one-user \"bob\"} :mesos {:run-as-user \"nobody\"}
          :executor {:command \"/opt/cook-executor\" :log-level \"DEBUG\" :environment {\"SITE\" \"west\"}
                     :before-commands [{:value \"echo before\" :guard true}] :after-commands [{:value \"echo after\"}]}}",
    );
    let address = master.address().to_string();
    let config = config.to_string_lossy().into_owned();
    let server =
        crate::server::Server::framework(folder, &["--config", &config, "--master", &address]);
    master.called(CallType::Suppress);
    let stage = Stage { server, master };
    let (_, task) = stage.launch(r#"{"after_commands": [{"value": "mail"}]}"#);
    assert_eq!(
        text(task.data.as_deref()),
        json!({"after_commands": [{"value": "mail"}]})
    );
    let executor = task.executor.expect("an executor");
    assert_eq!(
        text(executor.data.as_deref()),
        json!({"before_commands": [{"value": "echo before", "guard": true}], "after_commands": [{"value": "echo after"}]})
    );
    let command = executor.command.expect("a command");
    assert_eq!(
        command.value.as_deref(),
        Some("/opt/cook-executor"),
        "a path on the agents"
    );
    assert!(command.uris.is_empty(), "{:?}", command.uris);
    let variables = command.environment.expect("variables").variables;
    let has = |name: &str, value: &str| {
        let is_it = |it: &cook_mesos::messages::Variable| {
            it.name == name.as_bytes() && it.value.as_deref() == Some(value.as_bytes())
        };
        variables.iter().any(is_it)
    };
    assert!(has("SITE", "west") && has("EXECUTOR_LOG_LEVEL", "DEBUG"));
}

#[test]
fn one_offer_is_used_for_several_tasks() {
    let stage = Stage::new();
    let jobs: Vec<_> = (0..6)
        .map(|_| json!({"command": "true", "cpus": 1, "mem": 100}))
        .collect();
    let uuids = stage.server.submit(&json!({"jobs": jobs}).to_string());
    stage.master.offer(&[AGENT]);
    assert_eq!(stage.master.launched(4).len(), 4, "four cpus");
    let accepts = stage
        .master
        .inspect(|journal| journal.calls(CallType::Accept, 0).count());
    assert_eq!(accepts, 1);
    let status = |wanted| {
        let jobs = uuids.iter().map(|uuid| stage.server.job(uuid));
        jobs.filter(|job| job["status"] == wanted).count()
    };
    assert_eq!((status("running"), status("waiting")), (4, 2));
    let mut names: Vec<_> = stage
        .master
        .launched(4)
        .into_iter()
        .map(|it| it.task_id.value)
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4);
}

#[test]
fn the_offers_of_two_agents_are_accepted_by_two_calls() {
    let stage = Stage::new();
    stage
        .master
        .add_agent("agent-2", Agent::new("host2.example"));
    let jobs: Vec<_> = (0..2)
        .map(|_| json!({"command": "true", "cpus": 3}))
        .collect();
    let uuids = stage.server.submit(&json!({"jobs": jobs}).to_string());
    stage.master.offer(&[AGENT, "agent-2"]);
    let mut agents: Vec<_> = stage
        .master
        .launched(2)
        .into_iter()
        .map(|it| it.agent_id.value)
        .collect();
    agents.sort();
    assert_eq!(agents, [AGENT, "agent-2"]);
    let accepts = stage.master.inspect(|journal| {
        let accepts = journal.calls(CallType::Accept, 0);
        accepts
            .map(|called| {
                called
                    .call
                    .accept
                    .clone()
                    .expect("its own part")
                    .offer_ids
                    .len()
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(accepts, [1, 1]);
    let mut hosts: Vec<_> = uuids
        .iter()
        .map(|uuid| stage.server.job(uuid)["instances"][0]["hostname"].clone())
        .collect();
    hosts.sort_by_key(ToString::to_string);
    assert_eq!(hosts, [HOST, "host2.example"]);
}

#[test]
fn what_a_launch_leaves_of_an_offer_is_not_refused() {
    let stage = Stage::new();
    stage.launch(r#"{"command": "true"}"#);
    let accept = stage.master.called(CallType::Accept).call.accept;
    let filters = accept.expect("its own part").filters;
    assert_eq!(filters.and_then(|it| it.refuse_seconds), Some(0.0));
}

/// Makes an offer that is declined. Returns for how many seconds.
fn declined(stage: &Stage) -> f64 {
    let mark = stage.master.mark();
    let offer = stage.master.offer(&[AGENT]).remove(0);
    let called = stage.master.called_after(mark, CallType::Decline, |call| {
        let decline = call.decline.as_ref();
        decline.is_some_and(|decline| decline.offer_ids.contains(&offer.id))
    });
    let filters = called.call.decline.expect("its own part").filters;
    filters.and_then(|it| it.refuse_seconds).expect("how long")
}

#[test]
fn every_offer_is_answered_at_once() {
    let stage = Stage::new();
    let long = declined(&stage);
    assert!(
        (600.0..=31_536_000.0).contains(&long),
        "nothing waits: {long} s"
    );
    stage
        .server
        .submit_one(r#"{"command": "true", "mem": 9000, "cpus": 0.1}"#);
    let short = declined(&stage);
    assert!(
        (1.0..=5.0).contains(&short),
        "something waits that does not fit: {short} s"
    );
}

#[test]
fn new_jobs_revive_and_an_empty_queue_suppresses() {
    let stage = Stage::new();
    let mark = stage.master.mark();
    let (uuid, task) = stage.launch(r#"{"command": "true"}"#);
    stage.master.called_after(mark, CallType::Revive, |_| true);
    // No job waits any more.
    stage
        .master
        .called_after(mark, CallType::Suppress, |_| true);
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
    let mark = stage.master.mark();
    stage.server.submit_one(r#"{"command": "true"}"#);
    stage.master.called_after(mark, CallType::Revive, |_| true);
}

#[test]
fn revocable_resources_are_not_used() {
    let stage = Stage::new();
    let revocable = |mut resource: Resource| {
        resource.revocable = Some(cook_mesos::scheduler::Nothing {});
        resource
    };
    let agent = Agent::new(HOST).with_resources(vec![
        scalar("mem", 1000.0),
        scalar("cpus", 0.5),
        revocable(scalar("cpus", 4.0)),
    ]);
    stage.master.add_agent(AGENT, agent);
    stage.server.submit_one(r#"{"command": "true", "cpus": 1}"#);
    declined(&stage);
    assert_eq!(stage.master.inspect(|journal| journal.tasks().len()), 0);
}

#[test]
fn constraints_compare_with_attributes_and_the_host_name() {
    let stage = Stage::new();
    stage.master.add_agent(
        "big",
        Agent::new("big.example").with_attribute("size", "large"),
    );
    let job = |constraint: &str| format!(r#"{{"command": "true", "constraints": [{constraint}]}}"#);
    for (constraint, agent) in [
        (r#"["size", "EQUALS", "large"]"#, "big"),
        (r#"["HOSTNAME", "EQUALS", "big.example"]"#, "big"),
        (r#"["HOSTNAME", "EQUALS", "host1.example"]"#, AGENT),
    ] {
        let before = stage.master.inspect(|journal| journal.tasks().len());
        stage.server.submit_one(&job(constraint));
        stage.master.offer(&[AGENT, "big"]);
        let task = stage.master.launched(before + 1).remove(before);
        assert_eq!(task.agent_id.value, agent, "{constraint}");
    }
    let uuid = stage
        .server
        .submit_one(&job(r#"["size", "EQUALS", "huge"]"#));
    declined(&stage);
    assert_eq!(stage.server.job(&uuid)["status"], "waiting");
}

#[test]
fn a_rescinded_offer_costs_no_attempt() {
    let stage = Stage::new();
    // Rescinded while the launch was being stored: the ACCEPT comes too late.
    stage
        .master
        .trouble(CallType::Accept, cook_test_master::script::Trouble::Hold);
    let uuid = stage.server.submit_one(r#"{"command": "true"}"#);
    let offer = stage.master.offer(&[AGENT]).remove(0);
    let first = stage.master.launched(1).remove(0);
    stage.master.void(&offer);
    stage.master.release();
    let job = stage
        .server
        .until(&uuid, "waiting again", |job| job["status"] == "waiting");
    assert_eq!(job["retries_remaining"], 1, "{job:#}");
    assert_eq!(job["instances"][0]["reason_mea_culpa"], true);
    let second = stage.offer_once();
    assert_ne!(second.task_id, first.task_id, "a task id is used once");
    // An offer that is rescinded in time is not used.
    let mark = stage.master.mark();
    let offer = stage.master.offer(&[AGENT]).remove(0);
    stage.master.rescind(&offer);
    stage.server.submit_one(r#"{"command": "true"}"#);
    stage.master.called_after(mark, CallType::Revive, |_| true);
    stage.offer_once();
}

#[test]
fn an_invalid_task_ends_its_job_with_the_reason() {
    let stage = Stage::new();
    let (uuid, task) = stage.launch(r#"{"command": "true", "max_retries": 1}"#);
    stage.master.say(
        &task,
        TaskState::Error,
        cook_mesos::scheduler::Reason::TaskInvalid,
    );
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job["instances"][0]["reason_code"], 3004, "{job:#}");
    assert_eq!(job["status"], "completed");
}

#[test]
fn jobs_with_a_container_are_refused() {
    let stage = Stage::new();
    let body = r#"{"command": "true", "container": {"type": "DOCKER", "docker": {"image": "x"}}}"#;
    let answer = stage
        .server
        .ask("POST", "/rawscheduler", "", body.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().to_lowercase().contains("container"),
        "{}",
        answer.text()
    );
}

#[test]
fn metrics_count_launches_updates_reconciliations_and_declined_offers() {
    let stage = Stage::with(Heartbeats::Usual, USUAL, "");
    let (uuid, task) = stage.run(r#"{"command": "true"}"#);
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
    declined(&stage);
    let metrics = wait_for("the figures", || {
        let answer = stage.server.get("/metrics");
        (answer.status == 200).then(|| answer.text())
    });
    for word in ["launch", "update", "reconcil", "decline"] {
        let found = metrics
            .lines()
            .find(|line| !line.starts_with('#') && line.contains(word));
        assert!(found.is_some(), "{word} is not in\n{metrics}");
    }
}

//! Updates and messages: stored first, then acknowledged.

use cook_mesos::scheduler::{CallType, TaskState, TaskStatus};
use cook_test_master::events;
use cook_test_master::script::{Leader, Trouble};
use serde_json::json;

use crate::stage::{AGENT, HOST, Stage};

const JOB: &str = r#"{"command": "true", "before_commands": [{"value": "b"}], "after_commands": [{"value": "a"}]}"#;

/// The number of KILL or ACKNOWLEDGE calls for a task.
fn count(stage: &Stage, kind: CallType, task: &str) -> usize {
    stage.master.inspect(|journal| {
        let names = |called: &&cook_test_master::journal::Called| {
            let kill = called.call.kill.as_ref().map(|it| &it.task_id);
            let ack = called.call.acknowledge.as_ref().map(|it| &it.task_id);
            kill.or(ack).is_some_and(|id| id.value == task)
        };
        journal.calls(kind, 0).filter(names).count()
    })
}

#[test]
fn a_terminal_update_is_stored_before_it_is_acknowledged() {
    let mut stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage.master.acknowledged(&task);
    stage.master.trouble(CallType::Acknowledge, Trouble::Hold);
    let mark = stage.master.mark();
    stage.master.report_end(
        &task,
        TaskState::Failed,
        r#"{"exit_code": 7, "before_codes": [0]}"#,
    );
    stage
        .master
        .called_after(mark, CallType::Acknowledge, |_| true);
    stage.server.kill();
    // Without a master, the update cannot come again.
    stage.master.set_leader(Leader::Nobody);
    stage.server.restart();
    let job = stage.server.job(&uuid);
    assert_eq!(job["instances"][0]["status"], "failed", "{job:#}");
    assert_eq!(
        (&job["exit_code"], &job["before_exit_codes"]),
        (&json!(7), &json!([0]))
    );
    // The acknowledgement was lost. The update comes again, changes nothing, and is acknowledged.
    stage.master.set_leader(Leader::Us);
    stage.master.acknowledged(&task);
    assert_eq!(stage.server.job(&uuid)["instances"], job["instances"]);
}

#[test]
fn repeated_updates_are_acknowledged_again() {
    let stage = Stage::new();
    let (_, task) = stage.run(JOB);
    let id = &task.task_id.value;
    stage.master.acknowledged(&task);
    let before = count(&stage, CallType::Acknowledge, id);
    for _ in 0..3 {
        stage
            .master
            .trouble(CallType::Acknowledge, Trouble::Swallow);
    }
    stage.master.report(&task, TaskState::Finished);
    for round in 1..=3 {
        stage
            .master
            .wait_until("one more acknowledgement", |journal| {
                let acks = journal.calls(CallType::Acknowledge, 0);
                (acks.count() >= before + round).then_some(())
            });
        stage.master.repeat_updates();
    }
    stage.master.acknowledged(&task);
    assert_eq!(count(&stage, CallType::Kill, id), 0);
}

#[test]
fn updates_of_a_task_are_acknowledged_one_after_the_other() {
    let stage = Stage::new();
    let (uuid, task) = stage.launch(JOB);
    for state in [TaskState::Starting, TaskState::Running, TaskState::Finished] {
        stage.master.report(&task, state);
    }
    stage.until_status(&uuid, "success");
    stage.master.acknowledged(&task);
    assert_eq!(count(&stage, CallType::Acknowledge, &task.task_id.value), 3);
}

#[test]
fn updates_without_a_uuid_are_not_acknowledged() {
    let stage = Stage::new();
    let (uuid, task) = stage.launch(JOB);
    let reason = cook_mesos::scheduler::Reason::Reconciliation;
    stage.master.say(&task, TaskState::Running, reason);
    stage.until_status(&uuid, "running");
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
    stage.master.acknowledged(&task);
    assert_eq!(count(&stage, CallType::Acknowledge, &task.task_id.value), 1);
}

/// Ids of tasks that this scheduler has not launched: one that none of its instances can have, and one that may be
/// an instance it has forgotten.
fn unknown_ids(number: usize) -> [String; 2] {
    [
        format!("unknown-{number}"),
        format!("0123abcd-0000-4000-8000-00000000000{number}"),
    ]
}

/// Sends an update of an unknown task, and waits until it is acknowledged.
fn update_unknown(stage: &Stage, id: &str, state: TaskState) {
    stage.master.update(events::status(id, AGENT, state));
    stage.master.called_after(0, CallType::Acknowledge, |call| {
        let acknowledge = call.acknowledge.as_ref();
        acknowledge.is_some_and(|it| it.task_id.value == id)
    });
}

#[test]
fn unknown_tasks_are_killed() {
    let stage = Stage::new();
    let states = [TaskState::Staging, TaskState::Starting, TaskState::Running];
    for (number, state) in states.into_iter().enumerate() {
        for id in unknown_ids(number) {
            update_unknown(&stage, &id, state);
            let kill = stage.master.called_after(0, CallType::Kill, |call| {
                let kill = call.kill.as_ref();
                kill.is_some_and(|kill| kill.task_id.value == id)
            });
            let agent = kill.call.kill.expect("its own part").agent_id;
            assert_eq!(agent.map(|id| id.value).as_deref(), Some(AGENT));
        }
    }
}

#[test]
fn terminal_updates_of_unknown_tasks_are_acknowledged() {
    let stage = Stage::new();
    let states = [
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Lost,
        TaskState::Error,
        TaskState::Gone,
    ];
    for (number, state) in states.into_iter().enumerate() {
        for id in unknown_ids(number) {
            update_unknown(&stage, &id, state);
        }
    }
    let kills =
        |journal: &cook_test_master::journal::Journal| journal.calls(CallType::Kill, 0).count();
    assert_eq!(stage.master.inspect(kills), 0);
}

#[test]
fn the_data_of_the_last_status_overrides_messages() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let id = &task.task_id.value;
    stage
        .master
        .message(&task, &format!(r#"{{"task-id": "{id}", "exit-code": 9}}"#));
    stage.master.message(&task, &format!(r#"{{"task-id": "{id}", "progress-sequence": 1, "progress-percent": 40, "progress-message": "on its way"}}"#));
    stage
        .server
        .until(&uuid, "at 40", |job| job["progress"] == 40);
    stage.master.report_end(
        &task,
        TaskState::Failed,
        r#"{"exit_code": 3, "before_codes": [1], "after_codes": [2], "default_before_codes": [4], "default_after_codes": [5], "progress": 90, "message": "burnt"}"#,
    );
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job["exit_code"], 3);
    assert_eq!(job["before_exit_codes"], json!([1]));
    assert_eq!(job["after_exit_codes"], json!([2]));
    assert_eq!(job["default_before_exit_codes"], json!([4]));
    assert_eq!(job["default_after_exit_codes"], json!([5]));
    assert_eq!(
        (&job["progress"], &job["message"]),
        (&json!(90), &json!("burnt"))
    );
    // Messages after the end are ignored.
    stage.master.message(
        &task,
        &format!(r#"{{"task-id": "{id}", "progress-sequence": 9, "progress-percent": 10}}"#),
    );
    stage
        .master
        .message(&task, &format!(r#"{{"task-id": "{id}", "exit-code": 0}}"#));
    stage.master.repeat_updates();
    stage.master.acknowledged(&task);
    let job = stage.server.job(&uuid);
    assert_eq!(
        (&job["progress"], &job["exit_code"]),
        (&json!(90), &json!(3))
    );
}

#[test]
fn the_message_of_a_status_is_not_the_jobs_message() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let status = events::status(&task.task_id.value, AGENT, TaskState::Failed);
    stage.master.update(TaskStatus {
        message: Some(b"Command exited with status 3".to_vec()),
        data: Some(br#"{"exit_code": 3}"#.to_vec()),
        ..status
    });
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job.get("message"), None, "{job:#}");
}

#[test]
fn the_newest_progress_wins() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let id = &task.task_id.value;
    let say = |sequence: u64, percent: u64| {
        let text = format!(
            r#"{{"task-id": "{id}", "progress-sequence": {sequence}, "progress-percent": {percent}, "progress-message": "at {percent}"}}"#
        );
        stage.master.message(&task, &text);
    };
    say(2, 50);
    stage
        .server
        .until(&uuid, "at 50", |job| job["progress"] == 50);
    say(1, 20);
    say(2, 30);
    say(3, 60);
    let job = stage
        .server
        .until(&uuid, "at 60", |job| job["progress"] == 60);
    assert_eq!(job["message"], "at 60");
    // Messages of unknown executors, and messages in another format than Cook's, are ignored.
    for (executor, data) in [
        (
            "unknown",
            r#"{"task-id": "unknown", "progress-sequence": 99, "progress-percent": 1}"#,
        ),
        (id.as_str(), "no JSON"),
        (id.as_str(), r#"{"progress-sequence": "x"}"#),
        (
            id.as_str(),
            r#"{"task-id": "x", "progress-sequence": 100, "progress-percent": 400}"#,
        ),
    ] {
        stage
            .master
            .send(&events::message(AGENT, executor, data.as_bytes()));
    }
    say(101, 70);
    stage
        .server
        .until(&uuid, "at 70", |job| job["progress"] == 70);
}

#[test]
fn output_url_names_the_agent() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let id = &task.task_id.value;
    let sandbox = "/var/lib/mesos/slaves/S0/runs/latest";
    stage.master.message(
        &task,
        &format!(r#"{{"sandbox-directory": "{sandbox}", "task-id": "{id}", "type": "directory"}}"#),
    );
    let job = stage.server.until(&uuid, "somewhere", |job| {
        job["instances"][0].get("sandbox_directory").is_some()
    });
    let instance = &job["instances"][0];
    assert_eq!(instance["sandbox_directory"], sandbox);
    assert_eq!(
        (&instance["hostname"], &instance["agent_id"]),
        (&json!(HOST), &json!(AGENT))
    );
    let url = instance["output_url"].as_str().expect("a URL");
    assert!(
        url.starts_with(&format!("http://{HOST}:5051/files/read?path=%2Fvar%2Flib")),
        "{url}"
    );
    // Clients look for this id in the state of the agent.
    let cluster = &instance["compute-cluster"];
    assert_eq!(
        cluster["mesos"]["framework-id"].as_str(),
        stage.master.framework().as_deref(),
        "{cluster}"
    );
}

#[test]
fn unknown_states_and_reasons_and_bad_data_are_tolerated() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let status = events::status(&task.task_id.value, AGENT, TaskState::Running);
    // A state, a reason and a source that Mesos may add later.
    for state in [77, -1] {
        stage.master.update(TaskStatus {
            state,
            reason: Some(999),
            source: Some(9),
            ..status.clone()
        });
    }
    stage.master.report_end(
        &task,
        TaskState::Failed,
        r#"{"exit_code": "three", "after_codes": 4, "progress": 1e99}"#,
    );
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job.get("exit_code"), None, "{job:#}");
    stage.master.acknowledged(&task);
}

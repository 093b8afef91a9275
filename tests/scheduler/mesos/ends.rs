//! Kills, reconciliation, and tasks that are gone, lost, unreachable, or back again.

use std::process::{Command, Stdio};
use std::time::Duration;

use cook_mesos::scheduler::{CallType, Reason, TaskInfo, TaskState};
use cook_test_master::cluster::{Agent, Standing};
use cook_test_master::script::Trouble;
use cook_test_master::{Heartbeats, events};
use serde_json::json;

use crate::server::wait_for;
use crate::stage::{AGENT, Stage, USUAL};

const JOB: &str = r#"{"command": "true", "max_retries": 3}"#;

fn kill(stage: &Stage, uuid: &str) {
    let answer = stage
        .server
        .ask("DELETE", &format!("/rawscheduler?job={uuid}"), "", b"");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Waits for this number of KILL calls for a task. Returns their times.
fn kills(stage: &Stage, task: &TaskInfo, count: usize) -> Vec<Duration> {
    let id = task.task_id.value.clone();
    stage
        .master
        .wait_until(&format!("{count} kills of {id}"), |journal| {
            let times: Vec<_> = journal
                .entries()
                .iter()
                .filter(|entry| match &entry.what {
                    cook_test_master::journal::What::Called(called) => called
                        .call
                        .kill
                        .as_ref()
                        .is_some_and(|kill| kill.task_id.value == id),
                    _ => false,
                })
                .map(|entry| entry.at)
                .collect();
            (times.len() >= count).then_some(times)
        })
}

/// The number of launched tasks.
fn launches(stage: &Stage) -> usize {
    stage.master.inspect(|journal| journal.tasks().len())
}

/// Waits until a task is reconciled, after this entry of the journal.
fn reconciled(stage: &Stage, mark: usize, task: &TaskInfo) {
    stage
        .master
        .called_after(mark, CallType::Reconcile, |call| {
            let tasks = &call.reconcile.as_ref().expect("its own part").tasks;
            tasks.iter().any(|asked| {
                let agent = asked.agent_id.as_ref().map(|id| id.value.as_str());
                asked.task_id == task.task_id && agent == Some(&task.agent_id.value)
            })
        });
}

#[test]
fn a_kill_is_repeated_until_the_task_has_ended() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    kill(&stage, &uuid);
    assert_eq!(stage.server.job(&uuid)["status"], "completed", "at once");
    stage.master.report(&task, TaskState::Killing);
    let times = kills(&stage, &task, 3);
    let (first, second) = (times[1] - times[0], times[2] - times[1]);
    assert!(first >= Duration::from_secs(4), "not in a hurry: {times:?}");
    assert!(second >= first, "more and more seldom: {times:?}");
    stage.master.report(&task, TaskState::Killed);
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job["instances"][0]["reason_code"], 1001);
    stage.master.acknowledged(&task);
}

#[test]
fn a_kill_outlives_the_scheduler_and_the_subscription() {
    let mut stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage.master.trouble(CallType::Kill, Trouble::Swallow);
    kill(&stage, &uuid);
    kills(&stage, &task, 1);
    stage.restart();
    kills(&stage, &task, 2);
    stage.master.go_away();
    stage.master.come_back().expect("listening");
    kills(&stage, &task, 3);
    stage.master.report(&task, TaskState::Killed);
    stage.until_status(&uuid, "failed");
}

#[test]
fn a_kill_without_a_master_is_sent_after_the_next_subscription() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage.master.go_away();
    kill(&stage, &uuid);
    stage.master.come_back().expect("listening");
    kills(&stage, &task, 1);
    stage.master.report(&task, TaskState::Killed);
    stage.until_status(&uuid, "failed");
}

#[test]
fn a_kill_of_a_task_that_is_gone_ends_it() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage
        .master
        .with_cluster(|cluster| cluster.tasks.remove(&task.task_id.value));
    kill(&stage, &uuid);
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job["instances"][0]["reason_code"], 1001, "{job:#}");
    assert_eq!(kills(&stage, &task, 1).len(), 1);
}

#[test]
fn a_lost_task_is_restarted_and_killed_if_it_comes_back() {
    let stage = Stage::new();
    let (uuid, first) = stage.run(JOB);
    // Reported by the agent itself.
    stage.master.report(&first, TaskState::Lost);
    stage.until_status(&uuid, "failed");
    let second = stage.offer_once();
    stage.master.report(&second, TaskState::Running);
    stage.until_status(&uuid, "running");
    stage.master.report(&first, TaskState::Running);
    kills(&stage, &first, 1);
    stage.master.acknowledged(&first);
    stage.master.report(&first, TaskState::Killed);
    stage.master.acknowledged(&first);
    stage.master.report(&second, TaskState::Finished);
    let job = stage.until_status(&uuid, "success");
    assert_eq!(job["state"], "success");
    assert_eq!(launches(&stage), 2);
}

#[test]
fn an_unreachable_task_is_not_restarted() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage.master.set_standing(AGENT, Standing::Unreachable);
    stage
        .master
        .say(&task, TaskState::Unreachable, Reason::AgentRemoved);
    stage.master.send(&events::failure(AGENT, None));
    let log = || {
        stage
            .server
            .log()
            .contains("cannot be reached")
            .then_some(())
    };
    wait_for("a line in the log", log);
    assert_eq!(stage.server.job(&uuid)["instances"][0]["status"], "running");
    let mark = stage.master.mark();
    stage.master.set_standing(AGENT, Standing::Registered);
    stage
        .server
        .submit_one(r#"{"command": "true", "mem": 9999}"#);
    stage.master.offer(&[AGENT]);
    stage.master.called_after(mark, CallType::Decline, |_| true);
    assert_eq!(launches(&stage), 1, "no second one beside it");
    stage.master.report(&task, TaskState::Running);
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn a_task_that_its_agent_has_lost_while_it_was_unreachable_is_restarted() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage.master.set_standing(AGENT, Standing::Unreachable);
    stage.master.with_cluster(|cluster| cluster.tasks.clear());
    let reason = Reason::AgentRemoved;
    stage.master.say(&task, TaskState::Unreachable, reason);
    let mark = stage.master.mark();
    reconciled(&stage, mark, &task);
    // The agent registers again without the task. Nothing is sent about that.
    stage.master.set_standing(AGENT, Standing::Registered);
    let job = stage
        .server
        .until(&uuid, "waiting", |job| job["status"] == "waiting");
    assert_eq!(job["retries_remaining"], 3, "{job:#}");
    let second = stage.offer_once();
    stage.master.report(&second, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn an_unreachable_task_is_given_up_after_the_timeout_and_killed_if_it_comes_back() {
    let mesos = format!("{USUAL} :unreachable-timeout 1");
    let stage = Stage::with(Heartbeats::Usual, &mesos, "");
    let (uuid, first) = stage.run(JOB);
    stage.master.set_standing(AGENT, Standing::Unreachable);
    let reason = Reason::AgentRemoved;
    stage.master.say(&first, TaskState::Unreachable, reason);
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job["instances"][0]["reason_code"], 4006, "{job:#}");
    assert_eq!(job["retries_remaining"], 3);
    stage
        .master
        .add_agent("agent-2", Agent::new("host2.example"));
    stage.master.offer(&["agent-2"]);
    let second = stage.master.launched(2).remove(1);
    stage.master.report(&second, TaskState::Running);
    stage.until_status(&uuid, "running");
    stage.master.set_standing(AGENT, Standing::Registered);
    stage.master.report(&first, TaskState::Running);
    kills(&stage, &first, 1);
    stage
        .master
        .report_end(&first, TaskState::Killed, r#"{"exit_code": -15}"#);
    stage.master.acknowledged(&first);
    stage.master.report(&second, TaskState::Finished);
    stage.until_status(&uuid, "success");
    assert_eq!(launches(&stage), 2);
}

#[test]
fn a_failure_reported_by_the_master_gets_the_reason_of_the_agents_update() {
    for reported in [Reason::AgentReregistered, Reason::Reconciliation] {
        let stage = Stage::new();
        let (uuid, task) = stage.run(JOB);
        stage.master.say(&task, TaskState::Failed, reported);
        let status = events::status(&task.task_id.value, AGENT, TaskState::Failed);
        stage.master.update(cook_mesos::scheduler::TaskStatus {
            reason: Some(Reason::ExecutorTerminated as i32),
            ..status
        });
        let job = stage.until_status(&uuid, "failed");
        assert_eq!(job["instances"][0]["reason_code"], 99002, "{job:#}");
        assert_eq!(job["retries_remaining"], 3, "not the job's fault");
    }
}

#[test]
fn drain_kills_the_running_tasks_and_waits_for_their_ends() {
    let mut stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let waiting = stage
        .server
        .submit_one(r#"{"command": "true", "mem": 9000}"#);
    stage.server.kill();
    let config = stage.server.folder.0.join("config.edn");
    let mut drain = Command::new(env!("CARGO_BIN_EXE_cook-scheduler"))
        .args(["--drain", "--master", &stage.master.address().to_string()])
        .arg("--config")
        .arg(config)
        .arg("--data")
        .arg(stage.server.data())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    kills(&stage, &task, 1);
    stage.master.report_end(
        &task,
        TaskState::Killed,
        r#"{"exit_code": -15, "after_codes": [0]}"#,
    );
    stage.master.acknowledged(&task);
    let status = wait_for("its exit", || drain.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
    stage.server.restart();
    let job = stage.server.job(&uuid);
    assert_eq!(job["instances"][0]["reason_code"], 1001, "{job:#}");
    assert_eq!(job["instances"][0]["exit_code"], -15);
    assert_eq!(stage.server.job(&waiting)["status"], "waiting");
}

#[test]
fn gone_tasks_are_restarted_without_costing_an_attempt() {
    for (state, reason) in [
        (TaskState::Gone, Reason::AgentRemoved),
        (TaskState::GoneByOperator, Reason::AgentRemovedByOperator),
        (TaskState::Unknown, Reason::AgentUnknown),
        (TaskState::Dropped, Reason::AgentDisconnected),
    ] {
        let stage = Stage::new();
        let (uuid, first) = stage.run(JOB);
        stage.master.say(&first, state, reason);
        let job = stage
            .server
            .until(&uuid, "waiting", |job| job["status"] == "waiting");
        assert_eq!(job["retries_remaining"], 3, "{state:?}: {job:#}");
        let second = stage.offer_once();
        stage.master.report(&second, TaskState::Finished);
        stage.until_status(&uuid, "success");
    }
}

#[test]
fn a_lost_launch_is_reconciled_and_restarted() {
    let stage = Stage::new();
    stage.master.trouble(CallType::Accept, Trouble::Swallow);
    let (uuid, first) = stage.launch(JOB);
    // The lost ACCEPT would have used the offer.
    stage
        .master
        .with_cluster(cook_test_master::cluster::Cluster::forget_offers);
    let mark = stage.master.mark();
    reconciled(&stage, mark, &first);
    let job = stage
        .server
        .until(&uuid, "waiting", |job| job["status"] == "waiting");
    assert_eq!(job["retries_remaining"], 3, "{job:#}");
    let second = stage.offer_once();
    assert_ne!(second.task_id, first.task_id);
    stage.master.report(&second, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn every_subscription_reconciles_the_unfinished_tasks() {
    let mut stage = Stage::new();
    let (_, running) = stage.run(JOB);
    let (done, ended) = stage.run(JOB);
    stage.master.report(&ended, TaskState::Finished);
    stage.until_status(&done, "success");
    stage.restart();
    let mark = stage.master.mark();
    reconciled(&stage, 0, &running);
    let names_ended = stage.master.inspect(|journal| {
        let calls = journal.calls(CallType::Reconcile, 0);
        let mut tasks =
            calls.flat_map(|called| called.call.reconcile.clone().expect("its own part").tasks);
        tasks.any(|task| task.task_id == ended.task_id)
    });
    assert!(!names_ended);
    stage.master.reset_stream();
    reconciled(&stage, mark, &running);
}

#[test]
fn reconciliation_is_repeated_until_the_agent_is_back() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    // The new master knows the agent from its registry, but the agent has not registered again yet.
    stage.master.go_away();
    stage.master.set_standing(AGENT, Standing::Recovering);
    let mark = stage.master.mark();
    stage.master.come_back().expect("listening");
    reconciled(&stage, mark, &task);
    let second_mark = stage.master.mark();
    reconciled(&stage, second_mark, &task);
    assert_eq!(stage.server.job(&uuid)["instances"][0]["status"], "running");
    // The agent registers again, without the task.
    stage.master.with_cluster(|cluster| cluster.tasks.clear());
    stage.master.set_standing(AGENT, Standing::Registered);
    let job = stage
        .server
        .until(&uuid, "waiting", |job| job["status"] == "waiting");
    assert_eq!(job["retries_remaining"], 3, "{job:#}");
}

#[test]
fn the_tasks_of_a_failed_agent_are_reconciled() {
    let stage = Stage::new();
    let (_, task) = stage.run(JOB);
    let mark = stage.master.mark();
    stage.master.send(&events::failure(AGENT, None));
    reconciled(&stage, mark, &task);
    // The end of an executor needs no reconciliation: an update of its task follows.
    let (uuid, other) = stage.run(JOB);
    stage
        .master
        .send(&events::failure(AGENT, Some((&other.task_id.value, 9))));
    stage.master.report(&other, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn a_reconciled_end_gets_its_exit_code_from_the_late_update() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage
        .master
        .say(&task, TaskState::Finished, Reason::Reconciliation);
    let job = stage.until_status(&uuid, "success");
    assert_eq!(job.get("exit_code"), None);
    stage.master.report_end(
        &task,
        TaskState::Finished,
        r#"{"exit_code": 0, "message": "well done"}"#,
    );
    stage.master.acknowledged(&task);
    let job = stage
        .server
        .until(&uuid, "whole", |job| job["exit_code"] == 0);
    assert_eq!(job["message"], json!("well done"));
}

#[test]
fn a_terminated_executor_costs_no_attempt() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let status = events::status(&task.task_id.value, AGENT, TaskState::Failed);
    stage.master.update(cook_mesos::scheduler::TaskStatus {
        reason: Some(Reason::ExecutorTerminated as i32),
        ..status
    });
    let job = stage
        .server
        .until(&uuid, "waiting", |job| job["status"] == "waiting");
    assert_eq!(job["instances"][0]["reason_code"], 99002);
    assert_eq!(job["retries_remaining"], 3);
}

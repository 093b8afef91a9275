//! Kills, questions, and tasks that are gone, lost, out of reach, or back.

use std::time::Duration;

use cook_mesos::scheduler::{CallType, Reason, TaskInfo, TaskState};
use cook_test_master::cluster::Standing;
use cook_test_master::events;
use cook_test_master::script::Trouble;
use serde_json::json;

use crate::server::DEADLINE;
use crate::stage::{AGENT, Stage};

const JOB: &str = r#"{"command": "true", "max_retries": 3}"#;

fn kill(stage: &Stage, uuid: &str) {
    let answer = stage
        .server
        .ask("DELETE", &format!("/rawscheduler?job={uuid}"), "", b"");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Waits for so many kills of a task; when they came.
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

/// How many tasks were launched.
fn launches(stage: &Stage) -> usize {
    stage.master.inspect(|journal| journal.tasks().len())
}

/// Waits until a task is asked for after this entry.
fn asked(stage: &Stage, mark: usize, task: &TaskInfo) {
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
fn a_job_that_is_killed_while_nobody_leads_ends_all_the_same() {
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
fn a_lost_task_is_started_again_and_ended_if_it_comes_back() {
    let stage = Stage::new();
    let (uuid, first) = stage.run(JOB);
    // The agent itself says so.
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
fn a_task_out_of_reach_is_waited_for() {
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
    crate::server::wait_for("a line in the log", log);
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
fn a_task_that_is_gone_is_started_again_for_free() {
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
fn a_launch_that_got_lost_is_asked_for_and_started_again() {
    let stage = Stage::new();
    stage.master.trouble(CallType::Accept, Trouble::Swallow);
    let (uuid, first) = stage.launch(JOB);
    // The offer is as good as used.
    stage
        .master
        .with_cluster(cook_test_master::cluster::Cluster::forget_offers);
    let mark = stage.master.mark();
    asked(&stage, mark, &first);
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
fn every_subscription_asks_for_what_has_not_ended() {
    let mut stage = Stage::new();
    let (_, running) = stage.run(JOB);
    let (done, ended) = stage.run(JOB);
    stage.master.report(&ended, TaskState::Finished);
    stage.until_status(&done, "success");
    stage.restart();
    let mark = stage.master.mark();
    asked(&stage, 0, &running);
    let names_ended = stage.master.inspect(|journal| {
        let calls = journal.calls(CallType::Reconcile, 0);
        let mut tasks =
            calls.flat_map(|called| called.call.reconcile.clone().expect("its own part").tasks);
        tasks.any(|task| task.task_id == ended.task_id)
    });
    assert!(!names_ended);
    stage.master.reset_stream();
    asked(&stage, mark, &running);
}

#[test]
fn no_answer_is_taken_for_none_after_a_masters_failover() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    // The new master knows of the agent from its registry; it has not come back yet.
    stage.master.go_away();
    stage.master.set_standing(AGENT, Standing::Recovering);
    let mark = stage.master.mark();
    stage.master.come_back().expect("listening");
    asked(&stage, mark, &task);
    let second_mark = stage.master.mark();
    asked(&stage, second_mark, &task);
    assert_eq!(stage.server.job(&uuid)["instances"][0]["status"], "running");
    // It comes back without the task.
    stage.master.with_cluster(|cluster| cluster.tasks.clear());
    stage.master.set_standing(AGENT, Standing::Registered);
    let job = stage
        .server
        .until(&uuid, "waiting", |job| job["status"] == "waiting");
    assert_eq!(job["retries_remaining"], 3, "{job:#}");
}

#[test]
fn a_lost_agent_makes_it_ask_for_what_was_there() {
    let stage = Stage::new();
    let (_, task) = stage.run(JOB);
    let mark = stage.master.mark();
    stage.master.send(&events::failure(AGENT, None));
    asked(&stage, mark, &task);
    // The end of an executor is told by its task.
    let (uuid, other) = stage.run(JOB);
    stage
        .master
        .send(&events::failure(AGENT, Some((&other.task_id.value, 9))));
    stage.master.report(&other, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn an_end_that_was_asked_for_is_completed_by_the_update_that_comes_late() {
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
fn an_executor_that_has_died_is_no_fault_of_the_job() {
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
    assert!(DEADLINE > Duration::ZERO);
}

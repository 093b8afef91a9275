//! Several faults at the same time.

use cook_mesos::scheduler::{CallType, TaskState};
use cook_test_master::script::{Leader, Trouble};

use crate::stage::{AGENT, Stage};

const JOB: &str = r#"{"command": "true", "max_retries": 3}"#;

#[test]
fn lost_acknowledgements_are_sent_again() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    stage.master.acknowledged(&task);
    for trouble in [
        Trouble::LoseReply,
        Trouble::Reset,
        Trouble::Cut(5),
        Trouble::Refuse(500, "oops"),
    ] {
        stage.master.trouble(CallType::Acknowledge, trouble);
        stage.master.report(&task, TaskState::Running);
        // Agents repeat their updates.
        let mut rounds = 0;
        while !stage.master.is_acknowledged(&task.task_id.value) {
            let mark = stage.master.mark();
            stage.master.repeat_updates();
            stage.master.wait_until("a step", |journal| {
                (journal.entries().len() > mark + 1).then_some(())
            });
            rounds += 1;
            assert!(rounds < 1000, "never acknowledged");
        }
    }
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn a_held_call_blocks_neither_the_api_nor_events() {
    let stage = Stage::new();
    let (first, one) = stage.run(JOB);
    let (second, two) = stage.run(JOB);
    stage.master.acknowledged(&one);
    stage.master.acknowledged(&two);
    stage.master.trouble(CallType::Acknowledge, Trouble::Hold);
    let mark = stage.master.mark();
    stage
        .master
        .report_end(&one, TaskState::Failed, r#"{"exit_code": 3}"#);
    stage
        .master
        .called_after(mark, CallType::Acknowledge, |_| true);
    stage
        .master
        .report_end(&two, TaskState::Failed, r#"{"exit_code": 4}"#);
    for (uuid, code) in [(first, 3), (second, 4)] {
        let job = stage.until_status(&uuid, "failed");
        assert_eq!(job["instances"][0]["exit_code"], code);
    }
    stage.master.release();
    stage.master.acknowledged(&one);
    stage.master.acknowledged(&two);
    let count = stage
        .master
        .inspect(|journal| journal.calls(CallType::Subscribe, 0).count());
    assert_eq!(count, 1);
}

#[test]
fn a_scheduler_and_a_master_killed_together_lose_nothing() {
    let mut stage = Stage::new();
    let (running, one) = stage.run(JOB);
    let (killed, two) = stage.run(JOB);
    // One task runs, one is being killed, one is being launched.
    stage.master.trouble(CallType::Accept, Trouble::Hold);
    stage.master.trouble(CallType::Kill, Trouble::Hold);
    let launching = stage.server.submit_one(JOB);
    stage.master.offer(&[AGENT]);
    let three = stage.master.launched(3).remove(2);
    let answer = stage
        .server
        .ask("DELETE", &format!("/rawscheduler?job={killed}"), "", b"");
    assert_eq!(answer.status, 204);
    stage.master.go_away();
    stage.server.kill();
    stage.master.forget_troubles();
    stage.master.set_leader(Leader::Nobody);
    stage.master.come_back().expect("listening");
    let mark = stage.master.mark();
    stage.server.restart();
    stage
        .master
        .called_after(mark, CallType::Subscribe, |_| true);
    stage.master.set_leader(Leader::Us);
    // The KILL is repeated. The launch never arrived.
    stage.master.called_after(mark, CallType::Kill, |call| {
        call.kill
            .as_ref()
            .is_some_and(|kill| kill.task_id == two.task_id)
    });
    stage.master.report(&two, TaskState::Killed);
    stage.until_status(&killed, "failed");
    let job = stage
        .server
        .until(&launching, "waiting", |job| job["status"] == "waiting");
    assert_eq!(job["instances"][0]["task_id"], three.task_id.value.as_str());
    let again = stage.offer_once();
    for task in [&one, &again] {
        stage.master.report(task, TaskState::Finished);
    }
    for uuid in [&running, &launching] {
        stage.until_status(uuid, "success");
    }
    assert_eq!(stage.master.inspect(|journal| journal.tasks().len()), 4);
}

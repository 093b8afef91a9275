//! Time limits and retention. They follow steady time while the wall clock jumps.

use std::time::Duration;

use cook_scheduler::core::backend::{BackendEvent, Call, InstanceMessage, TaskState};
use cook_scheduler::core::job::{JobStatus, Reason, Runtime};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::words::Message;

use crate::harness::Harness;
use crate::jobs::{job_id, spec};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn the_maximum_run_time_is_exact_across_restarts_and_clock_changes() {
    let mut harness = Harness::new();
    let mut job = spec();
    job.max_runtime = Runtime::from_millis(3_600_000);
    harness.submit("alice", job_id(1), job);
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.now.wall.0 += 24 * 3_600_000;
    harness.pass(HOUR / 2);
    harness.restart();
    harness.subscribe();
    harness.now.wall.0 -= 48 * 3_600_000;
    harness.answer(id, TaskState::Running);
    harness.pass(HOUR / 2 - SECOND);
    assert_eq!(harness.kills(), []);
    harness.pass(3 * SECOND);
    assert_eq!(harness.kills(), [id]);
    harness.update(id, TaskState::Killed);
    assert_eq!(
        harness.job(job_id(1)).instances[0].failure(),
        Some(Reason::MaxRuntimeExceeded)
    );
}

#[test]
fn a_kill_is_repeated_until_the_instance_has_ended() {
    let mut harness = Harness::with(Settings::mesos([1; 16]));
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.kill(job_id(1));
    harness.calls.clear();
    harness.pass(Duration::from_secs(60));
    assert!(harness.kills().len() >= 3, "{:?}", harness.kills());
    harness.pass(HOUR);
    assert!(
        harness
            .calls
            .iter()
            .any(|call| matches!(call, Call::Shutdown { .. }))
    );
    harness.update(id, TaskState::Killed);
    harness.pass(HOUR);
    assert_eq!(harness.kills(), []);
}

#[test]
fn an_unreachable_instance_is_given_up_after_ten_minutes() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.answer(id, TaskState::Unreachable);
    harness.pass(Duration::from_secs(590));
    harness.answer(id, TaskState::Running);
    harness.answer(id, TaskState::Unreachable);
    harness.pass(Duration::from_secs(599));
    assert!(!harness.job(job_id(1)).instances[0].is_ended());
    harness.pass(2 * SECOND);
    assert_eq!(
        harness.job(job_id(1)).instances[0].failure(),
        Some(Reason::AgentUnreachable)
    );
    assert_eq!(harness.offer(1.0).len(), 1, "not the job's fault");
}

#[test]
fn an_unreachable_instance_is_not_given_up_before_the_master_could_be_asked() {
    for is_restarted in [false, true] {
        let mut harness = Harness::with(Settings::mesos([1; 16]));
        harness.submit("alice", job_id(1), spec());
        let id = harness.start();
        harness.update(id, TaskState::Running);
        harness.answer(id, TaskState::Unreachable);
        harness.backend(BackendEvent::Disconnected);
        harness.pass(HOUR);
        if is_restarted {
            harness.restart();
            harness.pass(SECOND);
        }
        assert!(!harness.job(job_id(1)).instances[0].is_ended());
        harness.calls.clear();
        harness.subscribe();
        assert!(harness.reconciled().contains(&id));
        harness.pass(59 * SECOND);
        assert!(!harness.job(job_id(1)).instances[0].is_ended());
        assert_eq!(harness.offer(1.0), [], "the instance may still run");
        harness.pass(2 * SECOND);
        assert_eq!(
            harness.job(job_id(1)).instances[0].failure(),
            Some(Reason::AgentUnreachable)
        );
    }
}

#[test]
fn an_unreachable_instance_is_reconciled_until_its_agent_is_back() {
    let mut harness = Harness::with(Settings::mesos([1; 16]));
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.answer(id, TaskState::Unreachable);
    harness.calls.clear();
    for _ in 0..3 {
        harness.pass(30 * SECOND);
        assert!(harness.reconciled().contains(&id));
        harness.answer(id, TaskState::Unreachable);
        harness.calls.clear();
    }
    // The agent is back, without the task.
    harness.answer(id, TaskState::Gone);
    let job = harness.job(job_id(1));
    assert_eq!(job.instances[0].failure(), Some(Reason::AgentRemoved));
    assert_eq!(job.status, JobStatus::Waiting);
    harness.pass(300 * SECOND);
    assert_eq!(harness.reconciled(), []);
}

#[test]
fn completed_jobs_are_kept_for_a_week_up_to_a_maximum_number() {
    let mut harness = Harness::with(Settings {
        keep_count: 10,
        ..Settings::embedded([1; 16])
    });
    for number in 0..15 {
        harness.submit("alice", job_id(number), spec());
        let id = harness.start();
        harness.update(id, TaskState::Finished);
        harness.now.wall.0 ^= 0x4000_0000;
        harness.pass(SECOND);
    }
    assert_eq!(harness.image.jobs().count(), 10);
    assert!(
        harness.core.view().job(job_id(4)).is_none(),
        "the oldest were removed"
    );
    assert!(harness.core.view().job(job_id(5)).is_some());
    assert!(
        harness
            .calls
            .iter()
            .any(|call| matches!(call, Call::Forget(_)))
    );
    harness.pass(6 * DAY);
    assert_eq!(harness.image.jobs().count(), 10);
    harness.pass(DAY + SECOND);
    assert_eq!(harness.image.jobs().count(), 0);
    assert_eq!(
        harness.core.next_deadline(),
        None,
        "there is no deadline left"
    );
}

#[test]
fn messages_are_recorded_at_most_once_a_second() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    let say = |sequence: u64| InstanceMessage::Progress {
        sequence,
        percent: Some(sequence as u8),
        message: Some(Message::cut("on my way")),
    };
    harness.message(id, say(1));
    assert_eq!(harness.job(job_id(1)).instances[0].report.progress, Some(1));
    let batches = harness.image.last();
    for sequence in [5, 90, 7, 60] {
        harness.message(id, say(sequence));
    }
    assert_eq!(
        harness.image.last(),
        batches,
        "no further record within the second"
    );
    harness.pass(SECOND);
    assert_eq!(
        harness.job(job_id(1)).instances[0].report.progress,
        Some(90),
        "the message with the highest sequence wins"
    );
    assert_eq!(
        harness.core.next_deadline(),
        None,
        "an instance without messages needs no deadline"
    );
}

#[test]
fn an_exit_code_is_recorded_with_the_end_or_within_a_quarter_second() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    let batches = harness.image.last().0;
    harness.message(id, InstanceMessage::ExitCode(3));
    harness.update(id, TaskState::Failed);
    assert_eq!(harness.image.last().0, batches + 1, "one batch for both");
    let code = |harness: &Harness| harness.job(job_id(1)).instances[0].report.exit_code;
    assert_eq!(code(&harness), Some(3));

    harness.submit("alice", job_id(2), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    let code = |harness: &Harness| harness.job(job_id(2)).instances[0].report.exit_code;
    harness.message(id, InstanceMessage::ExitCode(4));
    assert_eq!(code(&harness), None);
    harness.pass(SECOND / 4);
    assert_eq!(code(&harness), Some(4), "after commands are still running");
    // A progress message is recorded at once, together with the exit code.
    harness.submit("alice", job_id(3), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    let report = |harness: &Harness| harness.job(job_id(3)).instances[0].report.clone();
    harness.message(id, InstanceMessage::ExitCode(5));
    let progress = InstanceMessage::Progress {
        sequence: 1,
        percent: Some(90),
        message: None,
    };
    harness.message(id, progress);
    assert_eq!(report(&harness).progress, Some(90));
    assert_eq!(report(&harness).exit_code, Some(5));
}

#[test]
fn an_idle_scheduler_has_no_deadline() {
    let mut harness = Harness::new();
    assert_eq!(harness.core.next_deadline(), None);
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    assert_eq!(
        harness.core.next_deadline(),
        None,
        "neither has a running job"
    );
}

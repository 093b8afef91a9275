//! Time limits and retention. They follow steady time while the wall clock jumps.

use std::time::Duration;

use cook_scheduler::core::backend::{Call, InstanceMessage, TaskState};
use cook_scheduler::core::job::{Reason, Runtime};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::words::Message;

use crate::desk::Desk;
use crate::jobs::{job_id, spec};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn the_maximum_run_time_is_exact_across_restarts_and_clock_changes() {
    let mut desk = Desk::new();
    let mut job = spec();
    job.max_runtime = Runtime::from_millis(3_600_000);
    desk.submit("alice", job_id(1), job);
    let id = desk.start();
    desk.update(id, TaskState::Running);
    desk.now.wall.0 += 24 * 3_600_000;
    desk.pass(HOUR / 2);
    desk.restart();
    desk.subscribe();
    desk.now.wall.0 -= 48 * 3_600_000;
    desk.answer(id, TaskState::Running);
    desk.pass(HOUR / 2 - SECOND);
    assert_eq!(desk.kills(), []);
    desk.pass(3 * SECOND);
    assert_eq!(desk.kills(), [id]);
    desk.update(id, TaskState::Killed);
    assert_eq!(
        desk.job(job_id(1)).instances[0].failure(),
        Some(Reason::MaxRuntimeExceeded)
    );
}

#[test]
fn a_kill_is_repeated_until_the_instance_has_ended() {
    let mut desk = Desk::with(Settings::mesos([1; 16]));
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    desk.kill(job_id(1));
    desk.calls.clear();
    desk.pass(Duration::from_secs(60));
    assert!(desk.kills().len() >= 3, "{:?}", desk.kills());
    desk.pass(HOUR);
    assert!(
        desk.calls
            .iter()
            .any(|call| matches!(call, Call::Shutdown { .. }))
    );
    desk.update(id, TaskState::Killed);
    desk.pass(HOUR);
    assert_eq!(desk.kills(), []);
}

#[test]
fn an_unreachable_instance_is_given_up_after_ten_minutes() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    desk.answer(id, TaskState::Unreachable);
    desk.pass(Duration::from_secs(590));
    desk.answer(id, TaskState::Running);
    desk.answer(id, TaskState::Unreachable);
    desk.pass(Duration::from_secs(599));
    assert!(!desk.job(job_id(1)).instances[0].is_ended());
    desk.pass(2 * SECOND);
    assert_eq!(
        desk.job(job_id(1)).instances[0].failure(),
        Some(Reason::AgentUnreachable)
    );
    assert_eq!(desk.offer(1.0).len(), 1, "not the job's fault");
}

#[test]
fn completed_jobs_are_kept_for_a_week_up_to_a_maximum_number() {
    let mut desk = Desk::with(Settings {
        keep_count: 10,
        ..Settings::embedded([1; 16])
    });
    for number in 0..15 {
        desk.submit("alice", job_id(number), spec());
        let id = desk.start();
        desk.update(id, TaskState::Finished);
        desk.now.wall.0 ^= 0x4000_0000;
        desk.pass(SECOND);
    }
    assert_eq!(desk.image.jobs().count(), 10);
    assert!(
        desk.core.view().job(job_id(4)).is_none(),
        "the oldest were removed"
    );
    assert!(desk.core.view().job(job_id(5)).is_some());
    assert!(
        desk.calls
            .iter()
            .any(|call| matches!(call, Call::Forget(_)))
    );
    desk.pass(6 * DAY);
    assert_eq!(desk.image.jobs().count(), 10);
    desk.pass(DAY + SECOND);
    assert_eq!(desk.image.jobs().count(), 0);
    assert_eq!(desk.core.next_deadline(), None, "there is no deadline left");
}

#[test]
fn messages_are_recorded_at_most_once_a_second() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    let say = |sequence: u64| InstanceMessage::Progress {
        sequence,
        percent: Some(sequence as u8),
        message: Some(Message::cut("on my way")),
    };
    desk.message(id, say(1));
    assert_eq!(desk.job(job_id(1)).instances[0].report.progress, Some(1));
    let batches = desk.image.last();
    for sequence in [5, 90, 7, 60] {
        desk.message(id, say(sequence));
    }
    assert_eq!(
        desk.image.last(),
        batches,
        "no further record within the second"
    );
    desk.pass(SECOND);
    assert_eq!(
        desk.job(job_id(1)).instances[0].report.progress,
        Some(90),
        "the message with the highest sequence wins"
    );
    assert_eq!(
        desk.core.next_deadline(),
        None,
        "an instance without messages needs no deadline"
    );
}

#[test]
fn an_idle_scheduler_has_no_deadline() {
    let mut desk = Desk::new();
    assert_eq!(desk.core.next_deadline(), None);
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    assert_eq!(desk.core.next_deadline(), None, "neither has a running job");
}

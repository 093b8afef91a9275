//! What counts as an attempt, and why instances fail.

use cook_scheduler::core::face::TaskState;
use cook_scheduler::core::job::{JobStatus, Outcome, Reason, Report, Retries, Verdict};
use cook_scheduler::core::request::{ApiRequest, KillOrder, Reply};

use crate::desk::Desk;
use crate::jobs::{job_id, spec, stranger};

/// Lets instances of a job with one attempt fail for a reason until it is completed; answers with how many.
fn failures(reason: Reason, counts_all: bool) -> usize {
    let mut desk = Desk::new();
    let mut job = spec();
    job.counts_all_failures = counts_all;
    desk.submit("alice", job_id(1), job);
    for count in 1..50 {
        let id = desk.start();
        desk.fail(id, reason);
        if desk.job(job_id(1)).is_completed() {
            return count;
        }
    }
    unreachable!("it never ends");
}

#[test]
fn failures_that_are_not_the_jobs_fault_are_free_up_to_their_limit() {
    assert_eq!(failures(Reason::NonZeroExit, false), 1);
    assert_eq!(failures(Reason::AgentRemoved, false), 6, "five are free");
    assert_eq!(
        failures(Reason::ExecutorTerminated, false),
        4,
        "three are free"
    );
    assert_eq!(
        failures(Reason::ContainerLaunchFailed, false),
        11,
        "ten are free"
    );
    assert_eq!(
        failures(Reason::AgentRemoved, true),
        1,
        "with disable_mea_culpa_retries none is"
    );
}

#[test]
fn every_reason_ends_some_time() {
    for &reason in Reason::ALL {
        // What an answer to a question says is no reason.
        if reason != Reason::Reconciliation {
            assert!(failures(reason, false) <= 11, "{reason:?}");
        }
    }
}

#[test]
fn a_job_has_as_many_attempts_as_it_asked_for() {
    let mut desk = Desk::new();
    let mut job = spec();
    job.max_retries = Retries::new(3).unwrap();
    desk.submit("alice", job_id(1), job);
    for _ in 0..3 {
        let id = desk.start();
        desk.update(id, TaskState::Running);
        desk.update(id, TaskState::Failed);
    }
    let job = desk.job(job_id(1));
    assert!(matches!(
        job.status,
        JobStatus::Completed {
            verdict: Verdict::Failed,
            ..
        }
    ));
    assert_eq!(job.retries_remaining(5), 0);
    assert!(desk.offer(1.0).is_empty());
}

#[test]
fn the_reason_of_a_kill_is_kept_over_that_of_the_update() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.kill(job_id(1));
    assert_eq!(desk.kills(), [id]);
    assert!(desk.job(job_id(1)).is_completed(), "at once");
    desk.fail(id, Reason::ExecutorTerminated);
    assert_eq!(
        desk.job(job_id(1)).instances[0].failure(),
        Some(Reason::KilledByUser)
    );
}

#[test]
fn a_killed_instance_counts_and_its_job_goes_on() {
    let mut desk = Desk::new();
    let mut job = spec();
    job.max_retries = Retries::new(2).unwrap();
    desk.submit("alice", job_id(1), job);
    let id = desk.start();
    let order = KillOrder {
        instances: vec![id],
        ..KillOrder::default()
    };
    assert_eq!(desk.ask(ApiRequest::Kill(order.clone())), Reply::Killed);
    assert_eq!(desk.job(job_id(1)).status, JobStatus::Running);
    desk.update(id, TaskState::Killed);
    let job = desk.job(job_id(1));
    assert_eq!(job.status, JobStatus::Waiting);
    assert!(job.instances[0].is_cancelled);
    assert_eq!(job.instances[0].failure(), Some(Reason::KilledByUser));
    assert_eq!(job.retries_remaining(5), 1);
    assert_eq!(
        desk.ask(ApiRequest::Kill(order)),
        Reply::Killed,
        "again: nothing happens"
    );
    let second = desk.start();
    desk.update(second, TaskState::Finished);
    assert!(matches!(
        desk.job(job_id(1)).status,
        JobStatus::Completed {
            verdict: Verdict::Success,
            ..
        }
    ));
}

#[test]
fn what_an_end_by_reconciliation_did_not_know_is_added_later() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    desk.answer(id, TaskState::Finished);
    assert!(desk.job(job_id(1)).is_completed());
    let report = Report {
        exit_code: Some(0),
        before_codes: vec![Some(4)],
        ..Report::default()
    };
    // The job is in the archive by now. The end stays what it is.
    desk.update_with(id, TaskState::Failed, None, Some(report.clone()));
    let job = desk.job(job_id(1));
    assert_eq!(job.instances[0].report, report);
    assert_eq!(
        job.instances[0].end().map(|end| end.outcome),
        Some(Outcome::Success)
    );
    desk.update_with(id, TaskState::Finished, None, Some(report));
}

#[test]
fn tasks_that_nobody_wants_are_ended_on_sight() {
    let mut desk = Desk::new();
    desk.update(stranger(1), TaskState::Running);
    assert_eq!(desk.kills(), [stranger(1)]);
    desk.update(stranger(1), TaskState::Failed);
    assert_eq!(
        desk.kills(),
        [],
        "it has ended: a kill would be answered for ever"
    );
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Gone);
    desk.update(id, TaskState::Running);
    assert_eq!(desk.kills(), [id], "it was written off, and has come back");
}

#[test]
fn what_is_lost_from_sight_is_not_gone() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    // The master has lost sight of the agent, in the words of old masters.
    desk.answer(id, TaskState::Lost);
    assert!(!desk.job(job_id(1)).instances[0].is_ended());
    // The agent itself says so.
    desk.update(id, TaskState::Lost);
    let job = desk.job(job_id(1));
    assert_eq!(job.instances[0].failure(), Some(Reason::AgentRemoved));
    assert_eq!(job.status, JobStatus::Waiting, "not the job's fault");
}

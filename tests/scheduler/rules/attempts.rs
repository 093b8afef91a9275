//! What counts as an attempt, and the reasons of failures.

use std::time::Duration;

use cook_scheduler::core::backend::TaskState;
use cook_scheduler::core::job::{JobStatus, Outcome, Reason, Report, Retries, Verdict};
use cook_scheduler::core::request::{ApiRequest, KillOrder, Reply};

use crate::harness::Harness;
use crate::jobs::{job_id, spec, unknown_instance};

/// Lets instances of a job with one attempt fail for a reason until the job is completed. Returns their
/// number.
fn failures(reason: Reason, counts_all: bool) -> usize {
    let mut harness = Harness::new();
    let mut job = spec();
    job.counts_all_failures = counts_all;
    harness.submit("alice", job_id(1), job);
    for count in 1..50 {
        let id = harness.start();
        harness.fail(id, reason);
        if harness.job(job_id(1)).is_completed() {
            return count;
        }
    }
    unreachable!("the job is never completed");
}

#[test]
fn failures_that_are_not_the_jobs_fault_do_not_count_up_to_a_limit() {
    assert_eq!(failures(Reason::NonZeroExit, false), 1);
    assert_eq!(
        failures(Reason::AgentRemoved, false),
        6,
        "five do not count"
    );
    assert_eq!(
        failures(Reason::ExecutorTerminated, false),
        4,
        "three do not count"
    );
    assert_eq!(
        failures(Reason::ContainerLaunchFailed, false),
        11,
        "ten do not count"
    );
    assert_eq!(
        failures(Reason::AgentRemoved, true),
        1,
        "with disable_mea_culpa_retries all count"
    );
}

#[test]
fn no_reason_allows_unlimited_attempts() {
    for &reason in Reason::ALL {
        // This reason only marks an answer to a reconciliation.
        if reason != Reason::Reconciliation {
            assert!(failures(reason, false) <= 11, "{reason:?}");
        }
    }
}

#[test]
fn a_job_has_as_many_attempts_as_it_asked_for() {
    let mut harness = Harness::new();
    let mut job = spec();
    job.max_retries = Retries::new(3).unwrap();
    harness.submit("alice", job_id(1), job);
    for _ in 0..3 {
        let id = harness.start();
        harness.update(id, TaskState::Running);
        harness.update(id, TaskState::Failed);
    }
    let job = harness.job(job_id(1));
    assert!(matches!(
        job.status,
        JobStatus::Completed {
            verdict: Verdict::Failed,
            ..
        }
    ));
    assert_eq!(job.retries_remaining(5), 0);
    assert!(harness.offer(1.0).is_empty());
}

#[test]
fn the_reason_of_a_kill_takes_precedence_over_that_of_the_update() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.kill(job_id(1));
    assert_eq!(harness.kills(), [id]);
    assert!(harness.job(job_id(1)).is_completed(), "at once");
    harness.fail(id, Reason::ExecutorTerminated);
    assert_eq!(
        harness.job(job_id(1)).instances[0].failure(),
        Some(Reason::KilledByUser)
    );
}

#[test]
fn a_killed_instance_counts_and_its_job_is_tried_again() {
    let mut harness = Harness::new();
    let mut job = spec();
    job.max_retries = Retries::new(2).unwrap();
    harness.submit("alice", job_id(1), job);
    let id = harness.start();
    let order = KillOrder {
        instances: vec![id],
        ..KillOrder::default()
    };
    assert_eq!(harness.ask(ApiRequest::Kill(order.clone())), Reply::Killed);
    assert_eq!(harness.job(job_id(1)).status, JobStatus::Running);
    harness.update(id, TaskState::Killed);
    let job = harness.job(job_id(1));
    assert_eq!(job.status, JobStatus::Waiting);
    assert!(job.instances[0].is_cancelled);
    assert_eq!(job.instances[0].failure(), Some(Reason::KilledByUser));
    assert_eq!(job.retries_remaining(5), 1);
    assert_eq!(
        harness.ask(ApiRequest::Kill(order)),
        Reply::Killed,
        "a second kill has no effect"
    );
    let second = harness.start();
    harness.update(second, TaskState::Finished);
    assert!(matches!(
        harness.job(job_id(1)).status,
        JobStatus::Completed {
            verdict: Verdict::Success,
            ..
        }
    ));
}

#[test]
fn codes_missing_after_a_reconciliation_are_added_later() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.answer(id, TaskState::Finished);
    assert!(harness.job(job_id(1)).is_completed());
    let report = Report {
        exit_code: Some(0),
        before_codes: vec![Some(4)],
        ..Report::default()
    };
    // The job is in the archive by now. The recorded end does not change.
    harness.update_with(id, TaskState::Failed, None, Some(report.clone()));
    let job = harness.job(job_id(1));
    assert_eq!(job.instances[0].report, report);
    assert_eq!(
        job.instances[0].end().map(|end| end.outcome),
        Some(Outcome::Success)
    );
    harness.update_with(id, TaskState::Finished, None, Some(report));
}

#[test]
fn the_reason_of_a_failure_that_the_master_reports_is_waited_for() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.answer(id, TaskState::Failed);
    assert!(!harness.job(job_id(1)).instances[0].is_ended());
    let reason = Reason::ExecutorTerminated;
    harness.update_with(id, TaskState::Failed, Some(reason), None);
    let job = harness.job(job_id(1));
    assert_eq!(job.instances[0].failure(), Some(reason));
    assert_eq!(job.status, JobStatus::Waiting, "not the job's fault");
    // If no other update comes, there is no better reason.
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.answer(id, TaskState::Failed);
    harness.pass(Duration::from_secs(6));
    let job = harness.job(job_id(1));
    assert_eq!(job.instances[1].failure(), Some(Reason::NonZeroExit));
}

#[test]
fn a_task_that_is_not_there_is_never_the_jobs_fault() {
    for state in [TaskState::Dropped, TaskState::Gone, TaskState::Unknown] {
        for reason in Reason::ALL {
            let mut harness = Harness::new();
            harness.submit("alice", job_id(1), spec());
            let id = harness.start();
            harness.update_with(id, state, Some(*reason), None);
            let job = harness.job(job_id(1));
            assert_eq!(job.status, JobStatus::Waiting, "{state:?} {reason:?}");
        }
    }
}

#[test]
fn unknown_tasks_are_killed() {
    let mut harness = Harness::new();
    harness.update(unknown_instance(1), TaskState::Running);
    assert_eq!(harness.kills(), [unknown_instance(1)]);
    harness.update(unknown_instance(1), TaskState::Failed);
    assert_eq!(
        harness.kills(),
        [],
        "it has ended: killing it would cause updates without end"
    );
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Gone);
    harness.update(id, TaskState::Running);
    assert_eq!(harness.kills(), [id], "it was given up, and has come back");
}

#[test]
fn a_task_that_only_the_master_reports_as_lost_may_come_back() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    // The master has lost contact with the agent, reported as masters of old versions do.
    harness.answer(id, TaskState::Lost);
    assert!(!harness.job(job_id(1)).instances[0].is_ended());
    // The agent itself reports it.
    harness.update(id, TaskState::Lost);
    let job = harness.job(job_id(1));
    assert_eq!(job.instances[0].failure(), Some(Reason::AgentRemoved));
    assert_eq!(job.status, JobStatus::Waiting, "not the job's fault");
}

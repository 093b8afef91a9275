//! Requests are done as a whole or not at all.

use cook_scheduler::core::backend::TaskState;
use cook_scheduler::core::event::{DiskSpace, Event};
use cook_scheduler::core::job::{Group, GroupName, JobStatus, Retries};
use cook_scheduler::core::request::{
    ApiRequest, GroupRule, KillOrder, NewJob, Refusal, Reply, RetryChange, RetryOrder, RetryWhich,
    Submission, Unavailable,
};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::words::{GroupId, JobId};

use crate::harness::Harness;
use crate::jobs::{job_id, spec, submit, unknown_instance, user, uuid};

fn retry(jobs: &[JobId], which: RetryWhich, change: RetryChange) -> ApiRequest {
    ApiRequest::Retry(RetryOrder {
        jobs: jobs.to_vec(),
        groups: Vec::new(),
        which,
        change,
        limit: Retries::new(20).expect("a limit"),
    })
}

fn total(count: u32) -> RetryChange {
    RetryChange::Total(Retries::new(count).expect("a number"))
}

fn grouped(id: u64, group: GroupId, declared: bool, rule: GroupRule) -> ApiRequest {
    let mut job = spec();
    job.group = Some(group);
    let name = GroupName::new("mine").expect("a name");
    ApiRequest::Submit(Submission {
        user: user("alice"),
        jobs: vec![NewJob {
            id: Some(job_id(id)),
            spec: job,
        }],
        groups: if declared {
            vec![Group { id: group, name }]
        } else {
            Vec::new()
        },
        group_rule: rule,
    })
}

#[test]
fn an_invalid_batch_stores_nothing() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let twice = submit("alice", vec![(job_id(5), spec()), (job_id(5), spec())]);
    assert_eq!(
        harness.ask(twice),
        Reply::Refused(Refusal::DuplicateJobs(vec![job_id(5)]))
    );
    let known = submit("bob", vec![(job_id(5), spec()), (job_id(1), spec())]);
    assert_eq!(
        harness.ask(known),
        Reply::Refused(Refusal::JobsExist(vec![job_id(1)]))
    );
    assert_eq!(harness.image.jobs().count(), 1);
}

#[test]
fn a_job_without_a_uuid_gets_one() {
    let mut harness = Harness::new();
    let jobs = vec![
        NewJob {
            id: None,
            spec: spec(),
        },
        NewJob {
            id: None,
            spec: spec(),
        },
    ];
    let submission = Submission {
        user: user("alice"),
        jobs,
        groups: Vec::new(),
        group_rule: GroupRule::Immutable,
    };
    let Reply::Submitted { jobs, groups } = harness.ask(ApiRequest::Submit(submission)) else {
        panic!("it is accepted")
    };
    assert!(jobs.len() == 2 && jobs[0] != jobs[1] && groups.is_empty());
}

#[test]
fn existing_groups_get_no_jobs_unless_the_request_allows_it() {
    let mut harness = Harness::new();
    let (one, two) = (GroupId(uuid(3, 1)), GroupId(uuid(3, 2)));
    let submitted = |number, group| Reply::Submitted {
        jobs: vec![job_id(number)],
        groups: vec![group],
    };
    assert_eq!(
        harness.ask(grouped(1, one, true, GroupRule::Immutable)),
        submitted(1, one)
    );
    assert_eq!(
        harness.ask(grouped(2, two, false, GroupRule::Immutable)),
        submitted(2, two)
    );
    let view = harness.core.view();
    assert_eq!(view.group(one).unwrap().stored.group.name.as_str(), "mine");
    assert_eq!(
        view.group(two).unwrap().stored.group.name.as_str(),
        "defaultgroup"
    );
    let again = harness.ask(grouped(3, one, true, GroupRule::MayGrow));
    assert_eq!(again, Reply::Refused(Refusal::GroupExists(one)));
    let more = harness.ask(grouped(3, one, false, GroupRule::Immutable));
    assert_eq!(more, Reply::Refused(Refusal::GroupIsImmutable(one)));
    let more = harness.ask(grouped(3, one, false, GroupRule::MayGrow));
    assert_eq!(
        more,
        Reply::Submitted {
            jobs: vec![job_id(3)],
            groups: Vec::new()
        }
    );
    harness.offer(1.0);
    let view = harness.core.view().group(one).unwrap();
    assert_eq!(
        (view.jobs.len(), view.waiting, view.running, view.completed),
        (2, 1, 1, 0)
    );
    let order = KillOrder {
        groups: vec![one],
        ..KillOrder::default()
    };
    assert_eq!(harness.ask(ApiRequest::Kill(order)), Reply::Killed);
    assert_eq!(harness.core.view().group(one).unwrap().completed, 2);
}

#[test]
fn a_kill_with_an_unknown_id_kills_nothing() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let order = KillOrder {
        jobs: vec![job_id(1), job_id(2)],
        ..KillOrder::default()
    };
    let refused = Reply::Refused(Refusal::UnknownJobs(vec![job_id(2)]));
    assert_eq!(harness.ask(ApiRequest::Kill(order)), refused);
    let instances = vec![unknown_instance(1)];
    let order = KillOrder {
        jobs: vec![job_id(1)],
        instances,
        ..KillOrder::default()
    };
    let refused = Reply::Refused(Refusal::UnknownInstances(vec![unknown_instance(1)]));
    assert_eq!(harness.ask(ApiRequest::Kill(order)), refused);
    assert_eq!(harness.job(job_id(1)).status, JobStatus::Waiting);
}

#[test]
fn a_completed_job_is_retried_from_the_archive() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Failed);
    let same = harness.ask(retry(&[job_id(1)], RetryWhich::All, total(1)));
    assert_eq!(same, Reply::Refused(Refusal::WillNotRetry(vec![job_id(1)])));
    let more = harness.ask(retry(&[job_id(1)], RetryWhich::Failed, total(3)));
    assert_eq!(more, Reply::Retried(Retries::new(3).unwrap()));
    assert_eq!(harness.job(job_id(1)).status, JobStatus::Waiting);
    let id = harness.start();
    harness.update(id, TaskState::Finished);
    let none = harness.ask(retry(&[job_id(1)], RetryWhich::Failed, total(4)));
    assert_eq!(none, Reply::NothingToRetry, "the job was successful");
    let limit = harness.ask(retry(&[job_id(1)], RetryWhich::All, total(21)));
    assert_eq!(
        limit,
        Reply::Refused(Refusal::RetriesAboveLimit(
            Retries::new(20).expect("a limit")
        ))
    );
    let unknown = harness.ask(retry(&[job_id(9)], RetryWhich::All, total(2)));
    assert_eq!(
        unknown,
        Reply::Refused(Refusal::UnknownJobs(vec![job_id(9)]))
    );
}

#[test]
fn a_retried_job_waits_for_the_end_of_its_killed_instance() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.kill(job_id(1));
    let one = RetryChange::Increment(Retries::ONE);
    let two = Reply::Retried(Retries::new(2).unwrap());
    assert_eq!(harness.ask(retry(&[job_id(1)], RetryWhich::All, one)), two);
    assert!(
        harness.offer(1.0).is_empty(),
        "the old instance has not ended"
    );
    harness.update(id, TaskState::Killed);
    assert_eq!(harness.offer(1.0).len(), 1);
}

#[test]
fn the_number_of_unfinished_jobs_is_limited() {
    let mut harness = Harness::with(Settings {
        unfinished_limit: 2,
        ..Settings::embedded([1; 16])
    });
    harness.submit("alice", job_id(1), spec());
    let two = submit("alice", vec![(job_id(2), spec()), (job_id(3), spec())]);
    assert_eq!(
        harness.ask(two),
        Reply::Refused(Refusal::TooManyJobs { limit: 2 })
    );
    harness.submit("alice", job_id(2), spec());
}

#[test]
fn on_a_full_disk_jobs_are_refused_and_kills_are_not() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    harness.event(Event::DiskSpaceChanged(DiskSpace::ReserveOnly));
    let full = Reply::Refused(Refusal::Unavailable(Unavailable::DiskFull));
    assert_eq!(
        harness.ask(submit("alice", vec![(job_id(2), spec())])),
        full
    );
    harness.kill(job_id(1));
}

//! Readers see what is on disk, and nothing else.

use cook_scheduler::core::backend::{InstanceMessage, TaskState};
use cook_scheduler::core::effect::Effect;
use cook_scheduler::core::event::Event;
use cook_scheduler::core::request::RequestId;
use cook_scheduler::core::view::{Query, State, WhyWaiting};
use cook_scheduler::core::words::{JobName, Wall};

use crate::harness::Harness;
use crate::jobs::{demand, job_id, spec, submit, user};

#[test]
fn changes_are_visible_only_once_they_are_on_disk() {
    let mut harness = Harness::new();
    let request = submit("alice", vec![(job_id(1), spec())]);
    let effects = harness
        .core
        .step(Event::Request(RequestId(1), request), harness.now);
    assert!(harness.core.view().job(job_id(1)).is_none());
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Reply(..)))
    );
    for effect in effects {
        if let Effect::Store(batch) = effect {
            let after = harness.core.step(Event::Stored(batch.number), harness.now);
            assert!(
                after
                    .iter()
                    .any(|effect| matches!(effect, Effect::Reply(..)))
            );
        }
    }
    assert!(harness.core.view().job(job_id(1)).is_some());
}

#[test]
fn lists_have_the_newest_job_first_whatever_the_clock_says() {
    let mut harness = Harness::new();
    let alice = user("alice");
    for number in 0..10 {
        let mut job = spec();
        let name = if number % 2 == 0 { "even" } else { "odd" };
        job.name = JobName::new(name).unwrap();
        harness.submit("alice", job_id(number), job);
        harness.submit("bob", job_id(100 + number), spec());
        harness.now.wall = Wall(harness.now.wall.0 - 1_000_000);
    }
    let query = Query {
        user: &alice,
        states: &[State::Waiting],
        start: Wall(0),
        end: Wall(u64::MAX),
        name: None,
        limit: 3,
    };
    let ids = |query: &Query<'_>, harness: &Harness| -> Vec<_> {
        harness
            .core
            .view()
            .list(query)
            .iter()
            .map(|found| found.id())
            .collect()
    };
    assert_eq!(ids(&query, &harness), [9, 8, 7].map(job_id));
    let odd = Query {
        name: Some("o*"),
        ..query.clone()
    };
    assert_eq!(ids(&odd, &harness), [9, 7, 5].map(job_id));
    let early = Query {
        end: Wall(crate::jobs::at(0).wall.0 - 7_000_000),
        ..query.clone()
    };
    assert_eq!(ids(&early, &harness), [9, 8].map(job_id));
    let tasks = harness.offer(1.0);
    harness.update(tasks[0].instance, TaskState::Finished);
    let done = Query {
        states: &[State::Success],
        ..query
    };
    assert_eq!(
        ids(&done, &harness),
        [tasks[0].job.id],
        "archived jobs are listed too"
    );
}

#[test]
fn a_job_is_found_by_its_instance() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    assert_eq!(harness.core.view().job_of(id).unwrap().id(), job_id(1));
    let usage = harness.core.view().usage(&user("alice"));
    assert_eq!((usage.demand, usage.jobs.len()), (demand(1.0), 1));
    harness.update(id, TaskState::Finished);
    assert_eq!(
        harness.core.view().job_of(id).unwrap().state(),
        State::Success
    );
    assert_eq!(harness.core.view().usage(&user("alice")).jobs.len(), 0);
}

#[test]
fn the_reason_why_a_job_waits_is_shown() {
    let mut harness = Harness::new();
    let why = |harness: &Harness, number| {
        let view = harness.core.view();
        view.why_waiting(&view.job(job_id(number)).unwrap())
    };
    harness.submit("alice", job_id(1), spec());
    assert_eq!(why(&harness, 1), [WhyWaiting::Soon]);
    let mut big = spec();
    big.demand = demand(8.0);
    harness.submit("alice", job_id(2), big);
    let id = harness.offer(1.5)[0].instance;
    assert_eq!(why(&harness, 1), [WhyWaiting::Runs]);
    let no_place = WhyWaiting::NoPlace {
        cpus: 1,
        mem: 1,
        ports: 0,
        constraints: 0,
        hosts: 1,
    };
    assert_eq!(why(&harness, 2), std::slice::from_ref(&no_place));
    harness.submit("alice", job_id(3), spec());
    assert_eq!(why(&harness, 3), [WhyWaiting::Ahead(1), no_place]);
    harness.message(
        id,
        InstanceMessage::Stuck("process 7 cannot be ended".into()),
    );
    assert!(
        matches!(&why(&harness, 1)[1], WhyWaiting::EarlierInstance(_, Some(text)) if text.contains('7'))
    );
    harness.update(id, TaskState::Failed);
    assert_eq!(why(&harness, 1), [WhyWaiting::Exhausted]);
    harness.kill(job_id(3));
    assert_eq!(why(&harness, 3), [WhyWaiting::Completed]);
}

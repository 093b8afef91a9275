//! Readers see what is on disk, and nothing else.

use cook_scheduler::core::backend::{InstanceMessage, TaskState};
use cook_scheduler::core::effect::Effect;
use cook_scheduler::core::event::Event;
use cook_scheduler::core::request::RequestId;
use cook_scheduler::core::view::{Query, State, WhyWaiting};
use cook_scheduler::core::words::{JobName, Wall};

use crate::desk::Desk;
use crate::jobs::{demand, job_id, spec, submit, user};

#[test]
fn changes_are_visible_only_once_they_are_on_disk() {
    let mut desk = Desk::new();
    let request = submit("alice", vec![(job_id(1), spec())]);
    let effects = desk
        .core
        .step(Event::Request(RequestId(1), request), desk.now);
    assert!(desk.core.view().job(job_id(1)).is_none());
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Reply(..)))
    );
    for effect in effects {
        if let Effect::Store(batch) = effect {
            let after = desk.core.step(Event::Stored(batch.number), desk.now);
            assert!(
                after
                    .iter()
                    .any(|effect| matches!(effect, Effect::Reply(..)))
            );
        }
    }
    assert!(desk.core.view().job(job_id(1)).is_some());
}

#[test]
fn lists_have_the_newest_job_first_whatever_the_clock_says() {
    let mut desk = Desk::new();
    let alice = user("alice");
    for number in 0..10 {
        let mut job = spec();
        let name = if number % 2 == 0 { "even" } else { "odd" };
        job.name = JobName::new(name).unwrap();
        desk.submit("alice", job_id(number), job);
        desk.submit("bob", job_id(100 + number), spec());
        desk.now.wall = Wall(desk.now.wall.0 - 1_000_000);
    }
    let query = Query {
        user: &alice,
        states: &[State::Waiting],
        start: Wall(0),
        end: Wall(u64::MAX),
        name: None,
        limit: 3,
    };
    let ids = |query: &Query<'_>, desk: &Desk| -> Vec<_> {
        desk.core
            .view()
            .list(query)
            .iter()
            .map(|found| found.id())
            .collect()
    };
    assert_eq!(ids(&query, &desk), [9, 8, 7].map(job_id));
    let odd = Query {
        name: Some("o*"),
        ..query.clone()
    };
    assert_eq!(ids(&odd, &desk), [9, 7, 5].map(job_id));
    let early = Query {
        end: Wall(crate::jobs::at(0).wall.0 - 7_000_000),
        ..query.clone()
    };
    assert_eq!(ids(&early, &desk), [9, 8].map(job_id));
    let tasks = desk.offer(1.0);
    desk.update(tasks[0].instance, TaskState::Finished);
    let done = Query {
        states: &[State::Success],
        ..query
    };
    assert_eq!(
        ids(&done, &desk),
        [tasks[0].job.id],
        "archived jobs are listed too"
    );
}

#[test]
fn a_job_is_found_by_its_instance() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    assert_eq!(desk.core.view().job_of(id).unwrap().id(), job_id(1));
    let usage = desk.core.view().usage(&user("alice"));
    assert_eq!((usage.demand, usage.jobs.len()), (demand(1.0), 1));
    desk.update(id, TaskState::Finished);
    assert_eq!(desk.core.view().job_of(id).unwrap().state(), State::Success);
    assert_eq!(desk.core.view().usage(&user("alice")).jobs.len(), 0);
}

#[test]
fn the_reason_why_a_job_waits_is_shown() {
    let mut desk = Desk::new();
    let why = |desk: &Desk, number| {
        let view = desk.core.view();
        view.why_waiting(&view.job(job_id(number)).unwrap())
    };
    desk.submit("alice", job_id(1), spec());
    assert_eq!(why(&desk, 1), [WhyWaiting::Soon]);
    let mut big = spec();
    big.demand = demand(8.0);
    desk.submit("alice", job_id(2), big);
    let id = desk.offer(1.5)[0].instance;
    assert_eq!(why(&desk, 1), [WhyWaiting::Runs]);
    let no_place = WhyWaiting::NoPlace {
        cpus: 1,
        mem: 1,
        ports: 0,
        constraints: 0,
        hosts: 1,
    };
    assert_eq!(why(&desk, 2), std::slice::from_ref(&no_place));
    desk.submit("alice", job_id(3), spec());
    assert_eq!(why(&desk, 3), [WhyWaiting::Ahead(1), no_place]);
    desk.message(
        id,
        InstanceMessage::Stuck("process 7 cannot be ended".into()),
    );
    assert!(
        matches!(&why(&desk, 1)[1], WhyWaiting::EarlierInstance(_, Some(text)) if text.contains('7'))
    );
    desk.update(id, TaskState::Failed);
    assert_eq!(why(&desk, 1), [WhyWaiting::Exhausted]);
    desk.kill(job_id(3));
    assert_eq!(why(&desk, 3), [WhyWaiting::Completed]);
}

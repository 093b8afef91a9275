//! The order in which jobs start.

use std::time::Duration;

use cook_scheduler::core::backend::TaskState;
use cook_scheduler::core::job::{Constraint, Priority, Retries};
use cook_scheduler::core::words::{JobId, LabelText};

use crate::harness::Harness;
use crate::jobs::{demand, job_id, spec};

fn started(harness: &mut Harness, cpus: f64) -> Vec<JobId> {
    harness.offer(cpus).iter().map(|task| task.job.id).collect()
}

#[test]
fn jobs_start_by_priority_then_by_submission() {
    let mut harness = Harness::new();
    for (number, priority) in [(1, 50), (2, 50), (3, 60), (4, 10)] {
        let mut job = spec();
        job.priority = Priority::new(priority).unwrap();
        harness.submit("alice", job_id(number), job);
        // Every day the clock is set back by two days.
        harness.now.wall.0 -= 2 * 24 * 60 * 60 * 1000;
    }
    assert_eq!(started(&mut harness, 4.0), [3, 1, 2, 4].map(job_id));
}

#[test]
fn users_take_turns() {
    let mut harness = Harness::new();
    for number in 0..4 {
        harness.submit("alice", job_id(number), spec());
    }
    harness.submit("bob", job_id(10), spec());
    harness.submit("carol", job_id(20), spec());
    let mut order = Vec::new();
    for _ in 0..6 {
        order.extend(started(&mut harness, 1.0));
    }
    assert_eq!(order, [0, 10, 20, 1, 2, 3].map(job_id));
}

#[test]
fn small_jobs_overtake_a_large_one_until_it_has_waited_long() {
    let mut harness = Harness::new();
    let mut big = spec();
    big.demand = demand(4.0);
    harness.submit("alice", job_id(1), big);
    harness.submit("alice", job_id(2), spec());
    harness.submit("alice", job_id(3), spec());
    assert_eq!(started(&mut harness, 2.0), [2, 3].map(job_id));
    harness.submit("alice", job_id(4), spec());
    harness.pass(Duration::from_secs(700));
    let mut offer = harness.an_offer(demand(2.0));
    offer.capacity = Some(demand(4.0));
    assert!(
        harness.take(offer).is_empty(),
        "the resources are reserved for the large job"
    );
    let mut offer = harness.an_offer(demand(2.0));
    offer.capacity = Some(demand(2.0));
    assert_eq!(
        harness.take(offer).len(),
        1,
        "the large job could never run there"
    );
    assert_eq!(started(&mut harness, 4.0), [1].map(job_id));
}

#[test]
fn cpus_memory_and_ports_are_counted() {
    let mut harness = Harness::new();
    for number in 0..5 {
        let mut job = spec();
        job.demand.ports = 4;
        harness.submit("alice", job_id(number), job);
    }
    let tasks = harness.offer(4.0);
    assert_eq!(tasks.len(), 2, "there are ten ports");
    assert_eq!(*tasks[0].ports, [31_000, 31_001, 31_002, 31_003]);
    assert_eq!(tasks[1].ports[0], 31_004);
    let mut offer = harness.an_offer(demand(4.0));
    offer.resources.mem = demand(1.0).mem;
    assert_eq!(harness.take(offer).len(), 1, "there is memory for one");
}

#[test]
fn constraints_name_the_host_or_attributes() {
    let mut harness = Harness::new();
    let text = |text: &str| LabelText::new(text).unwrap();
    for (number, attribute, value) in [
        (1, "HOSTNAME", "host.example"),
        (2, "rack", "r1"),
        (3, "rack", "r2"),
        (4, "none", "x"),
    ] {
        let mut job = spec();
        job.constraints = vec![Constraint {
            attribute: text(attribute),
            value: text(value),
        }];
        harness.submit("alice", job_id(number), job);
    }
    assert_eq!(started(&mut harness, 8.0), [1, 2].map(job_id));
}

#[test]
fn a_retried_job_keeps_its_place() {
    let mut harness = Harness::new();
    let mut job = spec();
    job.max_retries = Retries::new(2).unwrap();
    harness.submit("alice", job_id(1), job);
    harness.submit("alice", job_id(2), spec());
    let first = harness.start();
    harness.update(first, TaskState::Failed);
    assert_eq!(started(&mut harness, 1.0), [job_id(1)]);
}

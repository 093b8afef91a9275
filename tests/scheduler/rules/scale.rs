//! The cost of frequent events must not grow with the number of jobs; tested with ten thousand.

use std::time::{Duration, Instant};

use cook_scheduler::core::backend::TaskState;

use crate::harness::Harness;
use crate::jobs::{demand, job_id, spec, submit};

/// The time of a hundred rounds of submit, start and end.
fn rounds(harness: &mut Harness, from: u64) -> Duration {
    let start = Instant::now();
    for number in from..from + 100 {
        harness.submit("alice", job_id(number), spec());
        let tasks = harness.offer(1.0);
        harness.update(tasks[0].instance, TaskState::Running);
        harness.update(tasks[0].instance, TaskState::Finished);
    }
    start.elapsed()
}

#[test]
fn a_round_costs_the_same_with_ten_thousand_other_jobs() {
    let mut harness = Harness::new();
    rounds(&mut harness, 0);
    let few = (0..3)
        .map(|time| rounds(&mut harness, 1000 + time * 100))
        .min()
        .expect("three");
    let many = (0..10_000)
        .map(|number| (job_id(10_000 + number), spec()))
        .collect();
    harness.ask(submit("alice", many));
    for number in 0..100 {
        harness.ask(submit(
            "bob",
            (0..100)
                .map(|job| (job_id(50_000 + number * 100 + job), spec()))
                .collect(),
        ));
    }
    // Bob's jobs are completed.
    let mut completed = 0;
    while completed < 10_000 {
        let tasks = harness.take_all(1000.0);
        for task in &tasks {
            harness.update(task.instance, TaskState::Finished);
        }
        completed += tasks.len();
    }
    assert!(harness.core.view().completed() >= 10_000 && harness.core.view().waiting() >= 9000);
    let many = (0..3)
        .map(|time| rounds(&mut harness, 100_000 + time * 100))
        .min()
        .expect("three");
    eprintln!("100 rounds: {few:?} with few jobs, {many:?} with many");
    assert!(
        many < few * 4 + Duration::from_millis(50),
        "{few:?} became {many:?}"
    );
}

impl Harness {
    /// Starts all tasks that fit into this number of cpus.
    fn take_all(&mut self, cpus: f64) -> Vec<cook_scheduler::core::backend::Task> {
        let offer = self.an_offer(demand(cpus));
        self.take(offer)
    }
}

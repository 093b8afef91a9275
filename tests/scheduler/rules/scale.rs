//! The cost of frequent events must not grow with the number of jobs; tested with ten thousand.

use std::time::{Duration, Instant};

use cook_scheduler::core::backend::TaskState;

use crate::desk::Desk;
use crate::jobs::{demand, job_id, spec, submit};

/// The time of a hundred rounds of submit, start and end.
fn rounds(desk: &mut Desk, from: u64) -> Duration {
    let start = Instant::now();
    for number in from..from + 100 {
        desk.submit("alice", job_id(number), spec());
        let tasks = desk.offer(1.0);
        desk.update(tasks[0].instance, TaskState::Running);
        desk.update(tasks[0].instance, TaskState::Finished);
    }
    start.elapsed()
}

#[test]
fn a_round_costs_the_same_with_ten_thousand_other_jobs() {
    let mut desk = Desk::new();
    rounds(&mut desk, 0);
    let few = (0..3)
        .map(|time| rounds(&mut desk, 1000 + time * 100))
        .min()
        .expect("three");
    let many = (0..10_000)
        .map(|number| (job_id(10_000 + number), spec()))
        .collect();
    desk.ask(submit("alice", many));
    for number in 0..100 {
        desk.ask(submit(
            "bob",
            (0..100)
                .map(|job| (job_id(50_000 + number * 100 + job), spec()))
                .collect(),
        ));
    }
    // Bob's jobs are completed.
    let mut completed = 0;
    while completed < 10_000 {
        let tasks = desk.take_all(1000.0);
        for task in &tasks {
            desk.update(task.instance, TaskState::Finished);
        }
        completed += tasks.len();
    }
    assert!(desk.core.view().completed() >= 10_000 && desk.core.view().waiting() >= 9000);
    let many = (0..3)
        .map(|time| rounds(&mut desk, 100_000 + time * 100))
        .min()
        .expect("three");
    eprintln!("100 rounds: {few:?} with few jobs, {many:?} with many");
    assert!(
        many < few * 4 + Duration::from_millis(50),
        "{few:?} became {many:?}"
    );
}

impl Desk {
    /// Starts all tasks that fit into this number of cpus.
    fn take_all(&mut self, cpus: f64) -> Vec<cook_scheduler::core::backend::Task> {
        let offer = self.an_offer(demand(cpus));
        self.take(offer)
    }
}

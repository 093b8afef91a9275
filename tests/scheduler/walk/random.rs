//! Long random walks through larger plans. The seed is printed when a promise is broken.

use cook_scheduler::core::job::{Priority, Retries};
use cook_scheduler::core::settings::Settings;

use crate::exhaustive::Trail;
use crate::jobs::{demand, spec};
use crate::steps::{Plan, Step};
use crate::world::World;

/// A small random generator, so that walks are the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}

fn plan(dice: &mut Dice) -> Plan {
    let count = 1 + dice.roll(12);
    let mut jobs = Vec::new();
    let mut users = Vec::new();
    for _ in 0..count {
        let mut job = spec();
        job.max_retries = Retries::new(1 + dice.roll(3) as u32).expect("a number of retries");
        job.priority = Priority::new(dice.roll(3) as u32).expect("a priority");
        job.demand = demand([0.5, 1.0, 2.0][dice.roll(3)]);
        job.counts_all_failures = dice.roll(4) == 0;
        jobs.push(job);
        users.push(["alice", "bob", "carol"][dice.roll(3)]);
    }
    let mut some = || dice.roll(6) as u8;
    Plan {
        users,
        resubmissions: some(),
        kills: some(),
        instance_kills: some(),
        retries: some(),
        crashes: some() * 2,
        failures: some(),
        disconnects: some(),
        repeats: some(),
        lost_answers: some(),
        lost_launches: some(),
        vanishings: some(),
        lost_sights: some(),
        bad_ends: some() * 3,
        ..Plan::new(jobs)
    }
}

fn walk(seed: u64) -> usize {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut plan = plan(&mut dice);
    let mut world = World::new(Settings::mesos([0; 16]), demand(2.0));
    let mut trail = Trail::default();
    for count in 0..20_000 {
        let steps = plan.steps(&world);
        if steps.is_empty() {
            trail.check(|| {
                world
                    .promises
                    .settled(&world.disk.image, &world.master.tasks)
            });
            return count;
        }
        // Faults are spread over the whole walk, not only its beginning.
        let step = match steps[dice.roll(steps.len())] {
            Step::Crash | Step::Disconnect | Step::FailCommit { .. } if dice.roll(4) > 0 => {
                steps[dice.roll(steps.len())]
            }
            other => other,
        };
        trail = trail.with(step);
        trail.check(|| plan.take(&mut world, step));
    }
    panic!("seed {seed}: the walk does not come to an end");
}

#[test]
fn long_walks_keep_every_promise() {
    let walks = std::env::var("COOK_WALKS")
        .ok()
        .and_then(|walks| walks.parse().ok())
        .unwrap_or(300);
    let mut steps = 0;
    for seed in 0..walks {
        let result = std::panic::catch_unwind(|| walk(seed));
        match result {
            Ok(count) => steps += count,
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{walks} walks, {steps} steps");
}

//! Visits every reachable state of small plans.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use cook_scheduler::core::job::Retries;
use cook_scheduler::core::settings::Settings;

use crate::jobs::spec;
use crate::steps::{Plan, Step};
use crate::world::{World, one_slot};

/// Visits all states; returns their number.
fn walk(plan: Plan) -> usize {
    let world = World::new(Settings::mesos([0; 16]), one_slot());
    let hasher = RandomState::new();
    let mut seen = HashSet::new();
    let mut ends = 0;
    let mut open = vec![(plan, world, Trail::default())];
    while let Some((plan, world, trail)) = open.pop() {
        if !seen.insert(hasher.hash_one((&plan, &world))) {
            continue;
        }
        let steps = plan.steps(&world);
        if steps.iter().all(|step| is_optional(*step)) {
            ends += 1;
            trail.check(|| {
                world
                    .promises
                    .settled(&world.disk.image, &world.master.tasks)
            });
        }
        for step in steps {
            let (mut plan, mut world) = (plan.clone(), world.clone());
            let trail = trail.with(step);
            trail.check(|| plan.take(&mut world, step));
            open.push((plan, world, trail));
        }
    }
    assert!(ends > 0, "at least one walk ends");
    eprintln!("{} states, {ends} ends", seen.len());
    seen.len()
}

/// Steps that may happen but need not.
fn is_optional(step: Step) -> bool {
    match step {
        Step::Kill(_)
        | Step::KillInstance(_)
        | Step::Retry(_)
        | Step::FailCommit { .. }
        | Step::Reopen { works: false }
        | Step::Crash
        | Step::Disconnect
        | Step::Repeat(_)
        | Step::LoseAnswer
        | Step::LoseLaunch
        | Step::Vanish(_)
        | Step::LoseSight(_) => true,
        // A second submission is optional. The first one is required, but then it is not the only step.
        Step::Submit(_) => true,
        Step::Write(_)
        | Step::ReportStored
        | Step::Reopen { works: true }
        | Step::Load(_)
        | Step::Subscribe
        | Step::Offer
        | Step::Deliver(_)
        | Step::Resend(_)
        | Step::Answer
        | Step::End(..)
        | Step::RegainSight(_)
        | Step::Tick => false,
    }
}

/// The steps that led to a state, printed when a promise is broken.
#[derive(Clone, Default)]
pub struct Trail(Option<std::sync::Arc<(Trail, Step)>>);

impl Trail {
    pub fn with(&self, step: Step) -> Self {
        Self(Some(std::sync::Arc::new((self.clone(), step))))
    }

    pub fn check(&self, run: impl FnOnce()) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        if let Err(panic) = result {
            eprintln!("after {:?}", self.steps());
            std::panic::resume_unwind(panic);
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut trail = self;
        while let Some(inside) = &trail.0 {
            steps.push(inside.1);
            trail = &inside.0;
        }
        steps.reverse();
        steps
    }
}

#[test]
fn one_job_with_two_crashes() {
    let plan = Plan {
        crashes: 2,
        resubmissions: 1,
        ..Plan::new(vec![spec()])
    };
    assert!(walk(plan) > 100);
}

#[test]
fn one_job_is_killed() {
    walk(Plan {
        kills: 1,
        crashes: 1,
        bad_ends: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn an_instance_is_killed_and_its_job_is_tried_again() {
    let mut job = spec();
    job.max_retries = Retries::new(2).expect("a number of retries");
    walk(Plan {
        instance_kills: 1,
        crashes: 1,
        ..Plan::new(vec![job])
    });
}

#[test]
fn a_killed_job_is_retried() {
    walk(Plan {
        kills: 1,
        retries: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn commits_fail_with_and_without_having_written() {
    walk(Plan {
        failures: 2,
        resubmissions: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn commits_fail_while_a_job_is_killed() {
    walk(Plan {
        failures: 1,
        kills: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn commits_fail_and_the_scheduler_is_killed() {
    walk(Plan {
        failures: 1,
        crashes: 1,
        bad_ends: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn launches_and_answers_get_lost() {
    walk(Plan {
        lost_launches: 1,
        lost_answers: 1,
        crashes: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn the_master_disconnects_during_commits() {
    walk(Plan {
        disconnects: 2,
        crashes: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn updates_are_duplicated_and_agents_vanish() {
    walk(Plan {
        repeats: 1,
        vanishings: 1,
        crashes: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn an_agent_cannot_be_reached_for_a_while() {
    walk(Plan {
        lost_sights: 1,
        kills: 1,
        ..Plan::new(vec![spec()])
    });
}

#[test]
fn two_jobs_compete_for_one_slot() {
    walk(Plan {
        crashes: 1,
        ..Plan::new(vec![spec(), spec()])
    });
}

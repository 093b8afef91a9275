//! Every reachable state, for small plans and few faults.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use cook_executor::core::effect::ExitStatus;
use cook_executor::core::plan::{Hook, Hooks, Plan};
use cook_executor::words::units::Span;

use crate::model::{Job, Mischief, Model, QUIET, Step, hook, hooks, plan, plan_with};

/// Visits every reachable state. Returns their number.
fn walk(job: &Job, checkpoint: bool, mischief: Mischief) -> usize {
    let first = Model::new(checkpoint, mischief);
    let mut known = HashSet::from([digest(&first)]);
    let mut trail: Vec<(usize, Step)> = Vec::new();
    let mut frontier = vec![(first, None)];
    let mut left_well = false;
    while let Some((model, came_by)) = frontier.pop() {
        left_well |= model.exit == Some(ExitStatus::Done);
        for step in model.steps() {
            let next = guarded(&model, &step, job, || way(&trail, came_by));
            if known.insert(digest(&next)) {
                trail.push((came_by.map_or(usize::MAX, |index: usize| index), step));
                frontier.push((next, Some(trail.len() - 1)));
            }
        }
    }
    assert!(left_well, "no walk ends with success");
    known.len()
}

/// States are distinguished by 64 bits. A collision would hide one of some hundred thousand.
fn digest(model: &Model) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(model)
}

fn way(trail: &[(usize, Step)], mut at: Option<usize>) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((before, step)) = at.and_then(|index| trail.get(index)) {
        steps.push(step.clone());
        at = Some(*before);
    }
    steps.reverse();
    steps
}

/// Takes a step. A broken promise is reported with all steps that led to it.
fn guarded(model: &Model, step: &Step, job: &Job, way: impl Fn() -> Vec<Step>) -> Model {
    let mut next = model.clone();
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        next.take(step, job);
        next.check(job);
        next
    }));
    attempt.unwrap_or_else(|_| panic!("after {:#?}, {step:?}", way()))
}

/// All combinations of flags for `count` hooks.
fn all_hooks(count: usize) -> Vec<Vec<Hook>> {
    let kinds = [(false, false), (true, false), (false, true), (true, true)];
    let mut lists = vec![Vec::new()];
    for _ in 0..count {
        let longer = lists.iter().flat_map(|list| {
            kinds.map(|(guard, is_async)| [list.clone(), vec![hook(guard, is_async)]].concat())
        });
        lists = longer.collect();
    }
    lists
}

/// A job for every plan with up to `most` hooks in total.
fn jobs(most: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for count in 0..=most {
        for before in 0..=count {
            for before in &all_hooks(before) {
                for after in &all_hooks(count - before.len()) {
                    jobs.push(Job::new(plan(before, after)));
                }
            }
        }
    }
    jobs
}

fn walk_all(jobs: &[Job], mischief: Mischief) {
    walk_all_with(jobs, true, mischief);
}

fn walk_all_with(jobs: &[Job], checkpoint: bool, mischief: Mischief) {
    let walks = jobs.iter().map(|job| walk(job, checkpoint, mischief));
    println!("{} jobs, {} states", jobs.len(), walks.sum::<usize>());
}

#[test]
fn every_plan_of_up_to_three_hooks_keeps_its_promises() {
    walk_all(&jobs(3), QUIET);
}

#[test]
fn every_plan_of_up_to_two_hooks_keeps_its_promises_when_killed_twice_at_any_time() {
    let mischief = Mischief { kills: 2, ..QUIET };
    walk_all(&jobs(2), mischief);
}

#[test]
fn every_plan_of_one_hook_keeps_its_promises_when_killed_and_shut_down() {
    let mischief = Mischief {
        kills: 1,
        shutdowns: 2,
        patches: 1,
        ..QUIET
    };
    walk_all(&jobs(1), mischief);
}

#[test]
fn readers_have_their_time_and_processes_of_other_users_are_not_waited_for_longer() {
    let mischief = Mischief {
        odd_leftovers: true,
        ..QUIET
    };
    walk_all(&jobs(1), mischief);
    let mischief = Mischief {
        kills: 1,
        shutdowns: 1,
        ..mischief
    };
    walk_all(&jobs(0), mischief);
}

#[test]
fn nothing_is_lost_or_doubled_with_any_fault_of_agent_and_network() {
    let mischief = Mischief {
        prompt_agent: false,
        losses: 1,
        lost_calls: 1,
        extra_acknowledgements: 1,
        ..QUIET
    };
    walk_all(&jobs(0), mischief);
}

#[test]
fn nothing_is_lost_or_doubled_without_a_checkpoint_either() {
    let mischief = Mischief {
        prompt_agent: false,
        losses: 1,
        lost_calls: 1,
        ..QUIET
    };
    walk_all_with(&jobs(0), false, mischief);
}

#[test]
fn without_a_checkpoint_every_plan_of_one_hook_is_stopped_when_its_agent_goes_away() {
    // The agent is correct except that it goes away.
    let mischief = Mischief { losses: 2, ..QUIET };
    walk_all_with(&jobs(1), false, mischief);
}

#[test]
fn launches_and_kills_may_come_in_any_order_and_number() {
    let mischief = Mischief {
        kills: 1,
        launches: 2,
        echoes: 1,
        losses: 1,
        ..QUIET
    };
    walk_all(&jobs(0), mischief);
}

/// Jobs with a before and an after command of every kind, each with a timeout.
fn jobs_with_timeouts() -> Vec<Job> {
    let timeout = Some(Span::saturating(Duration::from_secs(2)));
    let with_timeout = |hooks: &Vec<Hook>| -> Vec<Hook> {
        let hooks = hooks.iter().cloned();
        hooks.map(|hook| Hook { timeout, ..hook }).collect()
    };
    let pairs = all_hooks(1).into_iter().flat_map(|before| {
        let afters = all_hooks(1).into_iter();
        afters.map(move |after| (before.clone(), after))
    });
    pairs
        .map(|(before, after)| Job::new(plan(&with_timeout(&before), &with_timeout(&after))))
        .collect()
}

#[test]
fn commands_without_resources_are_tried_again_and_finally_given_up() {
    let mischief = Mischief {
        shortages: 2,
        ..QUIET
    };
    walk_all(&jobs(1), mischief);
    let killed = Mischief {
        shortages: 1,
        kills: 1,
        shutdowns: 1,
        ..QUIET
    };
    walk_all(&jobs(1), killed);
}

#[test]
fn hooks_are_ended_at_their_timeouts_in_every_case() {
    walk_all(&jobs_with_timeouts(), Mischief { kills: 1, ..QUIET });
    walk_all(&jobs_with_timeouts(), Mischief { naps: 1, ..QUIET });
}

#[test]
fn the_maximum_run_time_ends_the_command_and_not_after_commands() {
    let graces = [None, Some(Span::ZERO)];
    let of = |kill_grace| {
        jobs(1).into_iter().map(move |job| Job {
            kill_grace,
            maximum_run_time: Some(Span::saturating(Duration::from_secs(10))),
            ..job
        })
    };
    let jobs: Vec<_> = graces.into_iter().flat_map(of).collect();
    let mischief = Mischief {
        kills: 1,
        shutdowns: 1,
        naps: 1,
        ..QUIET
    };
    walk_all(&jobs, mischief);
}

#[test]
fn invalid_tasks_and_groups_are_refused_once_with_any_fault_of_the_agent() {
    let mischief = Mischief {
        odd_launches: true,
        kills: 1,
        shutdowns: 1,
        launches: 2,
        losses: 1,
        ..QUIET
    };
    walk_all(&jobs(0), mischief);
}

#[test]
fn jobs_of_hooks_only_keep_the_same_promises() {
    let mut jobs = Vec::new();
    for before in all_hooks(1) {
        for after in all_hooks(1) {
            let whole = hooks(&before, &after);
            let only_before = hooks(&before, &[]);
            let only_after = hooks(&[], &after);
            for job in [whole, only_before, only_after] {
                let plan = Plan::new(None, job, Hooks::default());
                jobs.push(Job {
                    maximum_run_time: Some(Span::saturating(Duration::from_secs(10))),
                    ..Job::new(plan)
                });
            }
        }
    }
    let mischief = Mischief {
        kills: 1,
        shutdowns: 1,
        ..QUIET
    };
    walk_all(&jobs, mischief);
}

#[test]
fn the_operators_hooks_enclose_the_jobs_and_keep_the_same_promises() {
    let of_job = hooks(&[hook(false, false)], &[hook(false, false)]);
    let mut jobs = Vec::new();
    for before in all_hooks(1) {
        for after in all_hooks(1) {
            jobs.push(Job::new(plan_with(of_job.clone(), hooks(&before, &after))));
        }
    }
    walk_all(&jobs, Mischief { kills: 1, ..QUIET });
}

#[test]
fn every_plan_of_one_hook_keeps_its_promises_with_checks() {
    let mischief = Mischief {
        findings: 1,
        ..QUIET
    };
    walk_all(&jobs(1), mischief);
}

#[test]
fn any_results_of_checks_are_handled_with_kills_and_lost_agents() {
    let mischief = Mischief {
        findings: 1,
        kills: 1,
        losses: 1,
        ..QUIET
    };
    walk_all(&jobs(0), mischief);
}

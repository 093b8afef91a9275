//! Every state that can be reached, for small plans and little mischief.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use cook_executor::core::effect::ExitStatus;
use cook_executor::core::plan::{Hook, Plan};

use crate::model::{Mischief, Model, QUIET, Step, hook, plan};

/// Visits every state that can be reached, and says how many there are.
fn walk(plan: &Plan, checkpoint: bool, mischief: Mischief) -> usize {
    let first = Model::new(checkpoint, mischief);
    let mut known = HashSet::from([digest(&first)]);
    let mut trail: Vec<(usize, Step)> = Vec::new();
    let mut frontier = vec![(first, None)];
    let mut left_well = false;
    while let Some((model, came_by)) = frontier.pop() {
        left_well |= model.exit == Some(ExitStatus::Done);
        for step in model.steps() {
            let next = guarded(&model, &step, plan, || way(&trail, came_by));
            if known.insert(digest(&next)) {
                trail.push((came_by.map_or(usize::MAX, |index: usize| index), step));
                frontier.push((next, Some(trail.len() - 1)));
            }
        }
    }
    assert!(left_well, "no walk ends well");
    known.len()
}

/// States are told apart by 64 bits: a clash would hide one of some hundred thousand.
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

/// Takes a step; a broken promise is reported with the whole way that led to it.
fn guarded(model: &Model, step: &Step, plan: &Plan, way: impl Fn() -> Vec<Step>) -> Model {
    let mut next = model.clone();
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        next.take(step, plan);
        next.check();
        next
    }));
    attempt.unwrap_or_else(|_| panic!("after {:#?}, {step:?}", way()))
}

/// All flags for a list of `count` hooks.
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

/// Every plan with up to so many hooks in all.
fn plans(most: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for count in 0..=most {
        for before in 0..=count {
            for before in &all_hooks(before) {
                for after in &all_hooks(count - before.len()) {
                    plans.push(plan(before, after));
                }
            }
        }
    }
    plans
}

fn walk_all(plans: &[Plan], mischief: Mischief) {
    walk_all_with(plans, true, mischief);
}

fn walk_all_with(plans: &[Plan], checkpoint: bool, mischief: Mischief) {
    let walks = plans.iter().map(|plan| walk(plan, checkpoint, mischief));
    println!("{} plans, {} states", plans.len(), walks.sum::<usize>());
}

#[test]
fn every_plan_of_up_to_three_hooks_keeps_its_promises() {
    walk_all(&plans(3), QUIET);
}

#[test]
fn every_plan_of_up_to_two_hooks_keeps_its_promises_when_it_is_killed_twice_at_any_moment() {
    let mischief = Mischief { kills: 2, ..QUIET };
    walk_all(&plans(2), mischief);
}

#[test]
fn every_plan_of_one_hook_keeps_its_promises_when_it_is_killed_and_shut_down() {
    let mischief = Mischief {
        kills: 1,
        shutdowns: 2,
        patches: 1,
        ..QUIET
    };
    walk_all(&plans(1), mischief);
}

#[test]
fn nothing_is_lost_or_doubled_whatever_the_agent_and_the_network_do() {
    let mischief = Mischief {
        prompt_agent: false,
        losses: 1,
        lost_calls: 1,
        extra_acknowledgements: 1,
        ..QUIET
    };
    walk_all(&plans(0), mischief);
}

#[test]
fn nothing_is_lost_or_doubled_without_a_checkpoint_either() {
    let mischief = Mischief {
        prompt_agent: false,
        losses: 1,
        lost_calls: 1,
        ..QUIET
    };
    walk_all_with(&plans(0), false, mischief);
}

#[test]
fn without_a_checkpoint_every_plan_of_one_hook_is_stopped_when_its_agent_goes_away() {
    // The agent is prompt but for going away, once or more.
    let mischief = Mischief { losses: 2, ..QUIET };
    walk_all_with(&plans(1), false, mischief);
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
    walk_all(&plans(0), mischief);
}

#[test]
fn every_plan_of_one_hook_keeps_its_promises_while_its_checks_look() {
    let mischief = Mischief {
        findings: 1,
        ..QUIET
    };
    walk_all(&plans(1), mischief);
}

#[test]
fn checks_find_what_they_like_while_the_task_is_killed_and_the_agent_goes_away() {
    let mischief = Mischief {
        findings: 1,
        kills: 1,
        losses: 1,
        ..QUIET
    };
    walk_all(&plans(0), mischief);
}

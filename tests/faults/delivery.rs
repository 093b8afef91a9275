//! What must be true of every journal: the agent gets each update once, in order, the terminal one last,
//! and the executor exits only after that.

use cook_mesos::messages::TaskStatus;
use cook_test_agent::journal::{Journal, What, is_terminal};

use crate::support::{Run, TASK};

/// Checks the journal of a task whose end was reported.
#[track_caller]
pub fn check(run: &Run) {
    run.agent.inspect(|journal| {
        if let Err(broken) = all_of(journal) {
            panic!("{broken}\n{journal}");
        }
    });
}

fn all_of(journal: &Journal) -> Result<(), String> {
    let first: Vec<&TaskStatus> = journal.updates().collect();
    nothing_is_doubled(&first)?;
    nothing_changes(journal, &first)?;
    subscriptions_keep_the_order(journal, &first)?;
    the_exit_comes_last(journal)
}

/// One UUID for each state of a task, and nothing after the terminal one.
fn nothing_is_doubled(first: &[&TaskStatus]) -> Result<(), String> {
    let of_task = || first.iter().filter(|status| status.task_id.value == TASK);
    let states: Vec<_> = of_task().map(|status| status.state()).collect();
    let is_doubled = |at: usize| states[..at].contains(&states[at]);
    if let Some(at) = (0..states.len()).find(|at| is_doubled(*at)) {
        return Err(format!("{:?} has two UUIDs", states[at]));
    }
    let terminal = states.iter().filter(|state| is_terminal(**state)).count();
    let ends_well = states.last().is_some_and(|state| is_terminal(*state));
    match (terminal, ends_well) {
        (1, true) => Ok(()),
        _ => Err(format!("not one terminal update at the end: {states:?}")),
    }
}

/// A repeated update is identical to the first one.
fn nothing_changes(journal: &Journal, first: &[&TaskStatus]) -> Result<(), String> {
    for entry in journal.entries() {
        if let What::Repeated(status) = &entry.what
            && !first.contains(&&**status)
        {
            return Err(format!("{:?} was repeated in other words", status.state()));
        }
    }
    Ok(())
}

/// The updates in a subscription are in the order in which they happened.
fn subscriptions_keep_the_order(journal: &Journal, first: &[&TaskStatus]) -> Result<(), String> {
    let place = |status: &TaskStatus| first.iter().position(|known| known.uuid == status.uuid);
    for subscription in journal.subscriptions() {
        let places: Vec<_> = subscription.updates.iter().map(place).collect();
        let is_ordered = places.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_ordered || places.contains(&None) {
            return Err(format!("out of order: {subscription}"));
        }
    }
    Ok(())
}

/// The executor exits with success after the acknowledgement of the terminal update was sent, and not
/// before.
fn the_exit_comes_last(journal: &Journal) -> Result<(), String> {
    let entries = journal.entries();
    let is_terminal_update = |what: &What| match what {
        What::Update(status) => status.task_id.value == TASK && is_terminal(status.state()),
        _ => false,
    };
    let told = entries.iter().position(|e| is_terminal_update(&e.what));
    let exit = entries
        .iter()
        .position(|e| matches!(e.what, What::Exited(Some(0))));
    let (Some(told), Some(exit)) = (told, exit) else {
        return Err("no terminal update, or no exit with success".to_owned());
    };
    let is_acknowledgement =
        |what: &What| matches!(what, What::Sent(event) if event.starts_with("ACKNOWLEDGED"));
    let between = entries.get(told..exit).unwrap_or_default();
    match between.iter().any(|e| is_acknowledgement(&e.what)) {
        true => Ok(()),
        false => Err("it left before the acknowledgement".to_owned()),
    }
}

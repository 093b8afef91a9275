//! Subscriptions, questions, and whether offers are wanted.

use std::time::Duration;

use cook_scheduler::core::effect::Effect;
use cook_scheduler::core::event::{Event, Room};
use cook_scheduler::core::face::{BackendEvent, Call, FrameworkId, TaskState};
use cook_scheduler::core::job::{Agent, Reason};
use cook_scheduler::core::settings::Settings;

use crate::desk::Desk;
use crate::jobs::{job_id, spec};

fn mesos() -> Desk {
    Desk::with(Settings::mesos([1; 16]))
}

fn count(desk: &Desk, wanted: &Call) -> usize {
    desk.calls.iter().filter(|call| *call == wanted).count()
}

#[test]
fn a_new_subscription_asks_for_everything_and_repeats_kills() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    desk.submit("alice", job_id(2), spec());
    let (first, second) = (desk.start(), desk.start());
    desk.update(first, TaskState::Running);
    desk.kill(job_id(2));
    desk.restart();
    desk.subscribe();
    let mut asked = desk.questions();
    asked.sort();
    let mut both = [first, second];
    both.sort();
    assert_eq!(asked, both);
    assert_eq!(desk.kills(), [second]);
    desk.answer(first, TaskState::Running);
    desk.pass(Duration::from_secs(20));
    assert!(
        desk.questions().iter().all(|id| *id == second),
        "only what was not answered"
    );
    assert!(desk.questions().len() >= 2, "5, 15 s");
}

#[test]
fn a_launch_that_nobody_heard_of_is_asked_for_and_fails_for_free() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.calls.clear();
    desk.pass(Duration::from_secs(29));
    assert_eq!(desk.questions(), []);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.questions(), [id]);
    assert!(
        desk.offer(1.0).is_empty(),
        "no second one while the first may run"
    );
    desk.answer(id, TaskState::Gone);
    assert_eq!(
        desk.job(job_id(1)).instances[0].failure(),
        Some(Reason::InvalidOffer)
    );
    assert_eq!(desk.offer(1.0).len(), 1);
}

#[test]
fn everything_is_asked_for_again_and_again() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    desk.calls.clear();
    desk.pass(Duration::from_secs(16 * 60));
    assert_eq!(desk.questions()[0], id);
    assert_eq!(count(&desk, &Call::ReconcileAll), 1);
    desk.calls.clear();
    desk.backend(BackendEvent::AgentLost(Agent("another".into())));
    assert_eq!(desk.questions(), []);
    desk.backend(BackendEvent::AgentLost(Agent("agent".into())));
    assert_eq!(desk.questions(), [id]);
}

#[test]
fn offers_are_wanted_while_something_waits() {
    let mut desk = Desk::new();
    assert_eq!(count(&desk, &Call::Suppress), 1);
    desk.submit("alice", job_id(1), spec());
    assert_eq!(count(&desk, &Call::Revive), 1);
    desk.start();
    assert_eq!(
        count(&desk, &Call::Suppress),
        1,
        "nothing waits any more: {:?}",
        desk.calls
    );
    let offer = desk.an_offer(crate::jobs::demand(1.0));
    assert!(desk.take(offer).is_empty());
    let long = |call: &Call| match call {
        Call::Decline { refuse_for, .. } => *refuse_for >= Duration::from_secs(600),
        _ => false,
    };
    assert!(desk.calls.iter().any(long), "{:?}", desk.calls);
}

#[test]
fn a_master_is_told_seldom_and_again() {
    let mut desk = mesos();
    desk.calls.clear();
    for number in 0..10 {
        desk.submit("alice", job_id(number), spec());
    }
    assert_eq!(
        count(&desk, &Call::Revive),
        1,
        "each one clears the filters of all"
    );
    desk.pass(Duration::from_secs(6));
    assert_eq!(
        count(&desk, &Call::Revive),
        2,
        "for the jobs that came after it"
    );
    desk.pass(Duration::from_secs(130));
    assert_eq!(
        count(&desk, &Call::Revive),
        4,
        "it may have been lost: each minute"
    );
    desk.kill(job_id(0));
    desk.offer(20.0);
    desk.calls.clear();
    desk.pass(Duration::from_secs(61));
    desk.offer(1.0);
    assert_eq!(
        count(&desk, &Call::Suppress),
        1,
        "it was lost: there is an offer"
    );
}

#[test]
fn the_frameworks_id_is_on_disk_before_the_first_launch() {
    let mut desk = mesos();
    let id = FrameworkId("f-1".into());
    desk.submit("alice", job_id(1), spec());
    let subscribed = Event::Backend(BackendEvent::Subscribed(Some(id.clone())));
    let effects = desk.core.step(subscribed, desk.now);
    assert!(
        matches!(effects[0], Effect::Store(_)) || matches!(effects.last(), Some(Effect::Store(_)))
    );
    let offer = desk.an_offer(crate::jobs::demand(1.0));
    let offered = Event::Backend(BackendEvent::Offered(vec![offer]));
    let launched = |effect: &Effect| matches!(effect, Effect::Call(Call::Launch { .. }));
    let later = desk.core.step(offered, desk.now);
    assert!(!later.iter().any(launched));
    let batches = effects
        .iter()
        .chain(&later)
        .filter_map(|effect| match effect {
            Effect::Store(batch) => Some(batch),
            _ => None,
        });
    let numbers: Vec<_> = batches.map(|batch| batch.number).collect();
    assert_eq!(numbers.len(), 2);
    assert!(
        !desk
            .core
            .step(Event::Stored(numbers[0]), desk.now)
            .iter()
            .any(launched)
    );
    assert_eq!(desk.core.view().framework(), Some(&id));
    assert!(
        desk.core
            .step(Event::Stored(numbers[1]), desk.now)
            .iter()
            .any(launched)
    );
}

#[test]
fn a_removed_framework_writes_off_and_begins_anew() {
    let mut desk = mesos();
    desk.backend(BackendEvent::Subscribed(Some(FrameworkId("f-1".into()))));
    desk.submit("alice", job_id(1), spec());
    desk.start();
    desk.calls.clear();
    desk.backend(BackendEvent::FrameworkRemoved);
    assert_eq!(
        desk.job(job_id(1)).instances[0].failure(),
        Some(Reason::FrameworkRemoved)
    );
    assert_eq!(count(&desk, &Call::SubscribeAnew), 1);
    assert_eq!(desk.image.framework(), None);
    desk.backend(BackendEvent::Subscribed(Some(FrameworkId("f-2".into()))));
    assert_eq!(desk.image.framework(), Some(&FrameworkId("f-2".into())));
    assert_eq!(desk.offer(1.0).len(), 1);
}

#[test]
fn another_scheduler_has_the_framework_now() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    let taken = Event::Backend(BackendEvent::FrameworkTaken);
    let effects = desk.core.step(taken, desk.now);
    assert!(
        matches!(effects[..], [Effect::Leave(_)]),
        "it touches nothing: {effects:?}"
    );
}

#[test]
fn nothing_starts_on_a_full_disk_or_while_draining() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    desk.event(Event::RoomChanged(Room::ReserveOnly));
    assert!(desk.offer(1.0).is_empty());
    desk.event(Event::RoomChanged(Room::Ample));
    assert_eq!(count(&desk, &Call::Revive), 1);
    desk.event(Event::Drain);
    assert!(desk.offer(1.0).is_empty());
}

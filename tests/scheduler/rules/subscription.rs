//! Subscriptions, reconciliation, revive and suppress.

use std::time::Duration;

use cook_scheduler::core::backend::{BackendEvent, Call, FrameworkId, TaskState};
use cook_scheduler::core::effect::Effect;
use cook_scheduler::core::event::{DiskSpace, Event};
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
fn a_new_subscription_reconciles_everything_and_repeats_kills() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    desk.submit("alice", job_id(2), spec());
    let (first, second) = (desk.start(), desk.start());
    desk.update(first, TaskState::Running);
    desk.kill(job_id(2));
    desk.restart();
    desk.subscribe();
    let mut asked = desk.reconciled();
    asked.sort();
    let mut both = [first, second];
    both.sort();
    assert_eq!(asked, both);
    assert_eq!(desk.kills(), [second]);
    desk.answer(first, TaskState::Running);
    desk.pass(Duration::from_secs(20));
    assert!(
        desk.reconciled().iter().all(|id| *id == second),
        "only the unanswered one is repeated"
    );
    assert!(desk.reconciled().len() >= 2, "5, 15 s");
}

#[test]
fn a_lost_launch_is_reconciled_and_does_not_count_as_an_attempt() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.calls.clear();
    desk.pass(Duration::from_secs(29));
    assert_eq!(desk.reconciled(), []);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.reconciled(), [id]);
    assert!(
        desk.offer(1.0).is_empty(),
        "no second instance while the first may run"
    );
    desk.answer(id, TaskState::Gone);
    assert_eq!(
        desk.job(job_id(1)).instances[0].failure(),
        Some(Reason::InvalidOffer)
    );
    assert_eq!(desk.offer(1.0).len(), 1);
}

#[test]
fn all_tasks_are_reconciled_regularly() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    let id = desk.start();
    desk.update(id, TaskState::Running);
    desk.calls.clear();
    desk.pass(Duration::from_secs(16 * 60));
    assert_eq!(desk.reconciled()[0], id);
    assert_eq!(count(&desk, &Call::ReconcileAll), 1);
    desk.calls.clear();
    desk.backend(BackendEvent::AgentLost(Agent("another".into())));
    assert_eq!(desk.reconciled(), []);
    desk.backend(BackendEvent::AgentLost(Agent("agent".into())));
    assert_eq!(desk.reconciled(), [id]);
}

#[test]
fn offers_are_requested_while_jobs_wait() {
    let mut desk = Desk::new();
    assert_eq!(count(&desk, &Call::Suppress), 1);
    desk.submit("alice", job_id(1), spec());
    assert_eq!(count(&desk, &Call::Revive), 1);
    desk.start();
    assert_eq!(
        count(&desk, &Call::Suppress),
        1,
        "no job waits: {:?}",
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
fn revive_is_rate_limited_and_repeated() {
    let mut desk = mesos();
    desk.calls.clear();
    for number in 0..10 {
        desk.submit("alice", job_id(number), spec());
    }
    assert_eq!(
        count(&desk, &Call::Revive),
        1,
        "not again within five seconds"
    );
    desk.pass(Duration::from_secs(6));
    assert_eq!(
        count(&desk, &Call::Revive),
        2,
        "for the jobs submitted since the first one"
    );
    desk.pass(Duration::from_secs(130));
    assert_eq!(
        count(&desk, &Call::Revive),
        4,
        "repeated every minute, because it may be lost"
    );
    desk.kill(job_id(0));
    desk.offer(20.0);
    desk.calls.clear();
    desk.pass(Duration::from_secs(61));
    desk.offer(1.0);
    assert_eq!(
        count(&desk, &Call::Suppress),
        1,
        "an offer arrived, so it was lost"
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
fn a_removed_framework_gives_up_its_instances_and_subscribes_anew() {
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
fn the_scheduler_exits_if_another_one_has_its_framework() {
    let mut desk = mesos();
    desk.submit("alice", job_id(1), spec());
    let taken = Event::Backend(BackendEvent::FrameworkTaken);
    let effects = desk.core.step(taken, desk.now);
    assert!(
        matches!(effects[..], [Effect::Leave(_)]),
        "it must do nothing else: {effects:?}"
    );
}

#[test]
fn nothing_starts_on_a_full_disk_or_while_draining() {
    let mut desk = Desk::new();
    desk.submit("alice", job_id(1), spec());
    desk.event(Event::DiskSpaceChanged(DiskSpace::ReserveOnly));
    assert!(desk.offer(1.0).is_empty());
    desk.event(Event::DiskSpaceChanged(DiskSpace::Ample));
    assert_eq!(count(&desk, &Call::Revive), 1);
    desk.event(Event::Drain);
    assert!(desk.offer(1.0).is_empty());
}

//! Subscriptions, reconciliation, revive and suppress.

use std::time::Duration;

use cook_scheduler::core::backend::{BackendEvent, Call, FrameworkId, TaskState};
use cook_scheduler::core::effect::Effect;
use cook_scheduler::core::event::{DiskSpace, Event};
use cook_scheduler::core::job::{Agent, Reason};
use cook_scheduler::core::settings::Settings;

use crate::harness::Harness;
use crate::jobs::{job_id, spec};

fn mesos() -> Harness {
    Harness::with(Settings::mesos([1; 16]))
}

fn count(harness: &Harness, wanted: &Call) -> usize {
    harness.calls.iter().filter(|call| *call == wanted).count()
}

#[test]
fn a_new_subscription_reconciles_everything_and_repeats_kills() {
    let mut harness = mesos();
    harness.submit("alice", job_id(1), spec());
    harness.submit("alice", job_id(2), spec());
    let (first, second) = (harness.start(), harness.start());
    harness.update(first, TaskState::Running);
    harness.kill(job_id(2));
    harness.restart();
    harness.subscribe();
    let mut asked = harness.reconciled();
    asked.sort();
    let mut both = [first, second];
    both.sort();
    assert_eq!(asked, both);
    assert_eq!(harness.kills(), [second]);
    harness.answer(first, TaskState::Running);
    harness.pass(Duration::from_secs(20));
    assert!(
        harness.reconciled().iter().all(|id| *id == second),
        "only the unanswered one is repeated"
    );
    assert!(harness.reconciled().len() >= 2, "5, 15 s");
}

#[test]
fn a_lost_launch_is_reconciled_and_does_not_count_as_an_attempt() {
    let mut harness = mesos();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.calls.clear();
    harness.pass(Duration::from_secs(29));
    assert_eq!(harness.reconciled(), []);
    harness.pass(Duration::from_secs(2));
    assert_eq!(harness.reconciled(), [id]);
    assert!(
        harness.offer(1.0).is_empty(),
        "no second instance while the first may run"
    );
    harness.answer(id, TaskState::Gone);
    assert_eq!(
        harness.job(job_id(1)).instances[0].failure(),
        Some(Reason::InvalidOffer)
    );
    assert_eq!(harness.offer(1.0).len(), 1);
}

#[test]
fn all_tasks_are_reconciled_regularly() {
    let mut harness = mesos();
    harness.submit("alice", job_id(1), spec());
    let id = harness.start();
    harness.update(id, TaskState::Running);
    harness.calls.clear();
    harness.backend(BackendEvent::Disconnected);
    harness.subscribe();
    assert_eq!(
        count(&harness, &Call::ReconcileAll),
        1,
        "a task may be back that was given up"
    );
    harness.pass(Duration::from_secs(61));
    assert_eq!(
        count(&harness, &Call::ReconcileAll),
        2,
        "agents have registered with a new master"
    );
    harness.calls.clear();
    harness.pass(Duration::from_secs(16 * 60));
    assert_eq!(harness.reconciled()[0], id);
    assert_eq!(count(&harness, &Call::ReconcileAll), 1);
    harness.calls.clear();
    harness.backend(BackendEvent::AgentLost(Agent("another".into())));
    assert_eq!(harness.reconciled(), []);
    harness.backend(BackendEvent::AgentLost(Agent("agent".into())));
    assert_eq!(harness.reconciled(), [id]);
}

#[test]
fn offers_are_requested_while_jobs_wait() {
    let mut harness = Harness::new();
    assert_eq!(count(&harness, &Call::Suppress), 1);
    harness.submit("alice", job_id(1), spec());
    assert_eq!(count(&harness, &Call::Revive), 1);
    harness.start();
    assert_eq!(
        count(&harness, &Call::Suppress),
        1,
        "no job waits: {:?}",
        harness.calls
    );
    let offer = harness.an_offer(crate::jobs::demand(1.0));
    assert!(harness.take(offer).is_empty());
    let long = |call: &Call| match call {
        Call::Decline { refuse_for, .. } => *refuse_for >= Duration::from_secs(600),
        _ => false,
    };
    assert!(harness.calls.iter().any(long), "{:?}", harness.calls);
}

#[test]
fn revive_is_rate_limited_and_repeated() {
    let mut harness = mesos();
    harness.calls.clear();
    for number in 0..10 {
        harness.submit("alice", job_id(number), spec());
    }
    assert_eq!(
        count(&harness, &Call::Revive),
        1,
        "not again within five seconds"
    );
    harness.pass(Duration::from_secs(6));
    assert_eq!(
        count(&harness, &Call::Revive),
        2,
        "for the jobs submitted since the first one"
    );
    harness.pass(Duration::from_secs(130));
    assert_eq!(
        count(&harness, &Call::Revive),
        4,
        "repeated every minute, because it may be lost"
    );
    harness.kill(job_id(0));
    harness.offer(20.0);
    harness.calls.clear();
    harness.pass(Duration::from_secs(61));
    harness.offer(1.0);
    assert_eq!(
        count(&harness, &Call::Suppress),
        1,
        "an offer arrived, so it was lost"
    );
}

#[test]
fn the_frameworks_id_is_on_disk_before_the_first_launch() {
    let mut harness = mesos();
    let id = FrameworkId("f-1".into());
    harness.submit("alice", job_id(1), spec());
    let subscribed = Event::Backend(BackendEvent::Subscribed(Some(id.clone())));
    let effects = harness.core.step(subscribed, harness.now);
    assert!(
        matches!(effects[0], Effect::Store(_)) || matches!(effects.last(), Some(Effect::Store(_)))
    );
    let offer = harness.an_offer(crate::jobs::demand(1.0));
    let offered = Event::Backend(BackendEvent::Offered(vec![offer]));
    let launched = |effect: &Effect| matches!(effect, Effect::Call(Call::Launch { .. }));
    let later = harness.core.step(offered, harness.now);
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
        !harness
            .core
            .step(Event::Stored(numbers[0]), harness.now)
            .iter()
            .any(launched)
    );
    assert_eq!(harness.core.view().framework(), Some(&id));
    assert!(
        harness
            .core
            .step(Event::Stored(numbers[1]), harness.now)
            .iter()
            .any(launched)
    );
}

#[test]
fn a_removed_framework_gives_up_its_instances_and_subscribes_anew() {
    let mut harness = mesos();
    harness.backend(BackendEvent::Subscribed(Some(FrameworkId("f-1".into()))));
    harness.submit("alice", job_id(1), spec());
    harness.start();
    harness.calls.clear();
    harness.backend(BackendEvent::FrameworkRemoved);
    assert_eq!(
        harness.job(job_id(1)).instances[0].failure(),
        Some(Reason::FrameworkRemoved)
    );
    assert_eq!(count(&harness, &Call::SubscribeAnew), 1);
    assert_eq!(harness.image.framework(), None);
    harness.backend(BackendEvent::Subscribed(Some(FrameworkId("f-2".into()))));
    assert_eq!(harness.image.framework(), Some(&FrameworkId("f-2".into())));
    assert_eq!(harness.offer(1.0).len(), 1);
}

#[test]
fn the_scheduler_exits_if_another_one_has_its_framework() {
    let mut harness = mesos();
    harness.submit("alice", job_id(1), spec());
    let taken = Event::Backend(BackendEvent::FrameworkTaken);
    let effects = harness.core.step(taken, harness.now);
    assert!(
        matches!(effects[..], [Effect::Leave(_)]),
        "it must do nothing else: {effects:?}"
    );
}

#[test]
fn nothing_starts_on_a_full_disk_or_while_draining() {
    let mut harness = Harness::new();
    harness.submit("alice", job_id(1), spec());
    harness.event(Event::DiskSpaceChanged(DiskSpace::ReserveOnly));
    assert!(harness.offer(1.0).is_empty());
    harness.event(Event::DiskSpaceChanged(DiskSpace::Ample));
    assert_eq!(count(&harness, &Call::Revive), 1);
    harness.event(Event::Drain);
    assert!(harness.offer(1.0).is_empty());
}

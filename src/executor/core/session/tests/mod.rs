//! The session alone, with a clock that the test sets.

use super::*;
use crate::core::outbox::{Item, Message};
use crate::words::units::TaskId;

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn session(checkpoint: bool) -> Session {
    Session::new(Policy {
        checkpoint,
        recovery_timeout: Span::saturating(Duration::from_secs(900)),
        backoff_max: Span::saturating(Duration::from_secs(2)),
        spread: 4711,
    })
}

fn effects(session: &mut Session, now: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    session.act(None, at(now), &mut effects);
    effects
}

fn subscribe(session: &mut Session, now: u64) -> Generation {
    match effects(session, now).pop() {
        Some(Effect::Subscribe { generation, .. }) => generation,
        other => panic!("expected a subscription, found {other:?}"),
    }
}

#[test]
fn it_subscribes_at_once_and_only_once() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    assert_eq!(effects(&mut session, 0), []);
    assert!(session.subscribed(generation, false, at(1)));
    assert!(session.up_since().is_some());
    assert_eq!(session.next_deadline(), None);
}

#[test]
fn a_broken_stream_is_subscribed_again_at_once_and_then_within_200_milliseconds() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    session.subscribed(generation, false, at(1));
    session.ended(generation, StreamEnd::Disconnected, at(1000));
    let mut now = 1000;
    for _ in 0..100 {
        let generation = subscribe(&mut session, now);
        session.ended(generation, StreamEnd::Disconnected, at(now));
        let next = session.next_deadline().expect("another try");
        let wait = next.since(at(now)).as_millis();
        assert!((30..=200).contains(&wait), "{wait} ms");
        now += wait as u64 + 1;
    }
}

/// The waits between the attempts from `from` until `until`, when each attempt ends with `end`.
fn waits(session: &mut Session, end: StreamEnd, from: u64, until: u64) -> Vec<u64> {
    let mut waits = Vec::new();
    let mut now = from;
    while now < until {
        let generation = subscribe(session, now);
        session.ended(generation, end, at(now));
        let next = session.next_deadline().expect("another try");
        waits.push(next.since(at(now)).as_millis() as u64);
        now += waits[waits.len() - 1] + 1;
    }
    waits
}

#[test]
fn an_agent_that_is_away_for_more_than_a_minute_is_tried_once_a_second() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    session.subscribed(generation, false, at(1));
    session.ended(generation, StreamEnd::Disconnected, at(1000));
    let soon = waits(&mut session, StreamEnd::Disconnected, 1000, 60_000);
    assert!(soon.iter().all(|wait| *wait <= 200), "{soon:?}");
    let late = waits(&mut session, StreamEnd::Disconnected, 61_300, 600_000);
    assert!(
        late.iter().all(|wait| (750..=1000).contains(wait)),
        "{late:?}"
    );
    // An agent that answers is starting. It will soon wait for executors, but only for 2 seconds.
    let starting = waits(&mut session, StreamEnd::NotReady, 601_100, 620_000);
    assert!(starting.iter().all(|wait| *wait <= 200), "{starting:?}");
    // After a new subscription the short waits apply again.
    let generation = subscribe(&mut session, 621_000);
    session.subscribed(generation, false, at(621_000));
    session.ended(generation, StreamEnd::Disconnected, at(700_000));
    let soon = waits(&mut session, StreamEnd::Disconnected, 700_000, 759_000);
    assert!(soon.iter().all(|wait| *wait <= 200), "{soon:?}");
}

#[test]
fn with_a_short_backoff_max_the_agent_is_tried_more_often() {
    let mut session = Session::new(Policy {
        backoff_max: Span::saturating(Duration::from_millis(600)),
        ..session(true).policy
    });
    let soon = waits(&mut session, StreamEnd::Disconnected, 0, 60_000);
    assert!(soon.iter().all(|wait| *wait <= 150), "{soon:?}");
    let late = waits(&mut session, StreamEnd::Disconnected, 61_000, 100_000);
    assert!(late.iter().all(|wait| *wait <= 300), "{late:?}");
}

#[test]
fn the_end_of_an_older_stream_is_ignored() {
    let mut session = session(true);
    let old = subscribe(&mut session, 0);
    session.subscribed(old, false, at(1));
    session.ended(old, StreamEnd::Disconnected, at(500));
    let new = subscribe(&mut session, 500);
    session.subscribed(new, false, at(501));
    session.ended(old, StreamEnd::Disconnected, at(502));
    assert!(session.up_since().is_some());
    assert!(!session.subscribed(old, false, at(503)));
}

#[test]
fn an_attempt_without_a_response_is_given_up_and_repeated() {
    let mut session = session(true);
    let first = subscribe(&mut session, 0);
    let deadline = session.next_deadline().expect("a limit");
    assert_eq!(deadline, Moment(ANSWER_TIMEOUT));
    assert_eq!(effects(&mut session, 5000), [], "too early");
    let retry = session.next_deadline().expect("a retry");
    let second = subscribe(&mut session, retry.0.as_millis() as u64 + 1);
    assert_ne!(first, second);
}

#[test]
fn an_agent_that_closes_each_stream_at_once_is_not_asked_in_a_tight_loop() {
    let mut session = session(true);
    let mut now = 0;
    for _ in 0..100 {
        let generation = subscribe(&mut session, now);
        session.subscribed(generation, false, at(now));
        session.ended(generation, StreamEnd::Disconnected, at(now));
        let next = session.next_deadline().expect("another try");
        let wait = next.since(at(now)).as_millis() as u64;
        assert!((20..=200).contains(&wait), "{wait} ms");
        now += wait + 1;
    }
}

#[test]
fn the_agent_is_lost_after_the_recovery_timeout_but_attempts_continue() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    session.subscribed(generation, false, at(0));
    session.ended(generation, StreamEnd::Disconnected, at(1000));
    assert!(!session.becomes_lost(at(900_999)));
    assert!(session.becomes_lost(at(901_000)));
    subscribe(&mut session, 901_000);
    assert!(session.is_lost());
    assert!(!session.becomes_lost(at(901_001)), "it is reported once");
}

#[test]
fn without_a_checkpoint_the_agent_is_lost_when_the_stream_ends() {
    let mut session = session(false);
    let generation = subscribe(&mut session, 0);
    assert!(!session.becomes_lost(at(59_000)));
    session.subscribed(generation, false, at(59_000));
    assert!(!session.becomes_lost(at(99_000)));
    session.ended(generation, StreamEnd::Disconnected, at(99_000));
    assert!(session.becomes_lost(at(99_000)));
}

#[test]
fn messages_wait_until_a_restarted_agent_has_registered_again() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    session.subscribed(generation, false, at(0));
    session.ended(generation, StreamEnd::Disconnected, at(1000));
    let generation = subscribe(&mut session, 1000);
    session.ended(generation, StreamEnd::NotReady, at(1000));
    let generation = subscribe(&mut session, 1500);
    session.subscribed(generation, false, at(1500));
    let message = Message::ExitCode(0);
    session
        .outbox
        .put(Item::Message(TaskId("t".into()), message));
    assert_eq!(effects(&mut session, 1500), []);
    assert_eq!(session.next_deadline(), Some(at(6500)));
    assert!(matches!(
        effects(&mut session, 6500)[..],
        [Effect::Call(..)]
    ));
}

#[test]
fn an_agent_that_forgot_us_and_restarts_may_remember_us_again() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    session.ended(generation, StreamEnd::Unknown, at(0));
    let generation = subscribe(&mut session, 9000);
    session.ended(generation, StreamEnd::NotReady, at(9000));
    assert!(!session.becomes_lost(at(12_000)));
    let generation = subscribe(&mut session, 12_000);
    session.ended(generation, StreamEnd::Unknown, at(12_000));
    assert!(!session.becomes_lost(at(21_999)));
    assert!(session.becomes_lost(at(22_000)));
}

#[test]
fn an_agent_that_forgot_us_is_asked_for_ten_seconds() {
    let mut session = session(true);
    let generation = subscribe(&mut session, 0);
    session.ended(generation, StreamEnd::Unknown, at(0));
    assert!(!session.becomes_lost(at(9_999)));
    assert!(session.becomes_lost(at(10_000)));
}

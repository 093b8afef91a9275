//! Every transition of the session.

mod walk;

use std::time::{Duration, Instant};

use cook_mesos::scheduler::{self as pb, CallType, FrameworkInfo};

use super::backoff::LONGEST;
use super::*;
use crate::backend::mesos::wire::Notice;
use crate::core::backend::{FrameworkId, OfferId};

const SECOND: Duration = Duration::from_secs(1);

struct World {
    session: Session,
    now: Instant,
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

fn stream() -> StreamId {
    StreamId("stream".to_owned())
}

fn notice() -> Notice {
    Notice::Rescinded(OfferId("O".into()))
}

fn subscribed_event(id: &str) -> MasterEvent {
    MasterEvent::Subscribed {
        framework: FrameworkId(id.into()),
        heartbeat: Some(SECOND),
        version: None,
    }
}

fn a_call() -> Box<pb::Call> {
    Box::new(pb::Call {
        kind: Some(CallType::Reconcile as i32),
        ..pb::Call::default()
    })
}

fn log(effects: &[Effect]) -> String {
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::Log(LogLine::Info(text) | LogLine::Warning(text)) => Some(text.as_str()),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Without lines for the log.
fn quiet(effects: Vec<Effect>) -> Vec<Effect> {
    let is_quiet = |effect: &Effect| !matches!(effect, Effect::Log(_));
    effects.into_iter().filter(is_quiet).collect()
}

impl World {
    fn new(masters: &[&str], id: Option<&str>) -> Self {
        let now = Instant::now();
        let masters = masters.iter().map(|master| address(master)).collect();
        let framework = FrameworkInfo {
            id: id.map(|id| Id {
                value: id.to_owned(),
            }),
            roles: vec!["cook".to_owned()],
            principal: Some("p".to_owned()),
            ..FrameworkInfo::default()
        };
        let masters = Masters::new(masters).expect("some");
        Self {
            session: Session::new(masters, framework, 1, now),
            now,
        }
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.session.step(event, self.now)
    }

    /// Lets the time of the deadline come.
    fn tick(&mut self) -> Vec<Effect> {
        self.now = self.session.deadline().expect("a deadline").max(self.now);
        self.step(Event::Tick)
    }

    fn attempt(&self) -> Attempt {
        self.session.last_attempt
    }

    fn reply(&mut self, reply: SubscribeReply) -> Vec<Effect> {
        self.step(Event::Replied(self.attempt(), reply))
    }

    fn receive(&mut self, event: MasterEvent) -> Vec<Effect> {
        self.step(Event::Received(self.attempt(), event))
    }

    /// Subscribes, and returns the session in that state.
    fn subscribed(masters: &[&str]) -> Self {
        let mut world = Self::new(masters, None);
        world.tick();
        world.reply(SubscribeReply::Accepted(stream()));
        world.receive(subscribed_event("F"));
        world
    }
}

/// The master of a Subscribe effect, and its call.
fn subscribes(effects: &[Effect]) -> (String, pb::Call) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Link(LinkAction::Subscribe { master, call, .. }) => {
            Some((master.to_string(), (**call).clone()))
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no SUBSCRIBE in {effects:?}"))
}

#[test]
fn a_new_framework_subscribes_without_an_id_and_an_old_one_with_it_in_both_places() {
    let (master, call) = subscribes(&World::new(&["a:1"], None).tick());
    assert_eq!((master.as_str(), &call.framework_id), ("a:1", &None));
    let subscribe = call.subscribe.expect("there");
    assert_eq!(subscribe.framework_info.id, None);
    assert_eq!(subscribe.suppressed_roles, ["cook"]);

    let mut world = World::new(&["a:1"], Some("F"));
    world.step(Event::Requested(Request::Revive));
    let (_, call) = subscribes(&world.tick());
    let id = Some(Id {
        value: "F".to_owned(),
    });
    assert_eq!(call.framework_id, id);
    let subscribe = call.subscribe.expect("there");
    assert_eq!(subscribe.framework_info.id, id);
    assert_eq!(subscribe.suppressed_roles, [""; 0]);
}

#[test]
fn the_core_hears_of_the_subscription_with_its_event_and_not_before() {
    let mut world = World::new(&["a:1"], None);
    world.tick();
    assert_eq!(world.reply(SubscribeReply::Accepted(stream())), []);
    assert_eq!(world.receive(MasterEvent::Notice(notice())), []);
    let effects = quiet(world.receive(subscribed_event("F")));
    assert_eq!(effects, [Effect::Subscribed(FrameworkId("F".into()))]);
    let effects = world.receive(MasterEvent::Notice(notice()));
    assert_eq!(effects, [Effect::Notice(notice())]);
}

#[test]
fn calls_carry_stream_and_framework_and_are_dropped_without_a_subscription() {
    let mut world = World::new(&["a:1"], None);
    let request = || Event::Requested(Request::Call(a_call()));
    assert_eq!(world.step(request()), []);
    world.tick();
    assert_eq!(world.step(request()), []);
    world.reply(SubscribeReply::Accepted(stream()));
    assert_eq!(world.step(request()), []);
    assert_eq!(quiet(world.receive(subscribed_event("F"))).len(), 1);

    let Effect::Link(LinkAction::Call {
        attempt,
        master,
        stream: carried,
        call,
    }) = world.step(request()).remove(0)
    else {
        panic!("no call");
    };
    assert_eq!(
        (attempt, master, carried),
        (world.attempt(), address("a:1"), stream())
    );
    assert_eq!(
        call.framework_id,
        Some(Id {
            value: "F".to_owned()
        })
    );
    for (request, kind) in [
        (Request::Revive, CallType::Revive),
        (Request::Suppress, CallType::Suppress),
    ] {
        let effects = world.step(Event::Requested(request));
        let is_it = |effect: &Effect| matches!(effect, Effect::Link(LinkAction::Call { call, .. }) if call.kind == Some(kind as i32));
        assert!(
            effects.iter().all(is_it) && effects.len() == 1,
            "{effects:?}"
        );
    }
}

#[test]
fn a_redirect_is_followed_at_once_but_not_in_circles() {
    let mut world = World::new(&["a:1", "b:1"], None);
    world.tick();
    let mut seen = 0;
    loop {
        let leader = address(["c:1", "d:1"][seen % 2]);
        let effects = world.reply(SubscribeReply::NotLeading(Some(leader.clone())));
        assert_eq!(effects[0], Effect::Link(LinkAction::Close));
        if !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Link(LinkAction::Subscribe { .. })))
        {
            assert!(
                log(&effects).contains("redirect to each other"),
                "{effects:?}"
            );
            break;
        }
        assert_eq!(subscribes(&effects).0, leader.to_string());
        seen += 1;
    }
    assert_eq!(seen, 4);
    assert_eq!(subscribes(&world.tick()).0, "b:1");
}

#[test]
fn every_reply_but_200_and_a_redirect_leads_to_the_next_master_after_a_pause() {
    for (reply, words) in [
        (SubscribeReply::NotLeading(None), "does not name one"),
        (SubscribeReply::NotReady, "not ready, or there is no leader"),
        (
            SubscribeReply::Unauthorized(401, String::new()),
            "does not accept the principal \"p\"",
        ),
        (
            SubscribeReply::Unauthorized(403, "not this role".to_owned()),
            "(403): not this role",
        ),
        (
            SubscribeReply::Refused(400, "no id".to_owned()),
            "refused SUBSCRIBE (400): no id",
        ),
    ] {
        let mut world = World::new(&["a:1", "b:1"], None);
        world.tick();
        let effects = world.reply(reply.clone());
        assert_eq!(effects[0], Effect::Link(LinkAction::Close));
        assert!(log(&effects).contains(words), "{reply:?}: {effects:?}");
        assert_eq!(world.step(Event::Tick), [], "no pause after {reply:?}");
        let before = world.now;
        assert_eq!(subscribes(&world.tick()).0, "b:1");
        assert!(world.now - before <= LONGEST);
    }
}

#[test]
fn an_attempt_without_an_answer_ends() {
    let mut world = World::new(&["a:1", "b:1"], None);
    world.tick();
    let effects = world.tick();
    assert!(
        log(&effects).contains("has not answered SUBSCRIBE within 45 s"),
        "{effects:?}"
    );
    assert_eq!(subscribes(&world.tick()).0, "b:1");
    world.reply(SubscribeReply::Accepted(stream()));
    assert_eq!(world.tick()[0], Effect::Link(LinkAction::Close));
}

#[test]
fn a_connection_that_fails_is_an_attempt_that_fails() {
    let mut world = World::new(&["a:1"], None);
    world.tick();
    let effects = world.step(Event::Ended(world.attempt(), "refused".to_owned()));
    assert!(log(&effects).contains("cannot subscribe with the master a:1: refused"));
    world.tick();
    world.reply(SubscribeReply::Accepted(stream()));
    let effects = quiet(world.step(Event::Ended(world.attempt(), "cut".to_owned())));
    assert_eq!(effects, [Effect::Link(LinkAction::Close)]);
}

#[test]
fn five_missed_heartbeats_end_the_subscription_and_any_event_counts_as_one() {
    let mut world = World::subscribed(&["a:1", "b:1"]);
    for event in [
        MasterEvent::Heartbeat,
        MasterEvent::Notice(notice()),
        MasterEvent::Unreadable,
    ] {
        world.now += 4 * SECOND;
        world.receive(event);
        assert_eq!(world.step(Event::Tick), []);
    }
    world.now += 5 * SECOND;
    let effects = world.step(Event::Tick);
    assert!(
        log(&effects).contains("has sent nothing for 5 s"),
        "{effects:?}"
    );
    assert_eq!(
        quiet(effects),
        [Effect::Disconnected, Effect::Link(LinkAction::Close)]
    );
    assert_eq!(subscribes(&world.tick()).0, "b:1");
}

#[test]
fn an_interval_that_makes_no_sense_is_replaced() {
    for (interval, timeout) in [
        (None, Duration::from_secs(75)),
        (Some(Duration::from_nanos(1)), Duration::from_millis(50)),
        (Some(Duration::MAX), Duration::from_secs(3000)),
    ] {
        let mut world = World::new(&["a:1"], None);
        world.tick();
        world.reply(SubscribeReply::Accepted(stream()));
        world.receive(MasterEvent::Subscribed {
            framework: FrameworkId("F".into()),
            heartbeat: interval,
            version: None,
        });
        assert_eq!(world.session.deadline(), Some(world.now + timeout));
    }
}

#[test]
fn a_lost_subscription_is_tried_again_with_the_same_master_and_the_id() {
    let mut world = World::subscribed(&["a:1", "b:1"]);
    let effects = quiet(world.step(Event::Ended(world.attempt(), "cut".to_owned())));
    assert_eq!(
        effects,
        [Effect::Disconnected, Effect::Link(LinkAction::Close)]
    );
    let (master, call) = subscribes(&world.tick());
    assert_eq!(master, "a:1");
    assert_eq!(
        call.framework_id,
        Some(Id {
            value: "F".to_owned()
        })
    );
}

#[test]
fn a_call_that_is_not_accepted_ends_the_subscription() {
    for (error, next) in [
        (CallError::NoResponse("none within 45 s".to_owned()), "a:1"),
        (CallError::NotLeading(Some(address("c:1"))), "c:1"),
        (CallError::NotLeading(None), "b:1"),
        (
            CallError::Refused(403, "Framework is not subscribed".to_owned()),
            "a:1",
        ),
        (CallError::QueueFull, "a:1"),
    ] {
        let mut world = World::subscribed(&["a:1", "b:1"]);
        let effects = world.step(Event::CallFailed(world.attempt(), error.clone()));
        assert_eq!(
            quiet(effects),
            [Effect::Disconnected, Effect::Link(LinkAction::Close)],
            "{error:?}"
        );
        assert_eq!(world.step(Event::Tick), []);
        assert_eq!(subscribes(&world.tick()).0, next, "{error:?}");
    }
}

#[test]
fn a_removed_framework_waits_for_the_core_and_begins_without_an_id() {
    let removed = || MasterEvent::Error("Framework has been removed".to_owned());
    let mut world = World::subscribed(&["a:1"]);
    let effects = world.receive(removed());
    assert_eq!(
        effects,
        [
            Effect::Disconnected,
            Effect::Link(LinkAction::Close),
            Effect::Removed
        ]
    );
    assert_eq!(world.session.deadline(), None);
    assert_eq!(world.step(Event::Tick), []);
    assert_eq!(world.step(Event::Requested(Request::Call(a_call()))), []);
    assert_eq!(world.step(Event::Requested(Request::SubscribeAnew)), []);
    assert_eq!(
        world.step(Event::Tick),
        [],
        "its tasks may still be running"
    );
    let (_, call) = subscribes(&world.tick());
    assert_eq!(
        (
            call.framework_id,
            call.subscribe.expect("there").framework_info.id
        ),
        (None, None)
    );

    // The same before SUBSCRIBED: the id of an earlier run is too old.
    let mut world = World::new(&["a:1"], Some("OLD"));
    world.tick();
    world.reply(SubscribeReply::Accepted(stream()));
    assert_eq!(
        world.receive(removed()),
        [Effect::Link(LinkAction::Close), Effect::Removed]
    );
}

#[test]
fn a_framework_that_failed_over_does_nothing_any_more() {
    let mut world = World::subscribed(&["a:1"]);
    let effects = world.receive(MasterEvent::Error("Framework failed over".to_owned()));
    assert_eq!(
        effects,
        [
            Effect::Disconnected,
            Effect::Link(LinkAction::Close),
            Effect::FailedOver
        ]
    );
    for event in [
        Event::Tick,
        Event::Requested(Request::Revive),
        Event::Requested(Request::SubscribeAnew),
        Event::Ended(world.attempt(), "cut".to_owned()),
    ] {
        assert_eq!(world.step(event), []);
    }
    assert_eq!(world.session.deadline(), None);
}

#[test]
fn events_of_an_older_attempt_are_ignored() {
    let mut world = World::subscribed(&["a:1"]);
    let old = world.attempt();
    world.step(Event::Ended(old, "cut".to_owned()));
    world.tick();
    let failed_over = MasterEvent::Error("Framework failed over".to_owned());
    for event in [
        Event::Received(old, failed_over),
        Event::Replied(old, SubscribeReply::NotReady),
        Event::Ended(old, "again".to_owned()),
        Event::CallFailed(old, CallError::QueueFull),
    ] {
        assert_eq!(world.step(event), []);
    }
    world.reply(SubscribeReply::Accepted(stream()));
    assert_eq!(quiet(world.receive(subscribed_event("F"))).len(), 1);
}

#[test]
fn any_other_error_is_logged_and_tried_again_at_leisure() {
    let mut world = World::subscribed(&["a:1"]);
    let effects = world.receive(MasterEvent::Error("Role 'x' is not allowed".to_owned()));
    assert!(log(&effects).contains("refused this framework: Role 'x' is not allowed"));
    assert_eq!(
        quiet(effects),
        [Effect::Disconnected, Effect::Link(LinkAction::Close)]
    );
    let wait = world.session.deadline().expect("a deadline") - world.now;
    assert!(wait >= LONGEST / 2 && wait <= LONGEST);
}

#[test]
fn the_same_warning_is_logged_once_in_five_minutes() {
    let mut world = World::new(&["a:1"], None);
    let began = world.now;
    let mut lines = 0;
    while world.now - began < Duration::from_secs(3600) {
        world.tick();
        let effects = world.step(Event::Ended(world.attempt(), "refused".to_owned()));
        lines += usize::from(!log(&effects).is_empty());
    }
    assert!((11..=13).contains(&lines), "{lines} lines in an hour");
}

#[test]
fn pauses_grow_while_subscriptions_do_not_last() {
    let pause = |lasted: Duration| {
        let mut world = World::subscribed(&["a:1"]);
        let mut pause = Duration::ZERO;
        for _ in 0..10 {
            world.now += lasted;
            world.step(Event::Ended(world.attempt(), "cut".to_owned()));
            pause = world.session.deadline().expect("a deadline") - world.now;
            world.tick();
            world.reply(SubscribeReply::Accepted(stream()));
            world.receive(subscribed_event("F"));
        }
        pause
    };
    assert!(pause(SECOND) >= LONGEST / 2);
    assert!(pause(40 * SECOND) <= SECOND);
}

//! Walks through the session: all short sequences of events, and long random ones. The promises hold in each.

use super::*;

/// What the shell and the core know of the session: enough to see whether its promises hold.
#[derive(Clone, Debug, Default)]
struct Watcher {
    open: Option<Attempt>,
    is_subscribed: bool,
    is_over: bool,
}

impl Watcher {
    fn watch(&mut self, session: &Session, effects: &[Effect]) {
        for effect in effects {
            assert!(!self.is_over, "{effect:?} after the failover");
            match effect {
                Effect::Link(LinkAction::Subscribe { attempt, .. }) => {
                    assert_eq!(self.open, None, "two connections");
                    assert!(!self.is_subscribed);
                    self.open = Some(*attempt);
                }
                Effect::Link(LinkAction::Close) => self.open = None,
                Effect::Link(LinkAction::Call { attempt, call, .. }) => {
                    assert!(self.is_subscribed && self.open == Some(*attempt));
                    assert!(call.framework_id.is_some());
                }
                Effect::Subscribed(_) => {
                    assert!(!self.is_subscribed && self.open.is_some());
                    self.is_subscribed = true;
                }
                Effect::Disconnected => {
                    assert!(self.is_subscribed);
                    self.is_subscribed = false;
                }
                Effect::Removed => assert!(!self.is_subscribed && self.open.is_none()),
                Effect::FailedOver => {
                    assert!(!self.is_subscribed && self.open.is_none());
                    self.is_over = true;
                }
                Effect::Notice(_) => assert!(self.is_subscribed),
                Effect::Log(_) => {}
            }
        }
        let waits_for_nobody = session.deadline().is_none();
        let may_wait = matches!(session.state, State::Removed | State::FailedOver);
        assert_eq!(waits_for_nobody, may_wait, "it would sleep for ever");
    }
}

/// Everything that can happen at this point.
fn everything(session: &Session) -> Vec<Event> {
    let (now, old) = (session.last_attempt, Attempt(0));
    let errors = [
        "Framework has been removed",
        "Framework failed over",
        "else",
    ];
    let mut events = vec![
        Event::Tick,
        Event::Ended(now, "cut".to_owned()),
        Event::Ended(old, "cut".to_owned()),
        Event::CallFailed(now, CallError::QueueFull),
        Event::Replied(now, SubscribeReply::Accepted(stream())),
        Event::Replied(now, SubscribeReply::NotLeading(Some(address("c:1")))),
        Event::Replied(now, SubscribeReply::NotReady),
        Event::Replied(old, SubscribeReply::Accepted(stream())),
        Event::Received(now, subscribed_event("F")),
        Event::Received(now, MasterEvent::Heartbeat),
        Event::Received(now, MasterEvent::Notice(notice())),
        Event::Received(old, MasterEvent::Notice(notice())),
        Event::Received(now, MasterEvent::Unreadable),
        Event::Requested(Request::Revive),
        Event::Requested(Request::SubscribeAnew),
        Event::Requested(Request::Call(a_call())),
    ];
    events.extend(errors.map(|text| Event::Received(now, MasterEvent::Error(text.to_owned()))));
    events
}

#[test]
fn all_sequences_of_five_events_keep_the_promises() {
    fn walk(session: &Session, watcher: &Watcher, now: Instant, depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let mut count = 0;
        for event in everything(session) {
            let (mut session, mut watcher) = (session.clone(), watcher.clone());
            let now = match (&event, session.deadline()) {
                (Event::Tick, Some(deadline)) => deadline.max(now),
                _ => now,
            };
            let effects = session.step(event, now);
            watcher.watch(&session, &effects);
            count += walk(&session, &watcher, now, depth - 1);
        }
        count
    }
    let mut world = World::new(&["a:1", "b:1"], Some("F"));
    let mut watcher = Watcher::default();
    let effects = world.tick();
    watcher.watch(&world.session, &effects);
    let count = walk(&world.session, &watcher, world.now, 4);
    assert_eq!(count, 19_u64.pow(4));
    let world = World::subscribed(&["a:1"]);
    let watcher = Watcher {
        open: Some(world.attempt()),
        is_subscribed: true,
        is_over: false,
    };
    walk(&world.session, &watcher, world.now, 4);
}

#[test]
fn long_random_walks_keep_the_promises_and_always_come_back() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut dice = move |sides: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % 1_000_000).unwrap_or_default() % sides
    };
    for _ in 0..200 {
        let mut world = World::new(&["a:1", "b:1", "c:1"], None);
        let mut watcher = Watcher::default();
        for _ in 0..200 {
            let mut events = everything(&world.session);
            let event = events.swap_remove(dice(events.len()));
            if event
                == Event::Received(
                    world.attempt(),
                    MasterEvent::Error("Framework failed over".to_owned()),
                )
            {
                continue;
            }
            world.now += Duration::from_millis(dice(3000) as u64);
            let effects = world.step(event);
            watcher.watch(&world.session, &effects);
        }
        // From wherever it is, a master that answers gets it subscribed.
        if world.session.state == State::Removed {
            let effects = world.step(Event::Requested(Request::SubscribeAnew));
            watcher.watch(&world.session, &effects);
        }
        for _ in 0..5 {
            if watcher.is_subscribed {
                break;
            }
            let mut effects = world.reply(SubscribeReply::Accepted(stream()));
            effects.extend(world.receive(subscribed_event("F")));
            watcher.watch(&world.session, &effects);
            if !watcher.is_subscribed {
                let effects = world.tick();
                watcher.watch(&world.session, &effects);
            }
        }
        assert!(watcher.is_subscribed, "{:?}", world.session.state);
    }
}

//! The subscription to the agent, and what is told to it.
//!
//! ```text
//!            +------- subscribe -------+
//!            v                         |
//!       Subscribing ---- ended ---> Down (until the next try)
//!            |                         ^
//!            +--- subscribed --> Up ---+ ended, or the agent answers that we are not subscribed
//! ```
//!
//! The session retries for as long as anybody may still wait for the task: it says once that the
//! agent is lost, and goes on trying even then, since what the task leaves may still be told.

use std::time::Duration;

use crate::core::outbox::{Answer, Item, Outbox, Serial, Update};
use crate::words::units::{Moment, Span};

/// Tells one subscription from the next: what an older one still says is not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// What the agent told about itself by the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// `MESOS_CHECKPOINT`: a restarted agent will know this executor and its task.
    pub checkpoint: bool,
    /// `MESOS_RECOVERY_TIMEOUT`: how long a task may run without an agent.
    pub recovery_timeout: Span,
    /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`: a recovering agent waits only this long for us, so no two
    /// tries may be further apart.
    pub backoff_max: Span,
    /// A random number, so that the executors of one host do not all knock at the same moment.
    pub spread: u32,
}

/// Why there is no subscription (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// No connection, or it broke.
    Disconnected,
    /// The agent is starting or recovering (404, 500, 503).
    NotReady,
    /// The agent does not know this executor or its framework (400).
    Unknown,
    /// The agent does not accept this executor's credentials (401, 403) or requests (any other).
    Refused,
}

/// What the world has to do for the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Open a new subscription, whatever becomes of the older one.
    Subscribe {
        /// The new subscription's number.
        generation: Generation,
        /// The updates to carry in it.
        updates: Vec<Update>,
    },
    /// Make one call.
    Call {
        /// To be given back with the answer.
        serial: Serial,
        /// What to tell.
        item: Box<Item>,
    },
    /// Stop waiting for the call's answer and close its connection.
    AbandonCall,
}

/// See the module's picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Link {
    Down { retry_at: Moment },
    Subscribing { give_up_at: Moment },
    Up,
}

/// A call that was not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallInFlight {
    serial: Serial,
    give_up_at: Moment,
}

/// The subscription and the outbox that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// What the agent has to be told.
    pub outbox: Outbox,
    policy: Policy,
    link: Link,
    generation: Generation,
    was_subscribed: bool,
    /// The last change between up and not up.
    since: Moment,
    failures: u32,
    /// Since when the agent has been answering that it does not know us.
    unknown_since: Option<Moment>,
    lost: bool,
    call: Option<CallInFlight>,
    call_not_before: Moment,
    messages_not_before: Moment,
}

/// An agent that accepts a connection and then says nothing is given up after this long. Nothing but
/// the report waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A call is tried again this long after a 503, which a recovering agent answers for 2 seconds or more.
const CALL_RETRY: Duration = Duration::from_millis(200);

/// A restarted agent answers 202 to a message and drops it until it has registered with its master
/// again (`Slave::executorMessage`). It begins to when its recovery is over, at the latest after
/// [`Policy::backoff_max`]; on a loaded machine it has been seen to need 1.5 s more.
const REGISTRATION_TIME: Duration = Duration::from_secs(3);

/// The longest wait between two tries to subscribe: a recovering agent's window is 2 seconds by
/// default, and a new subscription must stand within 250 ms of its answering again.
const MAX_RETRY: Duration = Duration::from_millis(200);

/// Each further failure adds this much to the wait, up to [`MAX_RETRY`].
const RETRY_STEP: Duration = Duration::from_millis(40);

/// An agent that refuses our credentials is asked rarely: only an operator can change its mind.
const REFUSED_RETRY: Duration = Duration::from_secs(1);

/// An agent that has recovered without us will not remember us later: a few tries, then the end.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Without a checkpoint, the time to subscribe for the first time: after the agent's own default
/// (`--executor_registration_timeout`) it has destroyed the container anyway.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(60);

// === impl Session ===

impl Session {
    /// Not subscribed; the first try is due at once.
    pub fn new(policy: Policy) -> Self {
        Self {
            outbox: Outbox::default(),
            policy,
            link: Link::Down {
                retry_at: Moment::default(),
            },
            generation: Generation(0),
            was_subscribed: false,
            since: Moment::default(),
            failures: 0,
            unknown_since: None,
            lost: false,
            call: None,
            call_not_before: Moment::default(),
            messages_not_before: Moment::default(),
        }
    }

    /// When messages that are waiting should have been told, unless something is wrong.
    pub fn messages_end_at(&self, now: Moment) -> Moment {
        now.max(self.messages_not_before).plus(ANSWER_TIMEOUT)
    }

    /// Whether the agent listens to us.
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// How long there has been no subscription; zero if there is one.
    pub fn down_for(&self, now: Moment) -> Duration {
        match self.link {
            Link::Up => Duration::ZERO,
            Link::Down { .. } | Link::Subscribing { .. } => now.since(self.since),
        }
    }

    /// Since when there is a subscription, if there is one.
    pub fn up_since(&self) -> Option<Moment> {
        self.is_up().then_some(self.since)
    }

    /// The agent accepted the subscription. True if it is the current one.
    pub fn subscribed(&mut self, generation: Generation, now: Moment) -> bool {
        if generation != self.generation {
            return false;
        }
        // It was away, and not only its connection: the failure to be up, and one to come back.
        let was_restarted = self.was_subscribed && self.failures > 1;
        if was_restarted {
            let recovered = now.plus(self.policy.backoff_max);
            self.messages_not_before = recovered.plus(REGISTRATION_TIME);
        }
        self.link = Link::Up;
        self.since = now;
        self.was_subscribed = true;
        self.failures = 0;
        self.unknown_since = None;
        self.call_not_before = now;
        true
    }

    /// The subscription could not be opened, or ended.
    pub fn ended(&mut self, generation: Generation, end: StreamEnd, now: Moment) {
        if generation != self.generation || matches!(self.link, Link::Down { .. }) {
            return;
        }
        let was_up = self.is_up();
        let has_stood = was_up && now.since(self.since) >= MAX_RETRY;
        if was_up {
            self.since = now;
        }
        self.unknown_since = match end {
            StreamEnd::Unknown => self.unknown_since.or(Some(now)),
            // An agent that is starting may find out who we are.
            StreamEnd::NotReady | StreamEnd::Disconnected | StreamEnd::Refused => None,
        };
        let wait = match end {
            // The agent may be back already. One that ends each stream as soon as it stands must not
            // be asked a thousand times a second.
            StreamEnd::Disconnected if has_stood => Duration::ZERO,
            StreamEnd::Refused => REFUSED_RETRY,
            StreamEnd::Disconnected | StreamEnd::NotReady | StreamEnd::Unknown => self.backoff(),
        };
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Down {
            retry_at: now.plus(wait),
        };
    }

    /// Subscribes anew although the subscription stands: it may be one that only we believe in. Without
    /// a checkpoint there would be no way back.
    pub fn renew(&mut self, now: Moment) {
        if self.is_up() && self.policy.checkpoint {
            self.ended(self.generation, StreamEnd::Disconnected, now);
        }
    }

    /// A call was answered.
    pub fn answered(&mut self, serial: Serial, answer: Answer, now: Moment) {
        if self.call.as_ref().is_none_or(|call| call.serial != serial) {
            return;
        }
        self.call = None;
        self.outbox.answered(serial, answer);
        match answer {
            Answer::Accepted | Answer::Refused => {}
            Answer::TryAgain => self.call_not_before = now.plus(CALL_RETRY),
            Answer::NotSubscribed => self.ended(self.generation, StreamEnd::Disconnected, now),
        }
    }

    /// Whether nobody waits for the task any more. Once true it stays true.
    pub fn is_lost(&mut self, now: Moment) -> bool {
        self.lost |= self.patience_ends_at().is_some_and(|end| end <= now);
        self.lost
    }

    /// Whatever is due: a try to subscribe, the next call, the end of waiting for an answer.
    pub fn act(&mut self, now: Moment, mut perform: impl FnMut(Action)) {
        if let Some(call) = self.call.take_if(|call| call.give_up_at <= now) {
            self.outbox.answered(call.serial, Answer::TryAgain);
            perform(Action::AbandonCall);
        }
        match self.link {
            Link::Subscribing { give_up_at } if give_up_at <= now => {
                self.ended(self.generation, StreamEnd::Disconnected, now);
            }
            Link::Down { .. } | Link::Subscribing { .. } | Link::Up => {}
        }
        match self.link {
            Link::Down { retry_at } if retry_at <= now => {
                self.generation.0 += 1;
                self.link = Link::Subscribing {
                    give_up_at: now.plus(ANSWER_TIMEOUT),
                };
                // Its answer would say nothing about the new subscription.
                if self.call.take().is_some() {
                    perform(Action::AbandonCall);
                }
                perform(Action::Subscribe {
                    generation: self.generation,
                    updates: self.outbox.subscribing(),
                });
            }
            Link::Up if self.call.is_none() && self.call_not_before <= now => {
                let with_messages = self.messages_not_before <= now;
                if let Some((serial, item)) = self.outbox.next(with_messages) {
                    let item = Box::new(item.clone());
                    self.outbox.sending(serial);
                    self.call = Some(CallInFlight {
                        serial,
                        give_up_at: now.plus(ANSWER_TIMEOUT),
                    });
                    perform(Action::Call { serial, item });
                }
            }
            Link::Down { .. } | Link::Subscribing { .. } | Link::Up => {}
        }
    }

    /// When [`Self::act`] or [`Self::is_lost`] has something to do next without an event.
    pub fn next_deadline(&self) -> Option<Moment> {
        let link = match self.link {
            Link::Down { retry_at } => Some(retry_at),
            Link::Subscribing { give_up_at } => Some(give_up_at),
            Link::Up if self.call.is_none() => self.next_call_at(),
            Link::Up => None,
        };
        let call = self.call.as_ref().map(|call| call.give_up_at);
        let patience = self.patience_ends_at().filter(|_| !self.lost);
        [link, call, patience].into_iter().flatten().min()
    }

    /// When the next item may be told.
    fn next_call_at(&self) -> Option<Moment> {
        let messages_at = self.messages_not_before.max(self.call_not_before);
        match (self.outbox.next(false), self.outbox.next(true)) {
            (Some(_), _) => Some(self.call_not_before),
            (None, Some(_)) => Some(messages_at),
            (None, None) => None,
        }
    }

    /// When the agent counts as lost, if it stays away.
    fn patience_ends_at(&self) -> Option<Moment> {
        if self.is_up() {
            return None;
        }
        let limit = match (self.policy.checkpoint, self.was_subscribed) {
            (true, _) => self.policy.recovery_timeout.get(),
            (false, false) => REGISTRATION_PATIENCE,
            // A restarted agent does not know us and destroys the container.
            (false, true) => Duration::ZERO,
        };
        let unknown = self.unknown_since.map(|since| since.plus(UNKNOWN_PATIENCE));
        Some(self.since.plus(limit))
            .into_iter()
            .chain(unknown)
            .min()
    }

    /// Grows with each failure; up to a quarter of it is left to chance.
    fn backoff(&self) -> Duration {
        /// Any odd factor that spreads small numbers over 32 bits (Knuth's multiplicative hash).
        const SCATTER: u32 = 2_654_435_761;
        let limit = MAX_RETRY.min(self.policy.backoff_max.get() / 4);
        let wait = (RETRY_STEP * self.failures.saturating_add(1).min(100)).min(limit);
        let mixed = self
            .policy
            .spread
            .wrapping_add(self.generation.0)
            .wrapping_mul(SCATTER);
        wait - wait / 1024 * (mixed >> 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outbox::Message;
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

    fn actions(session: &mut Session, now: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        session.act(at(now), |action| actions.push(action));
        actions
    }

    fn subscribe(session: &mut Session, now: u64) -> Generation {
        match actions(session, now).pop() {
            Some(Action::Subscribe { generation, .. }) => generation,
            other => panic!("expected a subscription, found {other:?}"),
        }
    }

    #[test]
    fn it_subscribes_at_once_and_only_once() {
        let mut session = session(true);
        let generation = subscribe(&mut session, 0);
        assert_eq!(actions(&mut session, 0), []);
        assert!(session.subscribed(generation, at(1)));
        assert!(session.is_up());
        assert_eq!(session.next_deadline(), None);
    }

    #[test]
    fn a_broken_stream_is_subscribed_again_at_once_and_then_within_200_milliseconds() {
        let mut session = session(true);
        let generation = subscribe(&mut session, 0);
        session.subscribed(generation, at(1));
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

    #[test]
    fn the_end_of_an_older_stream_is_not_heard() {
        let mut session = session(true);
        let old = subscribe(&mut session, 0);
        session.subscribed(old, at(1));
        session.ended(old, StreamEnd::Disconnected, at(500));
        let new = subscribe(&mut session, 500);
        session.subscribed(new, at(501));
        session.ended(old, StreamEnd::Disconnected, at(502));
        assert!(session.is_up());
        assert!(!session.subscribed(old, at(503)));
    }

    #[test]
    fn a_silent_agent_is_given_up_and_tried_again() {
        let mut session = session(true);
        let first = subscribe(&mut session, 0);
        let deadline = session.next_deadline().expect("a limit");
        assert_eq!(deadline, Moment(ANSWER_TIMEOUT));
        session.act(deadline, |action| panic!("too early: {action:?}"));
        let retry = session.next_deadline().expect("a retry");
        let second = subscribe(&mut session, retry.0.as_millis() as u64 + 1);
        assert_ne!(first, second);
    }

    #[test]
    fn a_stream_that_breaks_as_soon_as_it_stands_is_not_asked_for_in_a_tight_loop() {
        let mut session = session(true);
        let mut now = 0;
        for _ in 0..100 {
            let generation = subscribe(&mut session, now);
            session.subscribed(generation, at(now));
            session.ended(generation, StreamEnd::Disconnected, at(now));
            let next = session.next_deadline().expect("another try");
            let wait = next.since(at(now)).as_millis() as u64;
            assert!((20..=200).contains(&wait), "{wait} ms");
            now += wait + 1;
        }
    }

    #[test]
    fn the_agent_is_lost_after_the_recovery_timeout_but_the_tries_go_on() {
        let mut session = session(true);
        let generation = subscribe(&mut session, 0);
        session.subscribed(generation, at(0));
        session.ended(generation, StreamEnd::Disconnected, at(1000));
        assert!(!session.is_lost(at(900_999)));
        assert!(session.is_lost(at(901_000)));
        subscribe(&mut session, 901_000);
        assert!(session.is_lost(at(901_001)));
    }

    #[test]
    fn without_a_checkpoint_the_end_of_the_stream_is_the_end() {
        let mut session = session(false);
        let generation = subscribe(&mut session, 0);
        assert!(!session.is_lost(at(59_000)));
        session.subscribed(generation, at(59_000));
        assert!(!session.is_lost(at(99_000)));
        session.ended(generation, StreamEnd::Disconnected, at(99_000));
        assert!(session.is_lost(at(99_000)));
    }

    #[test]
    fn messages_wait_until_a_restarted_agent_has_registered_again() {
        let mut session = session(true);
        let generation = subscribe(&mut session, 0);
        session.subscribed(generation, at(0));
        session.ended(generation, StreamEnd::Disconnected, at(1000));
        let generation = subscribe(&mut session, 1000);
        session.ended(generation, StreamEnd::NotReady, at(1000));
        let generation = subscribe(&mut session, 1500);
        session.subscribed(generation, at(1500));
        let message = Message::ExitCode(0);
        session
            .outbox
            .put(Item::Message(TaskId("t".into()), message));
        assert_eq!(actions(&mut session, 1500), []);
        assert_eq!(session.next_deadline(), Some(at(6500)));
        assert!(matches!(
            actions(&mut session, 6500)[..],
            [Action::Call { .. }]
        ));
    }

    #[test]
    fn an_agent_that_forgot_us_and_restarts_may_remember_us_again() {
        let mut session = session(true);
        let generation = subscribe(&mut session, 0);
        session.ended(generation, StreamEnd::Unknown, at(0));
        let generation = subscribe(&mut session, 9000);
        session.ended(generation, StreamEnd::NotReady, at(9000));
        assert!(!session.is_lost(at(12_000)));
        let generation = subscribe(&mut session, 12_000);
        session.ended(generation, StreamEnd::Unknown, at(12_000));
        assert!(!session.is_lost(at(21_999)));
        assert!(session.is_lost(at(22_000)));
    }

    #[test]
    fn an_agent_that_forgot_us_is_asked_for_ten_seconds() {
        let mut session = session(true);
        let generation = subscribe(&mut session, 0);
        session.ended(generation, StreamEnd::Unknown, at(0));
        assert!(!session.is_lost(at(9_999)));
        assert!(session.is_lost(at(10_000)));
    }
}

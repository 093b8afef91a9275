//! The session with the leading master: decides when and where to subscribe.
//!
//! ```text
//!           deadline                 200                   SUBSCRIBED
//!  Waiting ----------> Subscribing -------> Accepted -----------------------> Subscribed
//!     ^                    |   |  307: at once at the leader                      |
//!     |                    |   +-----------> Subscribing                          |
//!     |<-- any other reply, error, timeout --+                                    |
//!     |<-- stream ended, 5 heartbeats missed, a call not accepted ----------------+
//!
//!  ERROR "Framework has been removed" --> Removed --SubscribeAnew--> Waiting, then without an id
//!  ERROR "Framework failed over" -------> FailedOver, final
//! ```
//!
//! # Promises
//!
//! * There is one subscription at a time. Events of earlier attempts are ignored: the master reports "failed over" on
//!   the old stream when this program itself subscribes again.
//! * A call is sent under the subscription during which it was requested, or never.
//! * A call that is not accepted ends the subscription: it is unknown whether the master has carried it out, so it
//!   must not be repeated. The next subscription voids all offers and reconciles all tasks.
//! * After the removal of a framework, its successor waits until the agents have killed the tasks.
//! * A master that sends nothing for five heartbeat intervals is considered gone: a half-open connection never
//!   reports an error.
//!
//! Pure: time is an argument, effects are data.

mod backoff;
mod event;
mod failure;
mod subscribe;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{self as pb, CallType, FrameworkInfo};

use super::address::{Address, Masters};
use super::wire::call::of_kind;
use backoff::Backoff;
pub use event::{
    Attempt, CallError, Effect, Event, LinkAction, LogLine, MasterEvent, Request, StreamId,
    SubscribeReply,
};

/// A master that has sent nothing for this many heartbeat intervals is gone.
const MISSED_HEARTBEATS: u32 = 5;

/// The pause between the removal of a framework and the subscription of its successor. The agents kill the tasks of
/// the removed framework within their `executor_shutdown_grace_period` (5 s by default); a new instance of the same job
/// must not start before.
const REMOVAL_TIME: Duration = Duration::from_secs(10);

/// The session.
#[derive(Clone, Debug)]
pub struct Session {
    masters: Masters,
    /// With an id from the first subscription on.
    framework: FrameworkInfo,
    /// Whether the core wants no offers.
    is_suppressed: bool,
    state: State,
    last_attempt: Attempt,
    /// Redirects since the last pause.
    redirects: u32,
    backoff: Backoff,
    /// Recent warnings, and when they were logged.
    warnings: VecDeque<(String, Instant)>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Not connected; the next attempt is due at `until`.
    Waiting { until: Instant, next: Address },
    /// SUBSCRIBE is sent.
    Subscribing { link: Link, until: Instant },
    /// The master has replied 200; SUBSCRIBED is still to come.
    Accepted {
        link: Link,
        stream: StreamId,
        until: Instant,
    },
    /// Calls are possible.
    Subscribed(Subscription),
    /// The framework's id is dead, and the core has not yet requested a new framework.
    Removed,
    /// Another scheduler has the framework's id.
    FailedOver,
}

/// An attempt and its master.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    attempt: Attempt,
    master: Address,
}

/// A working subscription.
#[derive(Clone, Debug, PartialEq)]
struct Subscription {
    link: Link,
    stream: StreamId,
    since: Instant,
    /// The time of the last event.
    heard: Instant,
    /// The maximum time between two events.
    timeout: Duration,
}

// === impl State ===

impl State {
    fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Subscribing { link, .. }
            | Self::Accepted { link, .. }
            | Self::Subscribed(Subscription { link, .. }) => Some(link.attempt),
            Self::Waiting { .. } | Self::Removed | Self::FailedOver => None,
        }
    }
}

// === impl Session ===

impl Session {
    /// A session that begins with [`Event::Tick`]. `framework` has the id of an earlier run, if there is one.
    pub fn new(mut masters: Masters, framework: FrameworkInfo, seed: u64, now: Instant) -> Self {
        let next = masters.next_master();
        Self {
            masters,
            framework,
            is_suppressed: true,
            state: State::Waiting { until: now, next },
            last_attempt: Attempt::default(),
            redirects: 0,
            backoff: Backoff::new(seed),
            warnings: VecDeque::new(),
        }
    }

    /// When the next [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until, .. }
            | State::Subscribing { until, .. }
            | State::Accepted { until, .. } => Some(*until),
            State::Subscribed(subscription) => Some(subscription.deadline()),
            State::Removed | State::FailedOver => None,
        }
    }

    /// The framework's id, once there is one.
    pub fn framework(&self) -> Option<&Id> {
        self.framework.id.as_ref()
    }

    /// Handles an event.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        if event.attempt().is_some() && event.attempt() != self.state.attempt() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        // The placeholder is replaced in the next line.
        let state = std::mem::replace(&mut self.state, State::FailedOver);
        self.state = self.next_state(state, event, now, &mut effects);
        effects
    }

    fn next_state(
        &mut self,
        state: State,
        event: Event,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        if let Event::Requested(request) = &event {
            self.remember(request);
        }
        match (state, event) {
            (State::FailedOver, _) => State::FailedOver,

            (State::Removed, Event::Requested(Request::SubscribeAnew)) => State::Waiting {
                until: now + REMOVAL_TIME,
                next: self.masters.next_master(),
            },
            (State::Removed, _) => State::Removed,

            (State::Waiting { until, next }, Event::Tick) if until <= now => {
                self.subscribe(next, now, effects)
            }
            (state @ State::Waiting { .. }, _) => state,

            (State::Subscribing { link, .. }, Event::Replied(_, reply)) => {
                self.replied(link, reply, now, effects)
            }
            (state @ State::Accepted { .. }, Event::Replied(..)) => state,
            (
                State::Accepted {
                    link,
                    stream,
                    until,
                },
                Event::Received(_, event),
            ) => match event {
                MasterEvent::Subscribed {
                    framework,
                    heartbeat,
                    version,
                } => {
                    self.subscribed(&link.master, framework, version, effects);
                    State::Subscribed(Subscription::new(link, stream, heartbeat, now))
                }
                MasterEvent::Error(text) => self.error(&link.master, &text, now, effects),
                // Nothing else can come first from a master that keeps to the protocol.
                MasterEvent::Heartbeat | MasterEvent::Notice(_) | MasterEvent::Unreadable => {
                    State::Accepted {
                        link,
                        stream,
                        until,
                    }
                }
            },
            (
                State::Subscribing { link, until } | State::Accepted { link, until, .. },
                Event::Tick,
            ) if until <= now => self.timed_out(&link.master, now, effects),
            (
                State::Subscribing { link, .. } | State::Accepted { link, .. },
                Event::Ended(_, why),
            ) => {
                let text = format!("cannot subscribe with the master {}: {why}", link.master);
                self.failed(text, now, effects)
            }
            // Calls need a subscription: they are dropped.
            (
                state @ (State::Subscribing { .. } | State::Accepted { .. }),
                Event::Tick | Event::Received(..) | Event::CallFailed(..) | Event::Requested(_),
            ) => state,

            (State::Subscribed(subscription), event) => {
                self.next_subscribed(subscription, event, now, effects)
            }
        }
    }

    fn next_subscribed(
        &mut self,
        subscription: Subscription,
        event: Event,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        let master = &subscription.link.master;
        match event {
            Event::Received(_, event) => {
                match event {
                    MasterEvent::Error(text) => {
                        effects.push(Effect::Disconnected);
                        return self.error(master, &text, now, effects);
                    }
                    MasterEvent::Notice(notice) => effects.push(Effect::Notice(notice)),
                    MasterEvent::Unreadable => {
                        let text = format!(
                            "skipped an event of the master {master} that cannot be decoded"
                        );
                        self.warn(text, now, effects);
                    }
                    MasterEvent::Heartbeat | MasterEvent::Subscribed { .. } => {}
                }
                State::Subscribed(Subscription {
                    heard: now,
                    ..subscription
                })
            }
            Event::Ended(_, why) => {
                let text = format!("the subscription with the master {master} has ended: {why}");
                let next = master.clone();
                self.lost(text, &subscription, next, now, effects)
            }
            Event::CallFailed(_, error) => {
                let text = format!("the master {master} {error}; subscribing again");
                let next = match error {
                    CallError::NotLeading(Some(leader)) => leader,
                    CallError::NotLeading(None) => self.masters.next_master(),
                    CallError::NoResponse(_) | CallError::Refused(..) | CallError::QueueFull => {
                        master.clone()
                    }
                };
                self.lost(text, &subscription, next, now, effects)
            }
            Event::Tick if subscription.deadline() <= now => {
                let seconds = subscription.timeout.as_secs();
                let text = format!("the master {master} has sent nothing for {seconds} s");
                // Another master may lead by now.
                let next = self.masters.next_master();
                self.lost(text, &subscription, next, now, effects)
            }
            Event::Requested(Request::SubscribeAnew) => {
                let next = master.clone();
                let text = "subscribing as a new framework".to_owned();
                self.lost(text, &subscription, next, now, effects)
            }
            Event::Requested(Request::Revive) => {
                self.call(Box::new(of_kind(CallType::Revive)), &subscription, effects);
                State::Subscribed(subscription)
            }
            Event::Requested(Request::Suppress) => {
                self.call(
                    Box::new(of_kind(CallType::Suppress)),
                    &subscription,
                    effects,
                );
                State::Subscribed(subscription)
            }
            Event::Requested(Request::Call(call)) => {
                self.call(call, &subscription, effects);
                State::Subscribed(subscription)
            }
            Event::Tick | Event::Replied(..) => State::Subscribed(subscription),
        }
    }

    /// Requests that outlive a subscription: the next SUBSCRIBE depends on them.
    fn remember(&mut self, request: &Request) {
        match request {
            Request::Revive => self.is_suppressed = false,
            Request::Suppress => self.is_suppressed = true,
            Request::SubscribeAnew => self.framework.id = None,
            Request::Call(_) => {}
        }
    }

    fn call(&self, mut call: Box<pb::Call>, on: &Subscription, effects: &mut Vec<Effect>) {
        call.framework_id.clone_from(&self.framework.id);
        effects.push(Effect::Link(LinkAction::Call {
            attempt: on.link.attempt,
            master: on.link.master.clone(),
            stream: on.stream.clone(),
            call,
        }));
    }
}

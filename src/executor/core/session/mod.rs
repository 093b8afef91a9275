//! The subscription to the agent, and the calls to it.
//!
//! ```text
//!            +------- subscribe -------+
//!            v                         |
//!       Subscribing ---- ended ---> Down (until the next try)
//!            |                         ^
//!            +--- subscribed --> Up ---+ ended, or the agent answers that we are not subscribed
//! ```
//!
//! The session never stops trying to subscribe. It reports once that the agent is lost, but may still
//! deliver the outbox after that.

use std::time::Duration;

use crate::core::effect::Effect;
use crate::core::event::Identity;
use crate::core::outbox::{CallAnswer, Outbox, Serial};
use crate::words::units::{Moment, Span};

/// Number of a subscription. Events of an older subscription are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// How to keep the subscription, from variables that the agent sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// `MESOS_CHECKPOINT`: whether a restarted agent knows this executor and its task.
    pub checkpoint: bool,
    /// `MESOS_RECOVERY_TIMEOUT`: how long a task may run without an agent.
    pub recovery_timeout: Span,
    /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`: a recovering agent waits this long for us, so the wait between two
    /// attempts must not be longer.
    pub backoff_max: Span,
    /// A random number, so that the executors of one host do not all connect at the same moment.
    pub spread: u32,
}

/// Why a subscription failed or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// The connection failed or was closed.
    Disconnected,
    /// The agent is starting or recovering (404, 500, 503).
    NotReady,
    /// The agent does not know this executor or its framework (400).
    Unknown,
    /// The agent does not accept this executor's credentials (401, 403), or refuses the request with
    /// another status.
    Refused,
}

/// The states of the picture above.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Link {
    Down {
        outage: Outage,
        retry_at: Moment,
        /// A call that was made before the stream ended; its response may still arrive.
        call: Option<CallInFlight>,
    },
    Subscribing {
        outage: Outage,
        give_up_at: Moment,
    },
    Up {
        since: Moment,
        call: CallState,
    },
}

/// A time without a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Outage {
    since: Moment,
    /// How many attempts have failed. The end of a stream counts as one.
    failures: u32,
    /// Since when the agent has been responding that it does not know us.
    unknown_since: Option<Moment>,
}

/// The state of calls: there is at most one in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CallState {
    /// The next call may be made at this time.
    Ready {
        not_before: Moment,
    },
    InFlight(CallInFlight),
}

/// A call without a response yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CallInFlight {
    serial: Serial,
    give_up_at: Moment,
}

/// What is known after the first subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Registration {
    /// Whether the framework has the capability for `TASK_KILLING`.
    killing_state: bool,
    /// A restarted agent drops messages until then.
    messages_not_before: Moment,
}

/// The subscription, and the outbox that is sent with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// What the agent must receive.
    pub outbox: Outbox,
    policy: Policy,
    link: Link,
    /// The number of the newest subscription.
    generation: Generation,
    registration: Option<Registration>,
    /// The agent was away for too long. This stays true even if it comes back.
    is_lost: bool,
}

/// How long to wait for an agent that accepts a connection and then does not respond. Nothing but the
/// report waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// When to try a call again after a 503, with which a recovering agent responds for 2 seconds or more.
const CALL_RETRY: Duration = Duration::from_millis(200);

/// A restarted agent responds to a message with 202 and drops it until it has registered with its master
/// (`Slave::executorMessage`). It begins to register when its recovery has ended, at the latest after
/// [`Policy::backoff_max`]. On a loaded machine it needed up to 1.5 s more.
const REGISTRATION_TIME: Duration = Duration::from_secs(3);

/// Maximum wait between two attempts to subscribe. A recovering agent waits 2 seconds by default, and the
/// executor should be subscribed within 250 ms after the agent responds again.
const MAX_RETRY: Duration = Duration::from_millis(200);

/// Each further failure adds this much to the wait, up to [`MAX_RETRY`] or [`MAX_LATE_RETRY`].
const RETRY_STEP: Duration = Duration::from_millis(40);

/// An agent that is away for longer does not come back soon, because a restart takes seconds.
const SHORT_OUTAGE: Duration = Duration::from_secs(60);

/// Maximum wait after a [`SHORT_OUTAGE`], until the agent responds in any way. A task may wait for its agent for
/// days. This is half of the 2 seconds for which a recovering agent waits for the executor.
const MAX_LATE_RETRY: Duration = Duration::from_secs(1);

/// The wait after an agent has refused our credentials. Only an operator can change that.
const REFUSED_RETRY: Duration = Duration::from_secs(1);

/// An agent that does not know us after its recovery will not know us later: give up after this time.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Without a checkpoint: how long to try the first subscription. After this time the agent has destroyed
/// the container, by default (`--executor_registration_timeout`).
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(60);

// === impl CallState ===

impl CallState {
    fn in_flight(&self) -> Option<CallInFlight> {
        match self {
            Self::Ready { .. } => None,
            Self::InFlight(call) => Some(*call),
        }
    }
}

// === impl Session ===

impl Session {
    /// Not subscribed; the first attempt is due immediately.
    pub fn new(policy: Policy) -> Self {
        Self {
            outbox: Outbox::default(),
            policy,
            link: Link::Down {
                outage: Outage {
                    since: Moment::default(),
                    failures: 0,
                    unknown_since: None,
                },
                retry_at: Moment::default(),
                call: None,
            },
            generation: Generation(0),
            registration: None,
            is_lost: false,
        }
    }

    /// When to stop waiting for messages to be sent.
    pub fn messages_end_at(&self, now: Moment) -> Moment {
        now.max(self.messages_not_before()).plus(ANSWER_TIMEOUT)
    }

    /// Whether the framework has the capability for `TASK_KILLING`, as far as the agent has told.
    pub fn knows_killing_state(&self) -> bool {
        self.registration
            .is_some_and(|registration| registration.killing_state)
    }

    /// How long there has been no subscription; zero if subscribed.
    pub fn down_for(&self, now: Moment) -> Duration {
        match self.link {
            Link::Up { .. } => Duration::ZERO,
            Link::Down { outage, .. } | Link::Subscribing { outage, .. } => now.since(outage.since),
        }
    }

    /// The start of the subscription, if there is one.
    pub fn up_since(&self) -> Option<Moment> {
        match self.link {
            Link::Up { since, .. } => Some(since),
            Link::Down { .. } | Link::Subscribing { .. } => None,
        }
    }

    /// The agent has accepted a subscription. True if it is the current one.
    pub fn subscribed(&mut self, generation: Generation, killing_state: bool, now: Moment) -> bool {
        if generation != self.generation {
            return false;
        }
        let (failures, call) = match self.link {
            Link::Down { outage, call, .. } => (outage.failures, call),
            Link::Subscribing { outage, .. } => (outage.failures, None),
            Link::Up { call, .. } => (0, call.in_flight()),
        };
        // If an attempt to reconnect has failed too, the agent was away, and not only its connection.
        let was_restarted = self.registration.is_some() && failures > 1;
        let messages_not_before = match was_restarted {
            true => now.plus(self.policy.backoff_max).plus(REGISTRATION_TIME),
            false => self.messages_not_before(),
        };
        self.registration = Some(Registration {
            killing_state,
            messages_not_before,
        });
        let ready = CallState::Ready { not_before: now };
        self.link = Link::Up {
            since: now,
            call: call.map_or(ready, CallState::InFlight),
        };
        self.outbox.subscribed();
        true
    }

    /// A subscription failed or ended.
    pub fn ended(&mut self, generation: Generation, end: StreamEnd, now: Moment) {
        if generation != self.generation {
            return;
        }
        let (before, call, has_stood) = match self.link {
            Link::Down { .. } => return,
            Link::Subscribing { outage, .. } => (outage, None, false),
            Link::Up { since, call } => {
                let outage = Outage {
                    since: now,
                    failures: 0,
                    unknown_since: None,
                };
                (outage, call.in_flight(), now.since(since) >= MAX_RETRY)
            }
        };
        let wait = match end {
            // Try again immediately, because the agent may be back already. But if it closes every stream
            // at once, it must not be asked a thousand times a second.
            StreamEnd::Disconnected if has_stood => Duration::ZERO,
            StreamEnd::Refused => REFUSED_RETRY,
            StreamEnd::Disconnected if now.since(before.since) >= SHORT_OUTAGE => {
                let limit = MAX_LATE_RETRY.min(self.policy.backoff_max.get() / 2);
                self.backoff(before.failures, limit)
            }
            StreamEnd::Disconnected | StreamEnd::NotReady | StreamEnd::Unknown => {
                let limit = MAX_RETRY.min(self.policy.backoff_max.get() / 4);
                self.backoff(before.failures, limit)
            }
        };
        let outage = Outage {
            since: before.since,
            failures: before.failures.saturating_add(1),
            unknown_since: match end {
                StreamEnd::Unknown => before.unknown_since.or(Some(now)),
                // An agent that is starting may still know us.
                StreamEnd::NotReady | StreamEnd::Disconnected | StreamEnd::Refused => None,
            },
        };
        self.link = Link::Down {
            outage,
            retry_at: now.plus(wait),
            call,
        };
    }

    /// Subscribes again although the stream is open: the agent may have closed it without our noticing. Not
    /// done without a checkpoint, because then the agent does not accept a second subscription.
    pub fn renew(&mut self, now: Moment) {
        if self.up_since().is_some() && self.policy.checkpoint {
            self.ended(self.generation, StreamEnd::Disconnected, now);
        }
    }

    /// A call was answered, or failed.
    pub fn answered(&mut self, serial: Serial, answer: CallAnswer, now: Moment) {
        if self
            .call_in_flight()
            .is_none_or(|call| call.serial != serial)
        {
            return;
        }
        let not_before = match answer {
            CallAnswer::TryAgain => now.plus(CALL_RETRY),
            CallAnswer::Accepted | CallAnswer::Refused | CallAnswer::NotSubscribed => now,
        };
        self.call_is_over(not_before);
        self.outbox.answered(serial, answer);
        if answer == CallAnswer::NotSubscribed {
            self.ended(self.generation, StreamEnd::Disconnected, now);
        }
    }

    /// Whether the agent has been away for so long that nobody waits for the task any more.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// True once, when [`Self::is_lost`] becomes true.
    pub fn becomes_lost(&mut self, now: Moment) -> bool {
        let becomes = !self.is_lost && self.patience_ends_at().is_some_and(|end| end <= now);
        self.is_lost |= becomes;
        becomes
    }

    /// Does what is due: an attempt to subscribe, the next call, or giving up a call. `task` goes into a
    /// new subscription.
    pub fn act(&mut self, task: Option<&Identity>, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(call) = self.call_in_flight().filter(|call| call.give_up_at <= now) {
            self.call_is_over(now);
            self.outbox.answered(call.serial, CallAnswer::TryAgain);
            effects.push(Effect::AbandonCall);
        }
        match self.link {
            Link::Subscribing { give_up_at, .. } if give_up_at <= now => {
                self.ended(self.generation, StreamEnd::Disconnected, now);
            }
            Link::Down { .. } | Link::Subscribing { .. } | Link::Up { .. } => {}
        }
        match self.link {
            Link::Down {
                outage,
                retry_at,
                call,
            } if retry_at <= now => {
                self.generation.0 = self.generation.0.wrapping_add(1);
                self.link = Link::Subscribing {
                    outage,
                    give_up_at: now.plus(ANSWER_TIMEOUT),
                };
                // Its response would say nothing about the new subscription.
                if call.is_some() {
                    effects.push(Effect::AbandonCall);
                }
                effects.push(Effect::Subscribe {
                    generation: self.generation,
                    task: task.cloned(),
                    updates: self.outbox.subscribing(),
                });
            }
            Link::Up {
                since,
                call: CallState::Ready { not_before },
            } if not_before <= now => {
                let with_messages = self.messages_not_before() <= now;
                if let Some((serial, item)) = self.outbox.next(with_messages) {
                    effects.push(Effect::Call(serial, Box::new(item.clone())));
                    self.outbox.sending(serial);
                    let call = CallState::InFlight(CallInFlight {
                        serial,
                        give_up_at: now.plus(ANSWER_TIMEOUT),
                    });
                    self.link = Link::Up { since, call };
                }
            }
            Link::Down { .. } | Link::Subscribing { .. } | Link::Up { .. } => {}
        }
    }

    /// When [`Self::act`] or [`Self::becomes_lost`] is due without an event.
    pub fn next_deadline(&self) -> Option<Moment> {
        let link = match self.link {
            Link::Down { retry_at, .. } => Some(retry_at),
            Link::Subscribing { give_up_at, .. } => Some(give_up_at),
            Link::Up {
                call: CallState::Ready { not_before },
                ..
            } => self.next_call_at(not_before),
            Link::Up {
                call: CallState::InFlight(_),
                ..
            } => None,
        };
        let call = self.call_in_flight().map(|call| call.give_up_at);
        let patience = self.patience_ends_at().filter(|_| !self.is_lost);
        [link, call, patience].into_iter().flatten().min()
    }

    /// When the next item may be sent, if calls are possible from `not_before`.
    fn next_call_at(&self, not_before: Moment) -> Option<Moment> {
        match (self.outbox.next(false), self.outbox.next(true)) {
            (Some(_), _) => Some(not_before),
            (None, Some(_)) => Some(self.messages_not_before().max(not_before)),
            (None, None) => None,
        }
    }

    fn messages_not_before(&self) -> Moment {
        self.registration.map_or(Moment::default(), |registration| {
            registration.messages_not_before
        })
    }

    fn call_in_flight(&self) -> Option<CallInFlight> {
        match self.link {
            Link::Down { call, .. } => call,
            Link::Subscribing { .. } => None,
            Link::Up { call, .. } => call.in_flight(),
        }
    }

    /// The call is finished or given up. The next one may be made at `not_before`.
    fn call_is_over(&mut self, not_before: Moment) {
        match &mut self.link {
            Link::Down { call, .. } => *call = None,
            Link::Subscribing { .. } => {}
            Link::Up { call, .. } => *call = CallState::Ready { not_before },
        }
    }

    /// When the agent counts as lost, if it stays away.
    fn patience_ends_at(&self) -> Option<Moment> {
        let outage = match self.link {
            Link::Up { .. } => return None,
            Link::Down { outage, .. } | Link::Subscribing { outage, .. } => outage,
        };
        let limit = match (self.policy.checkpoint, self.registration) {
            (true, _) => self.policy.recovery_timeout.get(),
            (false, None) => REGISTRATION_PATIENCE,
            // A restarted agent does not know us, and destroys the container.
            (false, Some(_)) => Duration::ZERO,
        };
        let absent = outage.since.plus(limit);
        let unknown = outage
            .unknown_since
            .map(|since| since.plus(UNKNOWN_PATIENCE));
        Some(unknown.map_or(absent, |unknown| unknown.min(absent)))
    }

    /// The wait grows with each failure, up to `limit`. Up to a quarter of it is random.
    fn backoff(&self, failures: u32, limit: Duration) -> Duration {
        /// An odd factor that distributes small numbers over 32 bits (Knuth's multiplicative hash).
        const SCATTER: u32 = 2_654_435_761;
        let wait = (RETRY_STEP * failures.saturating_add(1).min(100)).min(limit);
        let mixed = self
            .policy
            .spread
            .wrapping_add(self.generation.0)
            .wrapping_mul(SCATTER);
        wait - wait / 1024 * (mixed >> 24)
    }
}

#[cfg(test)]
mod tests;

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
//! The session never stops retrying. It reports once that the agent is lost; what is in the outbox may still
//! be delivered after that.

use std::time::Duration;

use crate::core::effect::Effect;
use crate::core::event::Identity;
use crate::core::outbox::{CallAnswer, Outbox, Serial};
use crate::words::units::{Moment, Span};

/// Numbers the subscriptions: events of an older one are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// How to keep the subscription, as the agent says in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// `MESOS_CHECKPOINT`: a restarted agent will know this executor and its task.
    pub checkpoint: bool,
    /// `MESOS_RECOVERY_TIMEOUT`: how long a task may run without an agent.
    pub recovery_timeout: Span,
    /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`: a recovering agent waits only this long for us, so no two
    /// tries may be further apart.
    pub backoff_max: Span,
    /// A random number, so that the executors of one host do not all connect at the same moment.
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

/// See the module's picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Link {
    Down {
        outage: Outage,
        retry_at: Moment,
        /// It outlives the stream: its answer may still come.
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

/// The time without a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Outage {
    since: Moment,
    /// How many tries have failed; the end of a stream counts as one.
    failures: u32,
    /// Since when the agent has been answering that it does not know us.
    unknown_since: Option<Moment>,
}

/// One call is made at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CallState {
    /// The next one may be made.
    Ready {
        not_before: Moment,
    },
    InFlight(CallInFlight),
}

/// A call that was not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CallInFlight {
    serial: Serial,
    give_up_at: Moment,
}

/// What is known since the agent accepted a subscription for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Registration {
    /// The framework knows `TASK_KILLING`.
    killing_state: bool,
    /// A restarted agent drops messages until then.
    messages_not_before: Moment,
}

/// The subscription and the outbox that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// What the agent has to receive.
    pub outbox: Outbox,
    policy: Policy,
    link: Link,
    /// The newest subscription's number.
    generation: Generation,
    registration: Option<Registration>,
    /// The agent was away for too long; this is not taken back when it comes again.
    is_lost: bool,
}

/// An agent that accepts a connection and then does not answer is given up after this long. Only the
/// report waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A call is tried again this long after a 503, which a recovering agent answers for 2 seconds or more.
const CALL_RETRY: Duration = Duration::from_millis(200);

/// A restarted agent answers 202 to a message and drops it until it has registered with its master
/// again (`Slave::executorMessage`). It starts to register when its recovery is over, at the latest after
/// [`Policy::backoff_max`]; on a loaded machine it has been seen to need 1.5 s more.
const REGISTRATION_TIME: Duration = Duration::from_secs(3);

/// The longest wait between two tries to subscribe: a recovering agent's window is 2 seconds by
/// default, and a new subscription must stand within 250 ms of its answering again.
const MAX_RETRY: Duration = Duration::from_millis(200);

/// Each further failure adds this much to the wait, up to [`MAX_RETRY`].
const RETRY_STEP: Duration = Duration::from_millis(40);

/// An agent that refuses our credentials is asked rarely: only an operator can change that.
const REFUSED_RETRY: Duration = Duration::from_secs(1);

/// An agent that has recovered without us will not remember us later: a few tries, then the end.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Without a checkpoint, the time to subscribe for the first time: after the agent's own default
/// (`--executor_registration_timeout`) it has destroyed the container anyway.
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
    /// Not subscribed; the first try is due at once.
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

    /// By when the waiting messages should have been sent, unless something is wrong.
    pub fn messages_end_at(&self, now: Moment) -> Moment {
        now.max(self.messages_not_before()).plus(ANSWER_TIMEOUT)
    }

    /// Whether the framework knows `TASK_KILLING`, as far as the agent has said.
    pub fn knows_killing_state(&self) -> bool {
        self.registration
            .is_some_and(|registration| registration.killing_state)
    }

    /// How long there has been no subscription; zero if there is one.
    pub fn down_for(&self, now: Moment) -> Duration {
        match self.link {
            Link::Up { .. } => Duration::ZERO,
            Link::Down { outage, .. } | Link::Subscribing { outage, .. } => now.since(outage.since),
        }
    }

    /// Since when there is a subscription, if there is one.
    pub fn up_since(&self) -> Option<Moment> {
        match self.link {
            Link::Up { since, .. } => Some(since),
            Link::Down { .. } | Link::Subscribing { .. } => None,
        }
    }

    /// The agent accepted the subscription. True if it is the current one.
    pub fn subscribed(&mut self, generation: Generation, killing_state: bool, now: Moment) -> bool {
        if generation != self.generation {
            return false;
        }
        let (failures, call) = match self.link {
            Link::Down { outage, call, .. } => (outage.failures, call),
            Link::Subscribing { outage, .. } => (outage.failures, None),
            Link::Up { call, .. } => (0, call.in_flight()),
        };
        // The agent itself was away, and not only its connection, if a try to reconnect has failed too.
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

    /// The subscription could not be opened, or ended.
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
            // The agent may be back already. One that ends each stream as soon as it stands must not
            // be asked a thousand times a second.
            StreamEnd::Disconnected if has_stood => Duration::ZERO,
            StreamEnd::Refused => REFUSED_RETRY,
            StreamEnd::Disconnected | StreamEnd::NotReady | StreamEnd::Unknown => {
                self.backoff(before.failures)
            }
        };
        let outage = Outage {
            since: before.since,
            failures: before.failures.saturating_add(1),
            unknown_since: match end {
                StreamEnd::Unknown => before.unknown_since.or(Some(now)),
                // An agent that is starting may still remember us.
                StreamEnd::NotReady | StreamEnd::Disconnected | StreamEnd::Refused => None,
            },
        };
        self.link = Link::Down {
            outage,
            retry_at: now.plus(wait),
            call,
        };
    }

    /// Subscribes anew although the subscription seems to stand: the agent may have closed it without our
    /// noticing. Not without a checkpoint, where there would be no way back.
    pub fn renew(&mut self, now: Moment) {
        if self.up_since().is_some() && self.policy.checkpoint {
            self.ended(self.generation, StreamEnd::Disconnected, now);
        }
    }

    /// A call was answered.
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

    /// Whether the agent was away for longer than anybody waits for the task.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// True once: when [`Self::is_lost`] has become true.
    pub fn becomes_lost(&mut self, now: Moment) -> bool {
        let becomes = !self.is_lost && self.patience_ends_at().is_some_and(|end| end <= now);
        self.is_lost |= becomes;
        becomes
    }

    /// Whatever is due: a try to subscribe, the next call, the end of waiting for an answer. `task` is named
    /// in a new subscription.
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
                // Its answer would say nothing about the new subscription.
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

    /// When [`Self::act`] or [`Self::becomes_lost`] has something to do next without an event.
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

    /// When the next item may be sent, if no call may be made before `not_before`.
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

    /// The call is not waited for any more; the next one may be made at this moment.
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
            // A restarted agent does not know us and destroys the container.
            (false, Some(_)) => Duration::ZERO,
        };
        let absent = outage.since.plus(limit);
        let unknown = outage
            .unknown_since
            .map(|since| since.plus(UNKNOWN_PATIENCE));
        Some(unknown.map_or(absent, |unknown| unknown.min(absent)))
    }

    /// The wait grows with each failure; up to a quarter of it is random.
    fn backoff(&self, failures: u32) -> Duration {
        /// Any odd factor that spreads small numbers over 32 bits (Knuth's multiplicative hash).
        const SCATTER: u32 = 2_654_435_761;
        let limit = MAX_RETRY.min(self.policy.backoff_max.get() / 4);
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

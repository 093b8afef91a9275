//! The subscription to the leading master: the one thing that decides when to connect, and where.
//!
//! ```text
//!            at the time set                200                      SUBSCRIBED
//!  Waiting ------------------> Subscribing -----> Accepted --------------------------> Subscribed
//!     ^                            |  307 to the leader, at once                           |
//!     |<---------------------------+-- anything else --+                                   |
//!     |<-- the stream ends, five heartbeats are missing, a call is not accepted -----------+
//!
//!  "Framework has been removed" --> Removed --> the core has written its tasks off --> a new framework
//!  "Framework failed over" -------> Taken, for ever
//! ```
//!
//! # What it promises
//!
//! * One subscription at a time. What comes of an older one is ignored: its own end, above all, which may say
//!   "failed over" when it was this very program that has subscribed again.
//! * A call is made under the subscription that it was asked under, or never.
//! * A call that is not accepted ends the subscription, since nobody knows what became of it: it may have been
//!   made, so that it must not be made again. The next subscription voids all offers and asks for all tasks.
//! * A master that says nothing for five heartbeats is gone: a connection can stay open that leads nowhere.
//!
//! Pure: time is an argument, effects are data.

mod backoff;
mod event;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{self as pb, CallType, FrameworkInfo, Subscribe};

use super::address::{Address, Masters};
use crate::core::face::FrameworkId;
use backoff::Backoff;
pub use event::{Answer, Ask, Attempt, CallFault, Effect, Event, Note, Saying, StreamId};

/// How long an attempt may take, from the connection to SUBSCRIBED. A master that is busy with a failover takes
/// half a minute.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(45);

/// A master that has said nothing for so many heartbeats is gone.
const MISSING_HEARTBEATS: u32 = 5;

/// The interval of a master that names none, or none that makes sense: Mesos' default.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Intervals outside of these make no sense.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(600);

/// A subscription that has lasted so long was a good one: after its end, waits begin with the short ones.
const GOOD: Duration = Duration::from_secs(30);

/// Masters that send us from one to the other do not know who leads.
const MOST_REDIRECTS: u32 = 4;

/// The same trouble is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(300);

/// `Event.Error` of a framework that was away for longer than its failover timeout, or was torn down.
const REMOVED: &str = "Framework has been removed";

/// `Event.Error` of a framework whose id another one has subscribed with.
const FAILED_OVER: &str = "Framework failed over";

/// The subscription.
#[derive(Clone, Debug)]
pub struct Session {
    masters: Masters,
    /// As we subscribe; with an id from the first subscription on.
    framework: FrameworkInfo,
    /// Nothing waits, as far as the core has said.
    is_suppressed: bool,
    state: State,
    newest: Attempt,
    redirects: u32,
    backoff: Backoff,
    /// What was told last, and when.
    trouble: Option<(String, Instant)>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Nobody is connected; the next attempt is at this moment.
    Waiting { until: Instant, next: Address },
    /// SUBSCRIBE is on its way.
    Subscribing { link: Link, until: Instant },
    /// The response has begun; SUBSCRIBED is to come.
    Accepted {
        link: Link,
        stream: StreamId,
        until: Instant,
    },
    /// Calls can be made.
    Subscribed {
        link: Link,
        stream: StreamId,
        since: Instant,
        /// When something was heard last.
        heard: Instant,
        /// How long nothing may be heard.
        patience: Duration,
    },
    /// The framework's id is dead. The core writes its tasks off, and then asks for another one.
    Removed,
    /// Another scheduler has the framework's id.
    Taken,
}

/// An attempt, and the master that it is made with.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    attempt: Attempt,
    master: Address,
}

// === impl State ===

impl State {
    fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Subscribing { link, .. }
            | Self::Accepted { link, .. }
            | Self::Subscribed { link, .. } => Some(link.attempt),
            Self::Waiting { .. } | Self::Removed | Self::Taken => None,
        }
    }
}

// === impl Session ===

impl Session {
    /// To be begun with [`Event::Tick`]. `framework` has the id of an earlier run, if there was one.
    pub fn new(mut masters: Masters, framework: FrameworkInfo, seed: u64, now: Instant) -> Self {
        let next = masters.take_turn();
        Self {
            masters,
            framework,
            is_suppressed: true,
            state: State::Waiting { until: now, next },
            newest: Attempt::default(),
            redirects: 0,
            backoff: Backoff::new(seed),
            trouble: None,
        }
    }

    /// When to step again at the latest, with [`Event::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until, .. }
            | State::Subscribing { until, .. }
            | State::Accepted { until, .. } => Some(*until),
            State::Subscribed {
                heard, patience, ..
            } => heard.checked_add(*patience),
            State::Removed | State::Taken => None,
        }
    }

    /// The framework's id, from the first subscription on.
    pub fn framework(&self) -> Option<&Id> {
        self.framework.id.as_ref()
    }

    /// Takes what happened, and says what to do about it, in order.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        if event.attempt().is_some() && event.attempt() != self.state.attempt() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        // Replaced below, whatever happens.
        let state = std::mem::replace(&mut self.state, State::Taken);
        self.state = self.next(state, event, now, &mut effects);
        effects
    }

    fn next(
        &mut self,
        state: State,
        event: Event,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        match (state, event) {
            (State::Taken, _) => State::Taken,

            (State::Removed, Event::Asked(Ask::SubscribeAnew)) => {
                self.framework.id = None;
                let next = self.masters.take_turn();
                self.subscribe(next, now, effects)
            }
            (State::Removed, event) => {
                self.remember(&event);
                State::Removed
            }

            (State::Waiting { until, next }, Event::Tick) if until <= now => {
                self.subscribe(next, now, effects)
            }
            (state @ State::Waiting { .. }, event) => {
                self.remember(&event);
                state
            }

            (State::Subscribing { link, .. }, Event::Answered(_, answer)) => {
                self.answered(link, answer, now, effects)
            }
            (
                State::Accepted {
                    link,
                    stream,
                    until,
                },
                Event::Said(_, saying),
            ) => match saying {
                Saying::Subscribed {
                    framework,
                    heartbeat,
                    version,
                } => {
                    self.subscribed(&link, framework, version, effects);
                    State::Subscribed {
                        link,
                        stream,
                        since: now,
                        heard: now,
                        patience: patience(heartbeat),
                    }
                }
                Saying::Error(text) => self.error(&link, &text, now, effects),
                Saying::Heartbeat | Saying::News(_) | Saying::Unreadable => State::Accepted {
                    link,
                    stream,
                    until,
                },
            },
            (
                State::Subscribing { link, until } | State::Accepted { link, until, .. },
                Event::Tick,
            ) if until <= now => {
                let seconds = SUBSCRIBE_TIME.as_secs();
                let text = format!(
                    "the master at {} has not subscribed us within {seconds} s",
                    link.master
                );
                self.failed(text, now, effects)
            }
            (
                State::Subscribing { link, .. } | State::Accepted { link, .. },
                Event::Ended(_, why),
            ) => {
                let text = format!("cannot subscribe at the master {}: {why}", link.master);
                self.failed(text, now, effects)
            }
            (state @ (State::Subscribing { .. } | State::Accepted { .. }), event) => {
                self.remember(&event);
                state
            }

            (
                State::Subscribed {
                    link,
                    stream,
                    since,
                    heard: _,
                    patience,
                },
                Event::Said(_, saying),
            ) => {
                match saying {
                    Saying::Error(text) => {
                        effects.push(Effect::Disconnected);
                        return self.error(&link, &text, now, effects);
                    }
                    Saying::News(news) => effects.push(Effect::News(news)),
                    Saying::Unreadable => {
                        let text = format!(
                            "an event of the master at {} cannot be read; it is skipped",
                            link.master
                        );
                        self.tell(text, now, effects);
                    }
                    Saying::Heartbeat | Saying::Subscribed { .. } => {}
                }
                State::Subscribed {
                    link,
                    stream,
                    since,
                    heard: now,
                    patience,
                }
            }
            (State::Subscribed { link, since, .. }, Event::Ended(_, why)) => {
                let text = format!(
                    "the subscription at the master {} has ended: {why}",
                    link.master
                );
                let next = link.master;
                self.lost(text, next, now - since, now, effects)
            }
            (State::Subscribed { link, since, .. }, Event::CallFailed(_, fault)) => {
                let text = format!("the master at {} {fault}; subscribing again", link.master);
                let next = match fault {
                    CallFault::NotLeading(Some(leader)) => leader,
                    CallFault::NotLeading(None) => self.masters.take_turn(),
                    CallFault::NoAnswer(_) | CallFault::Refused(..) | CallFault::TooMuchWaits => {
                        link.master
                    }
                };
                self.lost(text, next, now - since, now, effects)
            }
            (
                State::Subscribed {
                    link,
                    since,
                    heard,
                    patience,
                    ..
                },
                Event::Tick,
            ) if heard + patience <= now => {
                let seconds = patience.as_secs();
                let text = format!(
                    "the master at {} has not been heard for {seconds} s",
                    link.master
                );
                // If it is gone, another one leads.
                let next = self.masters.take_turn();
                self.lost(text, next, now - since, now, effects)
            }
            (State::Subscribed { since, .. }, Event::Asked(Ask::SubscribeAnew)) => {
                self.framework.id = None;
                let next = self.masters.take_turn();
                self.lost(
                    "subscribing as a new framework".to_owned(),
                    next,
                    now - since,
                    now,
                    effects,
                )
            }
            (
                State::Subscribed {
                    link,
                    stream,
                    since,
                    heard,
                    patience,
                },
                event,
            ) => {
                self.remember(&event);
                if let Event::Asked(ask) = event
                    && let Some(call) = self.call(ask)
                {
                    effects.push(Effect::Call {
                        attempt: link.attempt,
                        master: link.master.clone(),
                        stream: stream.clone(),
                        call,
                    });
                }
                State::Subscribed {
                    link,
                    stream,
                    since,
                    heard,
                    patience,
                }
            }
        }
    }

    // --- subscribing ---

    /// Begins an attempt.
    fn subscribe(&mut self, master: Address, now: Instant, effects: &mut Vec<Effect>) -> State {
        self.newest = Attempt(self.newest.0 + 1);
        let attempt = self.newest;
        effects.push(Effect::Subscribe {
            attempt,
            master: master.clone(),
            call: Box::new(pb::Call {
                // It must be the same in both places.
                framework_id: self.framework.id.clone(),
                kind: Some(CallType::Subscribe as i32),
                subscribe: Some(Subscribe {
                    framework_info: self.framework.clone(),
                    suppressed_roles: match self.is_suppressed {
                        true => self.framework.roles.clone(),
                        false => Vec::new(),
                    },
                }),
                ..pb::Call::default()
            }),
        });
        State::Subscribing {
            link: Link { attempt, master },
            until: now + SUBSCRIBE_TIME,
        }
    }

    fn answered(
        &mut self,
        link: Link,
        answer: Answer,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        let master = &link.master;
        match answer {
            Answer::Accepted(stream) => State::Accepted {
                link,
                stream,
                until: now + SUBSCRIBE_TIME,
            },
            Answer::NotLeading(Some(leader)) if self.redirects < MOST_REDIRECTS => {
                self.redirects += 1;
                effects.push(Effect::Close);
                self.subscribe(leader, now, effects)
            }
            Answer::NotLeading(Some(leader)) => {
                let text = format!("the masters do not agree who leads: {master} names {leader}");
                self.failed(text, now, effects)
            }
            Answer::NotLeading(None) => {
                let text =
                    format!("the master at {master} does not lead, and does not say who does");
                self.failed(text, now, effects)
            }
            Answer::NotReady => {
                let text = format!("the master at {master} knows no leader, or is not ready (503)");
                self.failed(text, now, effects)
            }
            Answer::Unauthorized(status) => {
                let who = match &self.framework.principal {
                    Some(principal) => format!("the principal {principal:?} with this :secret"),
                    None => "a framework without :principal and :secret".to_owned(),
                };
                let text = format!("the master at {master} does not accept {who} ({status})");
                self.refused(text, now, effects)
            }
            Answer::Refused(status, said) => {
                let text =
                    format!("the master at {master} refuses to subscribe us ({status}): {said}");
                self.failed(text, now, effects)
            }
        }
    }

    fn subscribed(
        &mut self,
        link: &Link,
        framework: FrameworkId,
        version: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let id = &framework.0;
        let version = version.map_or_else(String::new, |it| format!(", Mesos {it}"));
        let text = format!(
            "subscribed at the master {}{version}, as framework {id}",
            link.master
        );
        self.framework.id = Some(Id {
            value: id.to_string(),
        });
        self.redirects = 0;
        self.trouble = None;
        effects.push(Effect::Note(Note::Subscribed(text)));
        effects.push(Effect::Subscribed(framework));
    }

    // --- when it does not work ---

    /// ERROR: the master closes the stream after it.
    fn error(&mut self, link: &Link, said: &str, now: Instant, effects: &mut Vec<Effect>) -> State {
        if said.contains(FAILED_OVER) {
            effects.extend([Effect::Close, Effect::Taken]);
            State::Taken
        } else if said.contains(REMOVED) {
            effects.extend([Effect::Close, Effect::Removed]);
            State::Removed
        } else {
            let text = format!(
                "the master at {} refuses this framework: {said}",
                link.master
            );
            self.refused(text, now, effects)
        }
    }

    /// An attempt has failed: the next master has its turn.
    fn failed(&mut self, text: String, now: Instant, effects: &mut Vec<Effect>) -> State {
        let wait = self.backoff.failed();
        let next = self.masters.take_turn();
        self.wait(text, next, wait, now, effects)
    }

    /// It is not the master that has to change.
    fn refused(&mut self, text: String, now: Instant, effects: &mut Vec<Effect>) -> State {
        let wait = self.backoff.refused();
        let next = self.masters.take_turn();
        self.wait(text, next, wait, now, effects)
    }

    /// A subscription that worked for this long does not work any more.
    fn lost(
        &mut self,
        text: String,
        next: Address,
        lasted: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        if lasted >= GOOD {
            self.backoff.reset();
        }
        effects.push(Effect::Disconnected);
        let wait = self.backoff.failed();
        self.wait(text, next, wait, now, effects)
    }

    fn wait(
        &mut self,
        text: String,
        next: Address,
        wait: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        effects.push(Effect::Close);
        self.redirects = 0;
        self.tell(text, now, effects);
        State::Waiting {
            until: now + wait,
            next,
        }
    }

    /// Tells the operator, but not the same all the time.
    fn tell(&mut self, text: String, now: Instant, effects: &mut Vec<Effect>) {
        let is_known = self
            .trouble
            .as_ref()
            .is_some_and(|(known, at)| *known == text && now < *at + TELL_AGAIN);
        if !is_known {
            effects.push(Effect::Note(Note::Trouble(text.clone())));
            self.trouble = Some((text, now));
        }
    }

    // --- calls ---

    /// What the core wants is known also where no call can be made: the next SUBSCRIBE says it.
    fn remember(&mut self, event: &Event) {
        match event {
            Event::Asked(Ask::Revive) => self.is_suppressed = false,
            Event::Asked(Ask::Suppress) => self.is_suppressed = true,
            Event::Asked(Ask::SubscribeAnew) => self.framework.id = None,
            Event::Asked(Ask::Call(_))
            | Event::Tick
            | Event::Answered(..)
            | Event::Said(..)
            | Event::Ended(..)
            | Event::CallFailed(..) => {}
        }
    }

    fn call(&self, ask: Ask) -> Option<Box<pb::Call>> {
        let of_kind = |kind: CallType| {
            Box::new(pb::Call {
                kind: Some(kind as i32),
                ..pb::Call::default()
            })
        };
        let mut call = match ask {
            Ask::Revive => of_kind(CallType::Revive),
            Ask::Suppress => of_kind(CallType::Suppress),
            Ask::Call(call) => call,
            Ask::SubscribeAnew => return None,
        };
        call.framework_id.clone_from(&self.framework.id);
        Some(call)
    }
}

/// How long a master with this interval may say nothing.
fn patience(heartbeat: Option<Duration>) -> Duration {
    let interval = heartbeat.unwrap_or(HEARTBEAT);
    interval.clamp(SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT) * MISSING_HEARTBEATS
}

impl std::fmt::Display for CallFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(f, "has not answered a call ({why})"),
            Self::NotLeading(_) => f.write_str("does not lead any more"),
            Self::Refused(status, said) => write!(f, "has refused a call ({status}): {said}"),
            Self::TooMuchWaits => f.write_str("takes calls more slowly than they are made"),
        }
    }
}

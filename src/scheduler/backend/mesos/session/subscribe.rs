//! Subscribing: the call, the replies to it, and what a subscription needs.

use std::time::{Duration, Instant};

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{self as pb, CallType, Subscribe};

use super::{
    Address, Attempt, Effect, Link, LinkAction, LogLine, MISSED_HEARTBEATS, Session, State,
    StreamId, SubscribeReply, Subscription,
};
use crate::core::backend::FrameworkId;

/// The maximum time from the connection to the reply, and from the reply to SUBSCRIBED. A master that has just
/// become the leader may need half a minute.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(45);

/// The heartbeat interval if the master sends none: Mesos' default.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The range of heartbeat intervals that are accepted; others are cut to it.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(600);

/// The maximum number of redirects in a row: masters that redirect to each other have no leader.
const MAX_REDIRECTS: u32 = 4;

impl Session {
    /// Starts an attempt.
    pub(super) fn subscribe(
        &mut self,
        master: Address,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        self.last_attempt = Attempt(self.last_attempt.0 + 1);
        let attempt = self.last_attempt;
        effects.push(Effect::Link(LinkAction::Subscribe {
            attempt,
            master: master.clone(),
            call: Box::new(pb::Call {
                // The master wants the same id in both places.
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
        }));
        State::Subscribing {
            link: Link { attempt, master },
            until: now + SUBSCRIBE_TIME,
        }
    }

    pub(super) fn replied(
        &mut self,
        link: Link,
        reply: SubscribeReply,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        let master = &link.master;
        match reply {
            SubscribeReply::Accepted(stream) => State::Accepted {
                link,
                stream,
                until: now + SUBSCRIBE_TIME,
            },
            SubscribeReply::NotLeading(Some(leader)) if self.redirects < MAX_REDIRECTS => {
                self.redirects += 1;
                effects.push(Effect::Link(LinkAction::Close));
                self.subscribe(leader, now, effects)
            }
            SubscribeReply::NotLeading(Some(leader)) => {
                let text = format!(
                    "the masters redirect to each other: {master} names {leader} as the leader"
                );
                self.failed(text, now, effects)
            }
            SubscribeReply::NotLeading(None) => {
                let text = format!("the master {master} is not the leader and does not name one");
                self.failed(text, now, effects)
            }
            SubscribeReply::NotReady => {
                let text = format!("the master {master} is not ready, or there is no leader (503)");
                self.failed(text, now, effects)
            }
            SubscribeReply::Unauthorized(status, said) => {
                let credentials = match &self.framework.principal {
                    Some(principal) => {
                        format!("the principal {principal:?} with the configured :secret")
                    }
                    None => "a framework without :principal and :secret".to_owned(),
                };
                let text =
                    format!("the master {master} does not accept {credentials} ({status}): {said}");
                self.refused(text, now, effects)
            }
            SubscribeReply::Refused(status, said) => {
                let text = format!("the master {master} has refused SUBSCRIBE ({status}): {said}");
                self.failed(text, now, effects)
            }
        }
    }

    /// The attempt has taken too long.
    pub(super) fn timed_out(
        &mut self,
        master: &Address,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        let seconds = SUBSCRIBE_TIME.as_secs();
        let text = format!("the master {master} has not answered SUBSCRIBE within {seconds} s");
        self.failed(text, now, effects)
    }

    pub(super) fn subscribed(
        &mut self,
        master: &Address,
        framework: FrameworkId,
        version: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let id = &framework.0;
        let version = version.map_or_else(String::new, |version| format!(", Mesos {version}"));
        let text = format!("subscribed with the master {master}{version}, as framework {id}");
        self.framework.id = Some(Id {
            value: id.to_string(),
        });
        self.redirects = 0;
        self.warnings.clear();
        effects.push(Effect::Log(LogLine::Info(text)));
        effects.push(Effect::Subscribed(framework));
    }
}

// === impl Subscription ===

impl Subscription {
    pub(super) fn new(
        link: Link,
        stream: StreamId,
        heartbeat: Option<Duration>,
        now: Instant,
    ) -> Self {
        let interval = heartbeat.unwrap_or(HEARTBEAT);
        Self {
            link,
            stream,
            since: now,
            heard: now,
            timeout: interval.clamp(SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT) * MISSED_HEARTBEATS,
        }
    }

    /// When the master counts as gone unless it sends something.
    pub(super) fn deadline(&self) -> Instant {
        self.heard + self.timeout
    }
}

//! What happens when subscribing fails, or a subscription ends.

use std::time::{Duration, Instant};

use super::{Address, Effect, LinkAction, LogLine, Session, State, Subscription};

/// The ERROR event for a framework that was away for longer than its failover timeout, or was torn down.
const REMOVED: &str = "Framework has been removed";

/// The ERROR event for a framework whose id another scheduler has subscribed with.
const FAILED_OVER: &str = "Framework failed over";

/// After a subscription that lasted this long, pauses start with the shortest one again.
const STABLE: Duration = Duration::from_secs(30);

/// The same warning is logged again after this time.
const WARN_AGAIN: Duration = Duration::from_secs(300);

/// The number of warnings that are remembered: some for each of several masters.
const MAX_WARNINGS: usize = 16;

impl Session {
    /// ERROR: the master closes the stream after it.
    pub(super) fn error(
        &mut self,
        master: &Address,
        said: &str,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        if said.contains(FAILED_OVER) {
            effects.extend([Effect::Link(LinkAction::Close), Effect::FailedOver]);
            State::FailedOver
        } else if said.contains(REMOVED) {
            effects.extend([Effect::Link(LinkAction::Close), Effect::Removed]);
            State::Removed
        } else {
            let text = format!("the master {master} has refused this framework: {said}");
            self.refused(text, now, effects)
        }
    }

    /// An attempt has failed; the next one is made with the next master.
    pub(super) fn failed(
        &mut self,
        text: String,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        let pause = self.backoff.failed();
        let next = self.masters.next_master();
        self.wait(text, next, pause, now, effects)
    }

    /// An attempt has failed for a reason that only an operator can remove.
    pub(super) fn refused(
        &mut self,
        text: String,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        let pause = self.backoff.refused();
        let next = self.masters.next_master();
        self.wait(text, next, pause, now, effects)
    }

    /// A subscription has ended.
    pub(super) fn lost(
        &mut self,
        text: String,
        subscription: &Subscription,
        next: Address,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        if now.saturating_duration_since(subscription.since) >= STABLE {
            self.backoff.reset();
        }
        effects.push(Effect::Disconnected);
        let pause = self.backoff.failed();
        self.wait(text, next, pause, now, effects)
    }

    fn wait(
        &mut self,
        text: String,
        next: Address,
        pause: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> State {
        effects.push(Effect::Link(LinkAction::Close));
        self.redirects = 0;
        self.warn(text, now, effects);
        State::Waiting {
            until: now + pause,
            next,
        }
    }

    /// Logs a warning, but not the same one all the time.
    pub(super) fn warn(&mut self, text: String, now: Instant, effects: &mut Vec<Effect>) {
        self.warnings.retain(|(_, at)| now < *at + WARN_AGAIN);
        if self.warnings.iter().any(|(known, _)| *known == text) {
            return;
        }
        effects.push(Effect::Log(LogLine::Warning(text.clone())));
        self.warnings.truncate(MAX_WARNINGS - 1);
        self.warnings.push_front((text, now));
    }
}

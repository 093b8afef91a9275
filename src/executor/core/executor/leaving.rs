//! From the last update to the exit: only acknowledgements, and the last messages, are waited for.

use std::time::Duration;

use crate::core::effect::{ExitStatus, Note};
use crate::core::event::Identity;
use crate::core::outbox::Outbox;
use crate::core::request::{ApiRequest, Reply, View};
use crate::core::session::Session;
use crate::core::step::Step;
use crate::words::units::{Moment, Span, TaskId};

/// Every update is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leaving {
    since: Moment,
    /// The task that was run; there is none if all were refused.
    ended: Option<EndedTask>,
    /// Tasks that were not run: each gets one update, however often it comes.
    pub(super) refused: Vec<TaskId>,
    /// The agent was asked a second time for acknowledgements that did not come.
    has_renewed: bool,
    /// Set once every update is acknowledged: when to stop waiting for the remaining messages.
    messages_until: Option<Moment>,
}

/// What is left of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EndedTask {
    pub(super) identity: Identity,
    /// An update of it was acknowledged: the agent will remember it by itself.
    pub(super) is_acknowledged: bool,
    /// The end of waiting for the terminal acknowledgement, if a SHUTDOWN has set one.
    pub(super) report_by: Option<Moment>,
    /// For requests that still come.
    pub(super) view: View,
}

/// An agent that is there and does not acknowledge the terminal update will never do so, as in the
/// stock command executor (`src/launcher/executor.cpp`, `reaped`).
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// An acknowledgement takes milliseconds. One that does not come may have gone into a connection that
/// only we believe in, which the kernel notices after a minute: a new subscription asks again.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(20);

/// An agent that is lost gets one more moment: a re-subscription may be on its way.
const LOST_TIMEOUT: Duration = Duration::from_secs(1);

// === impl ExitStatus ===

impl ExitStatus {
    /// The status of an executor that leaves with this outbox.
    pub(super) fn of(outbox: &Outbox) -> Self {
        match outbox.is_acknowledged() {
            true => Self::Done,
            false => Self::Unreported,
        }
    }
}

// === impl Leaving ===

impl Leaving {
    pub(super) fn new(ended: Option<EndedTask>, refused: Vec<TaskId>, now: Moment) -> Self {
        Self {
            since: now,
            ended,
            refused,
            has_renewed: false,
            messages_until: None,
        }
    }

    pub(super) fn has_ended_task(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn own_task(&self) -> Option<&Identity> {
        self.ended.as_ref().map(|ended| &ended.identity)
    }

    /// The task that was run, until the agent has acknowledged an update of it.
    pub(super) fn unacknowledged_task(&self) -> Option<&Identity> {
        let ended = self.ended.as_ref()?;
        (!ended.is_acknowledged).then_some(&ended.identity)
    }

    pub(super) fn acknowledged(&mut self, task: &TaskId) {
        if let Some(ended) = &mut self.ended {
            ended.is_acknowledged |= ended.identity.task == *task;
        }
    }

    /// The agent wants the executor to end within its grace period.
    pub(super) fn hurry(&mut self, grace: Span, now: Moment) {
        if let Some(ended) = &mut self.ended {
            let limit = now.plus(grace);
            ended.report_by = Some(ended.report_by.map_or(limit, |old| old.min(limit)));
        }
    }

    /// There is nothing more to change.
    pub(super) fn answer(&self, request: ApiRequest) -> Reply {
        match (request, &self.ended) {
            (ApiRequest::View, Some(ended)) => Reply::View(ended.view.clone()),
            (ApiRequest::View, None) | (ApiRequest::Patch(_), _) => Reply::TaskEnded,
        }
    }

    pub(super) fn next_deadline(&self, session: &Session) -> Option<Moment> {
        let deadlines = [self.ends_at(session), self.renews_at(session)];
        deadlines.into_iter().flatten().min()
    }

    /// Asks again for missing acknowledgements; returns the exit status once everything is acknowledged, or it
    /// is too late.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) -> Option<ExitStatus> {
        let now = step.moment();
        if self.renews_at(step.session).is_some_and(|at| at <= now) {
            self.has_renewed = true;
            step.note(Note::AskingAgain);
            step.session.renew(now);
        }
        // The time without an agent does not count: the next one has the whole time again.
        let is_acknowledged = step.session.outbox.is_acknowledged();
        self.messages_until = (is_acknowledged && step.session.up_since().is_some()).then(|| {
            self.messages_until
                .unwrap_or(step.session.messages_end_at(now))
        });
        let is_too_late = self.ends_at(step.session).is_some_and(|end| end <= now);
        if !step.session.outbox.is_empty() && !is_too_late {
            return None;
        }
        if !is_acknowledged {
            step.note(Note::GivingUp);
        }
        Some(ExitStatus::of(&step.session.outbox))
    }

    /// When the agent is asked for acknowledgements by a new subscription; once.
    fn renews_at(&self, session: &Session) -> Option<Moment> {
        if self.has_renewed || session.outbox.is_acknowledged() {
            return None;
        }
        let up_since = session.up_since()?;
        Some(self.since.max(up_since).plus(RENEWAL_TIMEOUT))
    }

    /// When to stop waiting for acknowledgements and messages. An agent that is away is waited for until the
    /// session counts it as lost.
    fn ends_at(&self, session: &Session) -> Option<Moment> {
        let patience = match session.up_since() {
            Some(up_since) => Some(self.since.max(up_since).plus(ACKNOWLEDGEMENT_TIMEOUT)),
            None if session.is_lost() => Some(self.since.plus(LOST_TIMEOUT)),
            None => None,
        };
        let report_by = self.ended.as_ref().and_then(|ended| ended.report_by);
        let report_by = report_by.map(|limit| limit.max(self.since.plus(LOST_TIMEOUT)));
        let limits = [patience, report_by, self.messages_until];
        limits.into_iter().flatten().min()
    }
}

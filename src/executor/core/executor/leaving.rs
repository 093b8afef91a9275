//! From the last update to the exit: waiting for acknowledgements and for the last messages to be sent.

use std::time::Duration;

use crate::core::effect::{ExitStatus, Note};
use crate::core::event::Identity;
use crate::core::outbox::Outbox;
use crate::core::request::{ApiRequest, Reply, View};
use crate::core::session::Session;
use crate::core::step::Step;
use crate::words::units::{Moment, Span, TaskId};

/// All updates are recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leaving {
    since: Moment,
    /// The task that was run; `None` if all were refused.
    ended: Option<EndedTask>,
    /// Refused tasks. Each gets one update, even if it is launched again.
    pub(super) refused: Vec<TaskId>,
    /// Whether we have subscribed again to get missing acknowledgements.
    has_renewed: bool,
    /// Set once every update is acknowledged: when to stop waiting for the remaining messages.
    messages_until: Option<Moment>,
}

/// What is left of a task after its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EndedTask {
    pub(super) identity: Identity,
    /// Whether one of its updates was acknowledged, so that the agent remembers the task by itself.
    pub(super) is_acknowledged: bool,
    /// When to stop waiting for the terminal acknowledgement, if a SHUTDOWN has set a limit.
    pub(super) report_by: Option<Moment>,
    /// For later requests of the task API.
    pub(super) view: View,
}

/// If a connected agent has not acknowledged the terminal update by then, it never will; the same as in the
/// stock command executor (`src/launcher/executor.cpp`, `reaped`).
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// An acknowledgement takes milliseconds. If it is missing, the connection may be dead without our knowing;
/// the kernel notices that after a minute. So the executor subscribes again after this time.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait once the agent counts as lost: a subscription may be under way.
const LOST_TIMEOUT: Duration = Duration::from_secs(1);

// === impl ExitStatus ===

impl ExitStatus {
    /// The status for exiting with this outbox.
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

    /// The task that was run, unless the agent has acknowledged an update of it.
    pub(super) fn unacknowledged_task(&self) -> Option<&Identity> {
        let ended = self.ended.as_ref()?;
        (!ended.is_acknowledged).then_some(&ended.identity)
    }

    pub(super) fn acknowledged(&mut self, task: &TaskId) {
        if let Some(ended) = &mut self.ended {
            ended.is_acknowledged |= ended.identity.task == *task;
        }
    }

    /// SHUTDOWN: the executor must exit within the grace period.
    pub(super) fn hurry(&mut self, grace: Span, now: Moment) {
        if let Some(ended) = &mut self.ended {
            let limit = now.plus(grace);
            ended.report_by = Some(ended.report_by.map_or(limit, |old| old.min(limit)));
        }
    }

    /// Answers a request of the task API. A PATCH cannot change anything any more.
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

    /// Subscribes again if acknowledgements are missing. Returns the exit status when everything is
    /// acknowledged, or the time is over.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) -> Option<ExitStatus> {
        let now = step.moment();
        if self.renews_at(step.session).is_some_and(|at| at <= now) {
            self.has_renewed = true;
            step.note(Note::AskingAgain);
            step.session.renew(now);
        }
        // Time without an agent does not count: after a new subscription the whole time starts again.
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

    /// When to subscribe again for missing acknowledgements; happens once.
    fn renews_at(&self, session: &Session) -> Option<Moment> {
        if self.has_renewed || session.outbox.is_acknowledged() {
            return None;
        }
        let up_since = session.up_since()?;
        Some(self.since.max(up_since).plus(RENEWAL_TIMEOUT))
    }

    /// When to stop waiting for acknowledgements and messages. While the agent is away, the session decides
    /// when it counts as lost.
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

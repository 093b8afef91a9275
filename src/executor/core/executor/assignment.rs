//! The task of this executor: before it arrives, while it runs and after its end; and what follows from its
//! state after each step.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Settings;
use super::leaving::{EndedTask, Leaving};
use crate::core::effect::{Effect, ExitStatus, Line, Note};
use crate::core::event::{Identity, TaskEvent};
use crate::core::lifecycle::{Lifecycle, StopOrder, Verdict};
use crate::core::outbox::{Message, Reason, UpdateData};
use crate::core::request::{ApiRequest, Patch, Reply, View};
use crate::core::session::Session;
use crate::core::step::Step;
use crate::words::units::{Moment, Span, TaskId};

/// The task of this executor, or its absence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Assignment {
    pub(super) settings: Settings,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// There is no task yet. A KILL may arrive before its LAUNCH.
    Waiting { killed: Vec<EarlyKill> },
    /// The operator tests a failing executor: it exits at this time.
    Failing { at: Moment, status: u8 },
    /// There is a task.
    Active(Box<Active>),
    /// All updates are recorded; waiting for acknowledgements.
    Leaving(Box<Leaving>),
    /// Nothing is left to do.
    Gone,
}

/// A KILL for a task that was not launched yet, with its grace period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EarlyKill {
    pub(super) task: TaskId,
    pub(super) grace: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Active {
    pub(super) lifecycle: Lifecycle,
    /// Whether one of its updates was acknowledged, so that the agent remembers the task by itself.
    pub(super) is_acknowledged: bool,
    /// Other tasks, which were refused. Each gets one update, even if it is launched again.
    pub(super) refused: Vec<TaskId>,
}

/// How long a request that needs the agent is accepted without a subscription. Subscribing again usually
/// takes less.
const ABSENCE_TOLERATED: Duration = Duration::from_secs(1);

/// Maximum number of early kills to remember; the newest ones are kept. An agent sends one task to such an
/// executor.
const MAX_EARLY_KILLS: usize = 16;

/// How long a test-exit executor stays up, as Cook's does.
const FAILING_TAKES: Duration = Duration::from_secs(5);

// === impl Assignment ===

impl Assignment {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Waiting { killed: Vec::new() },
        }
    }

    /// When a step is due without an event.
    pub(super) fn next_deadline(&self, session: &Session) -> Option<Moment> {
        match &self.state {
            State::Active(active) => {
                let progress = active.lifecycle.progress.due_at();
                let deadlines = [active.lifecycle.next_deadline(), progress];
                deadlines.into_iter().flatten().min()
            }
            State::Failing { at, .. } => Some(*at),
            State::Leaving(leaving) => leaving.next_deadline(session),
            State::Waiting { .. } | State::Gone => None,
        }
    }

    /// Does what follows from the state after each step.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) {
        if step.session.becomes_lost(step.moment()) {
            step.note(Note::AgentLost);
            self.agent_was_lost(step);
        }
        self.report_progress(step);
        self.fail_if_due(step);
        if let State::Leaving(leaving) = &mut self.state
            && let Some(status) = leaving.settle(step)
        {
            self.exit(status, step);
        }
        let task = match &self.state {
            State::Gone => return,
            State::Active(active) if !active.is_acknowledged => Some(&active.lifecycle.identity),
            State::Leaving(leaving) => leaving.unacknowledged_task(),
            State::Waiting { .. } | State::Failing { .. } | State::Active(_) => None,
        };
        step.let_session_act(task);
    }

    // --- agent ---

    pub(super) fn acknowledged(&mut self, uuid: &[u8], step: &mut Step<'_>) {
        let Some(update) = step.session.outbox.acknowledge(uuid) else {
            return step.note(Note::AcknowledgedUnknown);
        };
        step.note(match update.reason {
            Some(Reason::Checked(_)) => Note::CheckAcknowledged(update.uuid),
            Some(Reason::TaskInvalid | Reason::MaxCompletionTimeReached) | None => {
                Note::Acknowledged(update.state, update.uuid)
            }
        });
        match &mut self.state {
            State::Active(active) if active.lifecycle.identity.task == update.task => {
                active.is_acknowledged = true;
            }
            State::Leaving(leaving) => leaving.acknowledged(&update.task),
            State::Active(_) | State::Waiting { .. } | State::Failing { .. } | State::Gone => {}
        }
    }

    /// Stops the task as SHUTDOWN does, because nobody waits for it any more.
    fn agent_was_lost(&mut self, step: &mut Step<'_>) {
        let grace = self.settings.shutdown_grace;
        match &mut self.state {
            State::Waiting { .. } => self.exit(ExitStatus::Unreported, step),
            State::Active(active) => active.lifecycle.stop(StopOrder::Shutdown { grace }, step),
            State::Leaving(leaving) => leaving.hurry(grace, step.moment()),
            State::Failing { .. } | State::Gone => {}
        }
    }

    // --- kill and shutdown ---

    pub(super) fn kill(&mut self, task: TaskId, grace: Option<Span>, step: &mut Step<'_>) {
        match &mut self.state {
            State::Waiting { killed } => {
                killed.truncate(MAX_EARLY_KILLS - 1);
                killed.insert(0, EarlyKill { task, grace });
            }
            State::Active(active) if active.lifecycle.identity.task == task => {
                let grace = grace.unwrap_or(active.lifecycle.grace());
                active.lifecycle.stop(StopOrder::Kill { grace }, step);
            }
            State::Active(_) | State::Failing { .. } | State::Leaving(_) | State::Gone => {}
        }
    }

    pub(super) fn shut_down(&mut self, step: &mut Step<'_>) {
        let grace = self.settings.shutdown_grace;
        match &mut self.state {
            State::Waiting { .. } => self.exit(ExitStatus::Done, step),
            State::Failing { status, .. } => {
                let status = ExitStatus::Test(*status);
                self.exit(status, step);
            }
            State::Active(active) => active.lifecycle.stop(StopOrder::Shutdown { grace }, step),
            State::Leaving(leaving) if leaving.has_ended_task() => {
                leaving.hurry(grace, step.moment());
            }
            State::Leaving(_) => self.exit(ExitStatus::of(&step.session.outbox), step),
            State::Gone => {}
        }
    }

    pub(super) fn exit(&mut self, status: ExitStatus, step: &mut Step<'_>) {
        self.state = State::Gone;
        step.perform(Effect::Exit(status));
    }

    /// Only an executor without a task fails on request, so that no task is lost.
    pub(super) fn fail_later(&mut self, now: Moment) {
        if let (State::Waiting { .. }, Some(status)) = (&self.state, self.settings.test_exit) {
            let at = now.plus(FAILING_TAKES);
            self.state = State::Failing { at, status };
        }
    }

    fn fail_if_due(&mut self, step: &mut Step<'_>) {
        if let State::Failing { at, status } = self.state
            && at <= step.moment()
        {
            self.exit(ExitStatus::Test(status), step);
        }
    }

    // --- task ---

    pub(super) fn handle(&mut self, event: TaskEvent, step: &mut Step<'_>) {
        if let State::Active(active) = &mut self.state
            && let ControlFlow::Break(verdict) = active.lifecycle.handle(event, step)
        {
            self.state = State::Leaving(Box::new(active.end(verdict, step)));
        }
    }

    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        if let State::Active(active) = &mut self.state
            && let ControlFlow::Break(verdict) = active.lifecycle.tick(step)
        {
            self.state = State::Leaving(Box::new(active.end(verdict, step)));
        }
    }

    fn report_progress(&mut self, step: &mut Step<'_>) {
        if let State::Active(active) = &mut self.state
            && let Some(report) = active.lifecycle.progress.take_due(step.moment())
        {
            let task = &active.lifecycle.identity.task;
            step.send(task, Message::Progress(report));
        }
    }

    // --- task API ---

    pub(super) fn answer(&mut self, request: ApiRequest, step: &Step<'_>) -> Reply {
        let active = match &mut self.state {
            State::Active(active) => active,
            State::Leaving(leaving) => return leaving.answer(request),
            State::Waiting { .. } | State::Failing { .. } | State::Gone => return Reply::TaskEnded,
        };
        let lifecycle = &mut active.lifecycle;
        match request {
            ApiRequest::View => Reply::View(lifecycle.view()),
            ApiRequest::Patch(patch) => {
                let progress_file = &self.settings.progress_file.variable;
                if let Some(refusal) = patch.refusal(&lifecycle.environment, progress_file) {
                    return refusal;
                }
                let Patch {
                    progress, message, ..
                } = &patch;
                let needs_agent = progress.is_some() || message.is_some();
                lifecycle.patch(patch);
                match needs_agent && step.session.down_for(step.moment()) > ABSENCE_TOLERATED {
                    true => Reply::AppliedWithoutAgent,
                    false => Reply::Applied,
                }
            }
        }
    }

    /// The task that was accepted, running or ended.
    pub(super) fn own_task(&self) -> Option<&Identity> {
        match &self.state {
            State::Active(active) => Some(&active.lifecycle.identity),
            State::Leaving(leaving) => leaving.own_task(),
            State::Waiting { .. } | State::Failing { .. } | State::Gone => None,
        }
    }
}

// === impl Active ===

impl Active {
    /// No process of the task is left.
    fn end(&mut self, verdict: Verdict, step: &mut Step<'_>) -> Leaving {
        let identity = self.lifecycle.identity.clone();
        if let Some(report) = self.lifecycle.progress.take_last(step.moment()) {
            step.send(&identity.task, Message::Progress(report));
        }
        step.say(
            Line::Completed(identity.task.clone(), verdict.state),
            self.lifecycle.audience,
        );
        let view = View {
            state: Some(verdict.state.name()),
            ..self.lifecycle.view()
        };
        step.record_verdict(
            &identity,
            verdict,
            UpdateData::Terminal(Box::new(view.clone())),
            self.lifecycle.checked(),
        );
        let ended = EndedTask {
            report_by: self.lifecycle.report_by(),
            is_acknowledged: self.is_acknowledged,
            identity,
            view,
        };
        let refused = std::mem::take(&mut self.refused);
        Leaving::new(Some(ended), refused, step.moment())
    }
}

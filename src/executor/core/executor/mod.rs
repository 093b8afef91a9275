//! The executor as a whole: a session with the agent, and the task that it has, or will have, or had.
//!
//! `task` is what happens to the task, `telling` what the agent is told of it; here is the rest: the
//! state, the step, and what follows from the state after every step.

mod task;
mod telling;

use std::time::Duration;

use crate::core::effect::{Effect, ExitStatus, Note};
use crate::core::environment::{Environment, Name};
use crate::core::event::{Event, Identity};
use crate::core::lifecycle::{Lifecycle, StopOrder, TaskEvent};
use crate::core::outbox::{Message, Outbox, TaskState};
use crate::core::progress::ProgressFile;
use crate::core::session::{Action, Policy, Session};
use crate::words::units::{Moment, Now, Span, TaskId, UuidSource};

/// What the core has to know before anything happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The environment that commands inherit.
    pub environment: Environment,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`.
    pub shutdown_grace: Span,
    /// The least time between two progress messages.
    pub progress_interval: Duration,
    /// The longest message in characters.
    pub message_limit: usize,
    /// Where the task may write its progress to.
    pub progress_file: ProgressFile,
    /// Variables that are taken back to what the framework has set (`EXECUTOR_RESET_VARS`).
    pub reset_variables: Vec<Name>,
    /// Once subscribed, take no task but exit with this status: the operator wants to see what the
    /// scheduler does about it (`EXECUTOR_TEST_EXIT`).
    pub test_exit: Option<u8>,
    /// Where the sandbox is on the host, if the agent said so.
    pub directory: Option<String>,
    /// How to keep the subscription.
    pub policy: Policy,
    /// Makes this executor's UUIDs differ from all others.
    pub uuid_seed: [u8; 16],
}

/// The whole of the executor's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Executor {
    settings: Settings,
    uuids: UuidSource,
    session: Session,
    state: State,
    /// Tasks that were not run: each gets one update, however often it comes.
    refused: Vec<TaskId>,
    /// The framework knows `TASK_KILLING`.
    killing_state: bool,
    agent_lost: bool,
    /// The agent was asked a second time for acknowledgements that did not come.
    has_renewed: bool,
    /// Every update is acknowledged; until then the last messages are waited for.
    farewell_ends_at: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// No task yet. A KILL may come before its LAUNCH.
    Waiting { killed: Vec<EarlyKill> },
    /// The operator wants to see an executor fail: nothing happens until then.
    Failing { at: Moment, status: u8 },
    /// There is a task.
    Active(Box<Active>),
    /// There was nothing that could be run; its refusal is to be acknowledged.
    Leaving { since: Moment },
    /// Nothing is left to do.
    Gone,
}

/// A KILL of a task that has not come, with its own grace period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EarlyKill {
    task: TaskId,
    grace: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Active {
    identity: Identity,
    lifecycle: Lifecycle,
    /// An update of it was acknowledged: the agent will remember it by itself.
    is_acknowledged: bool,
    last_state: TaskState,
    /// When the terminal update was recorded.
    reported_at: Moment,
}

/// The time of a step, and what it has led to so far.
struct Step {
    now: Now,
    effects: Vec<Effect>,
}

/// An agent that is there and does not acknowledge the terminal update will never do so, as in the
/// stock command executor (`src/launcher/executor.cpp`, `reaped`).
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// An acknowledgement takes milliseconds. One that does not come may have gone into a connection that
/// only we believe in, which the kernel notices after a minute: a new subscription asks again.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an executor is there that fails because it is asked to, as Cook's.
const FAILING_TAKES: Duration = Duration::from_secs(5);

/// An agent that is lost gets one more moment: a re-subscription may be on its way.
const LOST_TIMEOUT: Duration = Duration::from_secs(1);

// === impl Step ===

impl Step {
    fn perform(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn note(&mut self, note: Note) {
        self.perform(Effect::Note(note));
    }
}

// === impl Executor ===

impl Executor {
    /// No task, no subscription; [`Self::next_deadline`] is due at once.
    pub fn new(settings: Settings) -> Self {
        Self {
            uuids: UuidSource::new(settings.uuid_seed),
            session: Session::new(settings.policy),
            state: State::Waiting { killed: Vec::new() },
            refused: Vec::new(),
            killing_state: false,
            agent_lost: false,
            has_renewed: false,
            farewell_ends_at: None,
            settings,
        }
    }

    /// Takes what happened and says what to do about it, in order.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut step = Step {
            now,
            effects: Vec::new(),
        };
        match event {
            Event::Subscribed {
                generation,
                killing_state,
            } => {
                if self.session.subscribed(generation, step.now.moment) {
                    self.killing_state = killing_state;
                    self.fail_later(step.now.moment);
                }
            }
            Event::StreamEnded(generation, end) => {
                self.session.ended(generation, end, step.now.moment);
            }
            Event::CallAnswered(serial, answer) => {
                self.session.answered(serial, answer, step.now.moment);
            }
            Event::Acknowledged(uuid) => self.acknowledged(&uuid, &mut step),
            Event::Launch(launches) => self.launch(launches, &mut step),
            Event::Kill(task, grace) => self.kill(task, grace, &mut step),
            Event::Shutdown => self.shut_down(&mut step),
            Event::CommandStarted(id, pid) => {
                self.task_step(TaskEvent::Started(id, pid), &mut step);
            }
            Event::CommandEnded(id, outcome) => {
                self.task_step(TaskEvent::Ended(id, outcome), &mut step);
            }
            Event::CommandDelayed(id, reason) => {
                self.task_step(TaskEvent::Delayed(id, reason), &mut step);
            }
            Event::OrphanEnded => self.task_step(TaskEvent::OrphanEnded, &mut step),
            Event::Swept { alive } => {
                self.task_step(TaskEvent::Swept { alive }, &mut step);
            }
            Event::Tracked(reading) => self.tracked(reading),
            Event::TrackingEnded => self.task_step(TaskEvent::TrackingEnded, &mut step),
            Event::Request(id, request) => {
                let reply = self.answer(request, &step);
                step.perform(Effect::Reply(id, reply));
            }
            Event::Tick => self.task_step(TaskEvent::Tick, &mut step),
        }
        self.settle(&mut step);
        step.effects
    }

    /// When the next [`Event::Tick`] is wanted if nothing happens before.
    pub fn next_deadline(&self) -> Option<Moment> {
        let task = match &self.state {
            State::Active(active) => {
                let progress = active.lifecycle.progress.due_at();
                active
                    .lifecycle
                    .next_deadline()
                    .into_iter()
                    .chain(progress)
                    .min()
            }
            State::Failing { at, .. } => Some(*at),
            State::Waiting { .. } | State::Leaving { .. } | State::Gone => None,
        };
        let others = [
            self.session.next_deadline(),
            self.telling_ends_at(),
            self.renews_at(),
        ];
        task.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// The task at work, for its plan and environment.
    pub fn lifecycle(&self) -> Option<&Lifecycle> {
        match &self.state {
            State::Active(active) => Some(&active.lifecycle),
            State::Waiting { .. } | State::Failing { .. } | State::Leaving { .. } | State::Gone => {
                None
            }
        }
    }

    /// What the agent has to be told still.
    pub fn outbox(&self) -> &Outbox {
        &self.session.outbox
    }

    fn settle(&mut self, step: &mut Step) {
        if self.session.is_lost(step.now.moment) && !self.agent_lost {
            self.agent_lost = true;
            step.note(Note::AgentLost);
            self.agent_was_lost(step);
        }
        self.report_progress(step.now.moment);
        if self.renews_at().is_some_and(|at| at <= step.now.moment) {
            self.has_renewed = true;
            step.note(Note::AskingAgain);
            self.session.renew(step.now.moment);
        }
        self.fail_if_due(step);
        self.leave_if_told(step);
        if self.state == State::Gone {
            return;
        }
        let task = match &self.state {
            State::Active(active) if !active.is_acknowledged => Some(active.identity.clone()),
            State::Waiting { .. }
            | State::Failing { .. }
            | State::Active(_)
            | State::Leaving { .. }
            | State::Gone => None,
        };
        self.session.act(step.now.moment, |action| {
            step.perform(match action {
                Action::Subscribe {
                    generation,
                    updates,
                } => {
                    let task = task.clone();
                    Effect::Subscribe {
                        generation,
                        task,
                        updates,
                    }
                }
                Action::Call { serial, item } => Effect::Call(serial, item),
                Action::AbandonCall => Effect::AbandonCall,
            });
        });
    }

    /// Nobody waits for the task any more: it stops as by SHUTDOWN.
    fn agent_was_lost(&mut self, step: &mut Step) {
        match &self.state {
            State::Waiting { .. } => {
                self.state = State::Gone;
                step.perform(Effect::Exit(ExitStatus::Unreported));
            }
            State::Active(_) => {
                let grace = self.settings.shutdown_grace;
                self.stop(StopOrder::Shutdown { grace }, step);
            }
            State::Failing { .. } | State::Leaving { .. } | State::Gone => {}
        }
    }

    /// Only what has had no task yet fails on request: a task would be lost by it.
    fn fail_later(&mut self, now: Moment) {
        if let (State::Waiting { .. }, Some(status)) = (&self.state, self.settings.test_exit) {
            let at = now.plus(FAILING_TAKES);
            self.state = State::Failing { at, status };
        }
    }

    fn fail_if_due(&mut self, step: &mut Step) {
        if let State::Failing { at, status } = self.state
            && at <= step.now.moment
        {
            self.state = State::Gone;
            step.perform(Effect::Exit(ExitStatus::Test(status)));
        }
    }

    fn report_progress(&mut self, now: Moment) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        if let Some(report) = active.lifecycle.progress.take_due(now) {
            let task = active.identity.task.clone();
            self.tell(&task, Message::Progress(report));
        }
    }

    fn leave_if_told(&mut self, step: &mut Step) {
        if self.over_since().is_none() {
            return;
        }
        let farewell_ends_at = self.session.messages_end_at(step.now.moment);
        // An agent that goes away meanwhile takes nobody's time: the next one has its own.
        let is_under_way = self.session.outbox.is_acknowledged() && self.session.is_up();
        self.farewell_ends_at =
            is_under_way.then(|| self.farewell_ends_at.unwrap_or(farewell_ends_at));
        let is_too_late = self
            .telling_ends_at()
            .is_some_and(|end| end <= step.now.moment);
        if self.session.outbox.is_empty() || is_too_late {
            if !self.session.outbox.is_acknowledged() {
                step.note(Note::GivingUp);
            }
            self.state = State::Gone;
            step.perform(Effect::Exit(self.exit_status()));
        }
    }

    /// When the agent is asked for acknowledgements by a new subscription; once.
    fn renews_at(&self) -> Option<Moment> {
        let since = self.over_since().filter(|_| !self.has_renewed)?;
        let is_waiting = !self.session.outbox.is_acknowledged();
        let up_since = self.session.up_since().filter(|_| is_waiting)?;
        Some(since.max(up_since).plus(RENEWAL_TIMEOUT))
    }

    /// Since when only acknowledgements are missing.
    fn over_since(&self) -> Option<Moment> {
        match &self.state {
            State::Active(active) if active.lifecycle.is_reported() => Some(active.reported_at),
            State::Leaving { since } => Some(*since),
            State::Active(_) | State::Waiting { .. } | State::Failing { .. } | State::Gone => None,
        }
    }

    fn exit_status(&self) -> ExitStatus {
        match self.session.outbox.is_acknowledged() {
            true => ExitStatus::Done,
            false => ExitStatus::Unreported,
        }
    }

    /// When what is still not told or not acknowledged is given up. An agent that is away is waited
    /// for as long as the session hopes for it.
    fn telling_ends_at(&self) -> Option<Moment> {
        let since = self.over_since()?;
        let report_by = match &self.state {
            State::Active(active) => active.lifecycle.report_by(),
            State::Leaving { .. } | State::Waiting { .. } | State::Failing { .. } | State::Gone => {
                None
            }
        };
        let patience = match self.session.up_since() {
            Some(up_since) => Some(since.max(up_since).plus(ACKNOWLEDGEMENT_TIMEOUT)),
            None if self.agent_lost => Some(since.plus(LOST_TIMEOUT)),
            None => None,
        };
        let report_by = report_by.map(|limit| limit.max(since.plus(LOST_TIMEOUT)));
        let limits = [patience, report_by, self.farewell_ends_at];
        limits.into_iter().flatten().min()
    }
}

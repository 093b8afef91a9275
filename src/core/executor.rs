//! The executor as a whole: a session with the agent, and the task that it has, or will have, or had.

use std::time::Duration;

use crate::core::effect::{Effect, ExitStatus, Line, Note};
use crate::core::environment::Environment;
use crate::core::event::{Event, Identity, Launch};
use crate::core::lifecycle::{
    Lifecycle, Limits, Output, Report, StopOrder, TaskEvent, Turn, Verdict,
};
use crate::core::outbox::{Item, Message, Outbox, Reason, TaskState, Update};
use crate::core::plan::Refusal;
use crate::core::progress::Progress;
use crate::core::request::{Patch, Reply, Request, View};
use crate::core::session::{Action, Policy, Session};
use crate::units::{Moment, Now, TaskId, UuidSource};

/// What the core has to know before anything happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The environment that commands inherit.
    pub environment: Environment,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`.
    pub shutdown_grace: Duration,
    /// The least time between two progress messages.
    pub progress_interval: Duration,
    /// The longest message in characters.
    pub message_limit: usize,
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
    /// The framework knows `TASK_KILLING`.
    killing_state: bool,
    agent_lost: bool,
    /// Every update is acknowledged; until then the last messages are waited for.
    farewell_ends_at: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// No task yet. A KILL may come before its LAUNCH.
    Waiting {
        killed: Option<(TaskId, Option<Duration>)>,
    },
    /// There is a task.
    Active(Box<Active>),
    /// There was nothing that could be run; its refusal is to be acknowledged.
    Leaving { since: Moment },
    /// Nothing is left to do.
    Gone,
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

/// An agent that is there and does not acknowledge the terminal update will never do so, as in the
/// stock command executor (`src/launcher/executor.cpp`, `reaped`).
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// An agent that is lost gets one more moment: a re-subscription may be on its way.
const LOST_TIMEOUT: Duration = Duration::from_secs(1);

/// A request that would need the agent is answered as if it was there for this long, since a
/// re-subscription usually takes less.
const ABSENCE_TOLERATED: Duration = Duration::from_secs(1);

// === impl Executor ===

impl Executor {
    /// No task, no subscription; [`Self::next_deadline`] is due at once.
    pub fn new(settings: Settings) -> Self {
        Self {
            uuids: UuidSource::new(settings.uuid_seed),
            session: Session::new(settings.policy),
            state: State::Waiting { killed: None },
            killing_state: false,
            agent_lost: false,
            farewell_ends_at: None,
            settings,
        }
    }

    /// Takes what happened and says what to do about it, in order.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Subscribed {
                generation,
                killing_state,
            } => {
                if self.session.subscribed(generation, now.moment) {
                    self.killing_state = killing_state;
                }
            }
            Event::StreamEnded(generation, end) => {
                self.session.ended(generation, end, now.moment);
            }
            Event::CallAnswered(serial, answer) => {
                self.session.answered(serial, answer, now.moment);
            }
            Event::Acknowledged(uuid) => self.acknowledged(&uuid, &mut effects),
            Event::Launch(launches) => self.launch(launches, now, &mut effects),
            Event::Kill(task, grace) => self.kill(task, grace, now, &mut effects),
            Event::Shutdown => self.shut_down(now, &mut effects),
            Event::CommandStarted(id, pid) => {
                self.task_step(TaskEvent::Started(id, pid), now, &mut effects);
            }
            Event::CommandEnded(id, outcome) => {
                self.task_step(TaskEvent::Ended(id, outcome), now, &mut effects);
            }
            Event::CommandDelayed(id, reason) => {
                self.task_step(TaskEvent::Delayed(id, reason), now, &mut effects);
            }
            Event::OrphanEnded => self.task_step(TaskEvent::OrphanEnded, now, &mut effects),
            Event::Swept { alive } => {
                self.task_step(TaskEvent::Swept { alive }, now, &mut effects);
            }
            Event::Request(id, request) => {
                let reply = self.answer(request, now);
                effects.push(Effect::Reply(id, reply));
            }
            Event::Tick => self.task_step(TaskEvent::Tick, now, &mut effects),
        }
        self.settle(now, &mut effects);
        effects
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
            State::Waiting { .. } | State::Leaving { .. } | State::Gone => None,
        };
        let others = [self.session.next_deadline(), self.telling_ends_at()];
        task.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// The task at work, for its plan and environment.
    pub fn lifecycle(&self) -> Option<&Lifecycle> {
        match &self.state {
            State::Active(active) => Some(&active.lifecycle),
            State::Waiting { .. } | State::Leaving { .. } | State::Gone => None,
        }
    }

    /// What the agent has to be told still.
    pub fn outbox(&self) -> &Outbox {
        &self.session.outbox
    }

    // --- from the agent ---

    fn launch(&mut self, launches: Vec<Launch>, now: Now, effects: &mut Vec<Effect>) {
        let State::Waiting { killed } = &mut self.state else {
            for launch in launches {
                self.refuse_another(launch.identity, now, effects);
            }
            return;
        };
        let killed = killed.take();
        let mut launches = launches;
        match (launches.pop(), launches.is_empty()) {
            (Some(launch), true) => self.accept(launch, killed, now, effects),
            (last, _) => {
                self.state = State::Leaving { since: now.moment };
                for launch in launches.into_iter().chain(last) {
                    let message = "cook-executor runs one task; this group has several".to_owned();
                    self.refuse(launch.identity, message, now, effects);
                }
            }
        }
    }

    /// The one task of this executor.
    fn accept(
        &mut self,
        launch: Launch,
        killed: Option<(TaskId, Option<Duration>)>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Launch { identity, work } = launch;
        effects.push(Effect::Say(Line::Starting(identity.task.clone())));
        self.record(&identity, TaskState::Starting, now, effects);
        if let Some(directory) = self.settings.directory.clone() {
            self.tell(&identity.task, Message::Directory(directory));
        }
        let work = match work {
            Ok(work) => work,
            Err(Refusal(message)) => {
                effects.push(Effect::Say(Line::Completed(
                    identity.task.clone(),
                    TaskState::Error,
                )));
                self.state = State::Leaving { since: now.moment };
                return self.refuse(identity, message, now, effects);
            }
        };
        // There is no other task to need it.
        let mut environment = std::mem::take(&mut self.settings.environment);
        for (name, value) in work.environment {
            environment.set(name, value);
        }
        let progress = Progress::new(self.settings.progress_interval, self.settings.message_limit);
        let limits = Limits {
            grace: work.kill_grace.unwrap_or(self.settings.shutdown_grace),
            run_until: work.maximum_run_time.map(|limit| now.moment.plus(limit)),
        };
        effects.push(Effect::Publish(identity.task.clone()));
        let mut turn = Turn::new(now.moment);
        let killed = killed.filter(|(task, _)| *task == identity.task);
        let order = killed.map(|(_, grace)| StopOrder::Kill {
            grace: grace.unwrap_or(limits.grace),
        });
        let lifecycle =
            Lifecycle::launch(work.plan, environment, progress, limits, order, &mut turn);
        self.state = State::Active(Box::new(Active {
            identity,
            lifecycle,
            is_acknowledged: false,
            last_state: TaskState::Starting,
            reported_at: now.moment,
        }));
        self.carry_out(turn, now, effects);
    }

    /// This executor has had its task. An update of the task it has must not be made up: the agent
    /// would take it for the end of that task.
    fn refuse_another(&mut self, identity: Identity, now: Now, effects: &mut Vec<Effect>) {
        let is_ours = match &self.state {
            State::Active(active) => active.identity.task == identity.task,
            State::Waiting { .. } | State::Leaving { .. } | State::Gone => false,
        };
        if !is_ours {
            let message = "cook-executor runs one task, and has one already".to_owned();
            self.refuse(identity, message, now, effects);
        }
    }

    fn refuse(&mut self, identity: Identity, message: String, now: Now, effects: &mut Vec<Effect>) {
        let verdict = Verdict {
            state: TaskState::Error,
            reason: Some(Reason::TaskInvalid),
            message,
        };
        self.record_terminal(&identity, verdict, None, now, effects);
    }

    fn kill(&mut self, task: TaskId, grace: Option<Duration>, now: Now, effects: &mut Vec<Effect>) {
        let active = match &mut self.state {
            State::Waiting { killed } => {
                *killed = Some((task, grace));
                return;
            }
            State::Active(active) if active.identity.task == task => active,
            State::Active(_) | State::Leaving { .. } | State::Gone => return,
        };
        let grace = grace.unwrap_or(active.lifecycle.grace());
        self.stop(StopOrder::Kill { grace }, now, effects);
    }

    fn shut_down(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Waiting { .. } => {
                self.state = State::Gone;
                effects.push(Effect::Exit(ExitStatus::Done));
            }
            State::Leaving { .. } => {
                self.state = State::Gone;
                effects.push(Effect::Exit(self.exit_status()));
            }
            State::Active(_) => {
                let grace = self.settings.shutdown_grace;
                self.stop(StopOrder::Shutdown { grace }, now, effects);
            }
            State::Gone => {}
        }
    }

    /// A stop order from outside; the first of them is told to everybody.
    fn stop(&mut self, order: StopOrder, now: Now, effects: &mut Vec<Effect>) {
        if let State::Active(active) = &self.state
            && !active.lifecycle.is_reported()
        {
            let identity = active.identity.clone();
            let (StopOrder::Kill { grace }
            | StopOrder::Shutdown { grace }
            | StopOrder::MaximumRunTime { grace }) = order;
            effects.push(Effect::Say(Line::Killing(identity.task.clone(), grace)));
            if self.killing_state && active.last_state != TaskState::Killing {
                self.record(&identity, TaskState::Killing, now, effects);
            }
        }
        self.task_step(TaskEvent::Stop(order), now, effects);
    }

    fn acknowledged(&mut self, uuid: &[u8], effects: &mut Vec<Effect>) {
        let Some(update) = self.session.outbox.acknowledge(uuid) else {
            return effects.push(Effect::Note(Note::AcknowledgedUnknown));
        };
        let note = Note::Acknowledged(update.state, update.uuid);
        effects.push(Effect::Note(note));
        if let State::Active(active) = &mut self.state
            && active.identity.task == update.task
        {
            active.is_acknowledged = true;
        }
    }

    // --- the task ---

    fn task_step(&mut self, event: TaskEvent, now: Now, effects: &mut Vec<Effect>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        let mut turn = Turn::new(now.moment);
        active.lifecycle.step(event, &mut turn);
        self.carry_out(turn, now, effects);
    }

    /// Does what a step of the task has led to, in its order: what people read of one command comes
    /// before the next command starts.
    fn carry_out(&mut self, turn: Turn, now: Now, effects: &mut Vec<Effect>) {
        let State::Active(active) = &self.state else {
            return;
        };
        let identity = active.identity.clone();
        for output in turn.outputs {
            match output {
                Output::Effect(effect) => effects.push(effect),
                Output::Report(Report::Running(pid)) => {
                    effects.push(Effect::Say(Line::Forked(pid)));
                    self.running(&identity, now, effects);
                }
                Output::Report(Report::MainEnded(outcome, pid)) => {
                    if let Some(code) = outcome.code() {
                        self.tell(&identity.task, Message::ExitCode(code));
                    }
                    effects.push(Effect::Say(Line::Ended(outcome, pid)));
                }
                Output::Report(Report::HookEnded(name, outcome)) => {
                    effects.push(Effect::Note(Note::HookEnded(name, outcome)));
                }
                Output::Report(Report::Over(verdict)) => {
                    self.over(&identity, verdict, now, effects)
                }
            }
        }
    }

    /// A command that was still on its way when a kill came does not run for the framework.
    fn running(&mut self, identity: &Identity, now: Now, effects: &mut Vec<Effect>) {
        if let State::Active(active) = &self.state
            && active.last_state == TaskState::Starting
        {
            self.record(identity, TaskState::Running, now, effects);
        }
    }

    /// No process of the task lives.
    fn over(&mut self, identity: &Identity, verdict: Verdict, now: Now, effects: &mut Vec<Effect>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        active.reported_at = now.moment;
        let result = active.lifecycle.view();
        if let Some(report) = active.lifecycle.progress.take_last(now.moment) {
            self.tell(&identity.task, Message::Progress(report));
        }
        effects.push(Effect::Say(Line::Completed(
            identity.task.clone(),
            verdict.state,
        )));
        self.record_terminal(identity, verdict, Some(result), now, effects);
    }

    // --- the task API ---

    fn answer(&mut self, request: Request, now: Now) -> Reply {
        let is_without_agent = self.session.down_for(now.moment) > ABSENCE_TOLERATED;
        let State::Active(active) = &mut self.state else {
            return Reply::TaskEnded;
        };
        match request {
            Request::View => Reply::View(View {
                state: Some(active.last_state.name()),
                ..active.lifecycle.view()
            }),
            Request::Patch(_) if active.lifecycle.is_reported() => Reply::TaskEnded,
            Request::Patch(patch)
                if !active
                    .lifecycle
                    .environment
                    .has_room_for(&patch.environment) =>
            {
                Reply::EnvironmentTooLarge
            }
            Request::Patch(patch) => {
                let Patch {
                    progress, message, ..
                } = &patch;
                let needs_agent = progress.is_some() || message.is_some();
                active.lifecycle.patch(patch);
                match needs_agent && is_without_agent {
                    true => Reply::AppliedWithoutAgent,
                    false => Reply::Applied,
                }
            }
        }
    }

    // --- to the agent ---

    fn tell(&mut self, task: &TaskId, message: Message) {
        self.session
            .outbox
            .put(Item::Message(task.clone(), message));
    }

    fn record(
        &mut self,
        identity: &Identity,
        state: TaskState,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let update = self.update(identity, state, now);
        self.put(update, effects);
    }

    fn record_terminal(
        &mut self,
        identity: &Identity,
        verdict: Verdict,
        result: Option<View>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let update = Update {
            reason: verdict.reason,
            message: Some(verdict.message),
            result,
            ..self.update(identity, verdict.state, now)
        };
        self.put(update, effects);
    }

    fn update(&mut self, identity: &Identity, state: TaskState, now: Now) -> Update {
        Update {
            uuid: self.uuids.issue(),
            task: identity.task.clone(),
            agent: identity.agent.clone(),
            state,
            reason: None,
            message: None,
            result: None,
            at: now.wall,
        }
    }

    /// From here on the update exists, whatever becomes of wires and agents.
    fn put(&mut self, update: Update, effects: &mut Vec<Effect>) {
        if let State::Active(active) = &mut self.state
            && active.identity.task == update.task
        {
            active.last_state = update.state;
        }
        let note = Note::Recorded(update.state, update.uuid, update.message.clone());
        effects.push(Effect::Note(note));
        self.session.outbox.put(Item::Update(update));
    }

    // --- what follows from the state, whatever the event was ---

    fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.session.is_lost(now.moment) && !self.agent_lost {
            self.agent_lost = true;
            effects.push(Effect::Note(Note::AgentLost));
            self.agent_was_lost(now, effects);
        }
        self.report_progress(now.moment);
        self.leave_if_told(now.moment, effects);
        if self.state == State::Gone {
            return;
        }
        let task = match &self.state {
            State::Active(active) if !active.is_acknowledged => Some(active.identity.clone()),
            State::Waiting { .. } | State::Active(_) | State::Leaving { .. } | State::Gone => None,
        };
        self.session.act(now.moment, |action| {
            effects.push(match action {
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
    fn agent_was_lost(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Waiting { .. } => {
                self.state = State::Gone;
                effects.push(Effect::Exit(ExitStatus::Unreported));
            }
            State::Active(_) => {
                let grace = self.settings.shutdown_grace;
                self.stop(StopOrder::Shutdown { grace }, now, effects);
            }
            State::Leaving { .. } | State::Gone => {}
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

    fn leave_if_told(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if !self.is_over() {
            return;
        }
        if self.session.outbox.is_acknowledged() && self.farewell_ends_at.is_none() {
            self.farewell_ends_at = Some(self.session.messages_end_at(now));
        }
        let is_too_late = self.telling_ends_at().is_some_and(|end| end <= now);
        if self.session.outbox.is_empty() || is_too_late {
            if !self.session.outbox.is_acknowledged() {
                effects.push(Effect::Note(Note::GivingUp));
            }
            self.state = State::Gone;
            effects.push(Effect::Exit(self.exit_status()));
        }
    }

    /// Whether only acknowledgements are missing.
    fn is_over(&self) -> bool {
        match &self.state {
            State::Active(active) => active.lifecycle.is_reported(),
            State::Leaving { .. } => true,
            State::Waiting { .. } | State::Gone => false,
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
        if !self.is_over() {
            return None;
        }
        let (since, report_by) = match &self.state {
            State::Active(active) => (active.reported_at, active.lifecycle.report_by()),
            State::Leaving { since } => (*since, None),
            State::Waiting { .. } | State::Gone => return None,
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

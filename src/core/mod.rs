//! The core: every decision, and nothing else.
//!
//! One function, [`Executor::step`], takes an event and the time and gives effects. Here is no I/O,
//! no clock, no randomness, no async code and no logging; the world around carries events in and
//! effects out, and decides nothing.

pub mod environment;
pub mod lifecycle;
pub mod outbox;
pub mod plan;
pub mod progress;
pub mod request;
pub mod session;

use std::time::Duration;

use environment::{Environment, Name, Value};
use lifecycle::{Lifecycle, Limits, Pid, Report, StopOrder, StopSignal, TaskEvent, Turn, Verdict};
use outbox::{Answer, Item, Message, Reason, Serial, TaskState, Update};
use plan::{CommandId, Plan, Refusal};
use progress::Progress;
use request::{Patch, Reply, Request, View};
use session::{Generation, Policy, Session, StreamEnd};

use crate::outcome::Outcome;
use crate::units::{AgentId, Moment, Now, TaskId, UuidSource};

/// A task as the agent launched it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Launch {
    /// What the agent knows it by.
    pub identity: Identity,
    /// What is to be done, or why it cannot be.
    pub work: Result<Work, Refusal>,
}

/// What a task is known by; the agent asks for all of it after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The framework's name for the task.
    pub task: TaskId,
    /// The agent that it was given to.
    pub agent: AgentId,
    /// Its name for people.
    pub name: Vec<u8>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// The commands.
    pub plan: Plan,
    /// Variables that the task adds to the executor's environment.
    pub environment: Vec<(Name, Value)>,
    /// The task's own grace period (`TaskInfo.kill_policy`).
    pub kill_grace: Option<Duration>,
    /// `TaskInfo.max_completion_time`.
    pub maximum_run_time: Option<Duration>,
}

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

/// Identifies a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u32);

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The agent accepted a subscription.
    Subscribed {
        /// Which one.
        generation: Generation,
        /// The framework knows `TASK_KILLING`.
        killing_state: bool,
    },
    /// A subscription could not be opened, or ended.
    StreamEnded(Generation, StreamEnd),
    /// A call was answered.
    CallAnswered(Serial, Answer),
    /// LAUNCH, or LAUNCH_GROUP, which may have any number of tasks.
    Launch(Vec<Launch>),
    /// KILL, with the grace period of its own policy if it has one.
    Kill(TaskId, Option<Duration>),
    /// SHUTDOWN, or a signal that asks for the same.
    Shutdown,
    /// The agent has an update on disk.
    Acknowledged(Vec<u8>),
    /// The command's program runs.
    CommandStarted(CommandId, Pid),
    /// The command ended, or never started.
    CommandEnded(CommandId, Outcome),
    /// A process that some command left behind ended.
    OrphanEnded,
    /// A sweep found so many processes alive.
    Swept {
        /// Everything below us that is not a zombie.
        alive: usize,
    },
    /// A command asks for something.
    Request(RequestId, Request),
    /// The moment of [`Executor::next_deadline`] has come.
    Tick,
}

/// Everything the world can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Open a new subscription in place of the older one.
    Subscribe {
        /// Its number.
        generation: Generation,
        /// The task, until one update of it was acknowledged: the agent declares a task lost that it
        /// has sent and that is not listed here.
        task: Option<Identity>,
        /// Every update that was not acknowledged.
        updates: Vec<Update>,
    },
    /// Make one call.
    Call(Serial, Box<Item>),
    /// Stop waiting for the answer of the last call.
    AbandonCall,
    /// Start a command of the plan with the environment as it is now.
    Start(CommandId),
    /// Send a signal to the process groups of these commands.
    Signal {
        /// Commands that run.
        commands: Vec<CommandId>,
        /// The signal.
        signal: StopSignal,
    },
    /// Reap what has ended, send the signal to everything below us, and count what lives.
    Sweep(Option<StopSignal>),
    /// Reap what has ended and is no command of ours.
    ReapOrphans,
    /// The task API serves this task from now on.
    Publish(TaskId),
    /// Answer a request.
    Reply(RequestId, Reply),
    /// Write a line to stdout.
    Say(Line),
    /// Leave.
    Exit(ExitStatus),
}

/// The exit status of the executor itself, which is not the task's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// There was nothing to do, or the agent has acknowledged how it ended.
    Done,
    /// The agent could not be told how the task ended.
    Unreported,
}

/// What people and scripts look for in a task's stdout; the stock executor and Cook's print the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// The task was received.
    Starting(TaskId),
    /// The command runs.
    Forked(Pid),
    /// A kill was asked for.
    Killing(TaskId, Duration),
    /// The command ended.
    Ended(Outcome, Option<Pid>),
    /// The terminal update is recorded.
    Completed(TaskId, TaskState),
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
    kill_grace: Option<Duration>,
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
            Event::Acknowledged(uuid) => self.acknowledged(&uuid),
            Event::Launch(launches) => self.launch(launches, now, &mut effects),
            Event::Kill(task, grace) => self.kill(task, grace, now, &mut effects),
            Event::Shutdown => self.shut_down(now, &mut effects),
            Event::CommandStarted(id, pid) => {
                self.task_step(TaskEvent::Started(id, pid), now, &mut effects);
                if self.is_main(id) {
                    effects.push(Effect::Say(Line::Forked(pid)));
                }
            }
            Event::CommandEnded(id, outcome) => {
                self.task_step(TaskEvent::Ended(id, outcome), now, &mut effects);
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
        let others = [self.session.next_deadline(), self.acknowledgement_ends_at()];
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
    pub fn outbox(&self) -> &outbox::Outbox {
        &self.session.outbox
    }

    // --- from the agent ---

    fn launch(&mut self, launches: Vec<Launch>, now: Now, effects: &mut Vec<Effect>) {
        let State::Waiting { killed } = &mut self.state else {
            for launch in launches {
                self.refuse_another(launch.identity, now);
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
                    self.refuse(launch.identity, message, now);
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
        self.record(&identity, TaskState::Starting, now);
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
                return self.refuse(identity, message, now);
            }
        };
        let mut environment = self.settings.environment.clone();
        for (name, value) in work.environment {
            environment.set(name, value);
        }
        let progress = Progress::new(self.settings.progress_interval, self.settings.message_limit);
        let limits = Limits {
            grace: work.kill_grace.unwrap_or(self.settings.shutdown_grace),
            run_until: work.maximum_run_time.map(|limit| now.moment.plus(limit)),
        };
        effects.push(Effect::Publish(identity.task.clone()));
        let mut turn = Turn {
            now: now.moment,
            effects,
            reports: Vec::new(),
        };
        let killed = killed.filter(|(task, _)| *task == identity.task);
        let order = killed.map(|(_, grace)| StopOrder::Kill {
            grace: grace.unwrap_or(limits.grace),
        });
        let lifecycle =
            Lifecycle::launch(work.plan, environment, progress, limits, order, &mut turn);
        self.state = State::Active(Box::new(Active {
            identity,
            kill_grace: work.kill_grace,
            lifecycle,
            is_acknowledged: false,
            last_state: TaskState::Starting,
            reported_at: now.moment,
        }));
    }

    /// This executor has had its task. An update of the task it has must not be made up: the agent
    /// would take it for the end of that task.
    fn refuse_another(&mut self, identity: Identity, now: Now) {
        let is_ours = match &self.state {
            State::Active(active) => active.identity.task == identity.task,
            State::Waiting { .. } | State::Leaving { .. } | State::Gone => false,
        };
        if !is_ours {
            let message = "cook-executor runs one task, and has one already".to_owned();
            self.refuse(identity, message, now);
        }
    }

    fn refuse(&mut self, identity: Identity, message: String, now: Now) {
        let verdict = Verdict {
            state: TaskState::Error,
            reason: Some(Reason::TaskInvalid),
            message,
        };
        self.record_terminal(&identity, verdict, None, now);
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
        let own_grace = active.kill_grace.unwrap_or(self.settings.shutdown_grace);
        let grace = grace.unwrap_or(own_grace);
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
                self.record(&identity, TaskState::Killing, now);
            }
        }
        self.task_step(TaskEvent::Stop(order), now, effects);
    }

    fn acknowledged(&mut self, uuid: &[u8]) {
        let Some(update) = self.session.outbox.acknowledge(uuid) else {
            return;
        };
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
        let mut turn = Turn {
            now: now.moment,
            effects,
            reports: Vec::new(),
        };
        active.lifecycle.step(event, &mut turn);
        let identity = active.identity.clone();
        for report in turn.reports {
            match report {
                Report::Running => self.running(&identity, now),
                Report::MainEnded(outcome, pid) => {
                    if let Some(code) = outcome.code() {
                        self.tell(&identity.task, Message::ExitCode(code));
                    }
                    effects.push(Effect::Say(Line::Ended(outcome, pid)));
                }
                Report::Over(verdict) => self.over(&identity, verdict, now, effects),
            }
        }
    }

    /// A command that was still on its way when a kill came does not run for the framework.
    fn running(&mut self, identity: &Identity, now: Now) {
        if let State::Active(active) = &self.state
            && active.last_state == TaskState::Starting
        {
            self.record(identity, TaskState::Running, now);
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
        self.record_terminal(identity, verdict, Some(result), now);
    }

    fn is_main(&self, id: CommandId) -> bool {
        self.lifecycle()
            .is_some_and(|lifecycle| lifecycle.plan().main() == id)
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

    fn record(&mut self, identity: &Identity, state: TaskState, now: Now) {
        self.put_update(identity, state, None, None, None, now);
    }

    fn record_terminal(
        &mut self,
        identity: &Identity,
        verdict: Verdict,
        result: Option<View>,
        now: Now,
    ) {
        let Verdict {
            state,
            reason,
            message,
        } = verdict;
        self.put_update(identity, state, reason, Some(message), result, now);
    }

    fn put_update(
        &mut self,
        identity: &Identity,
        state: TaskState,
        reason: Option<Reason>,
        message: Option<String>,
        result: Option<View>,
        now: Now,
    ) {
        if let State::Active(active) = &mut self.state
            && active.identity.task == identity.task
        {
            active.last_state = state;
        }
        self.session.outbox.put(Item::Update(Update {
            uuid: self.uuids.issue(),
            task: identity.task.clone(),
            agent: identity.agent.clone(),
            state,
            reason,
            message,
            result,
            at: now.wall,
        }));
    }

    // --- what follows from the state, whatever the event was ---

    fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.session.is_lost(now.moment) && !self.agent_lost {
            self.agent_lost = true;
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
                session::Action::Subscribe {
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
                session::Action::Call { serial, item } => Effect::Call(serial, item),
                session::Action::AbandonCall => Effect::AbandonCall,
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
        let is_too_late = self.acknowledgement_ends_at().is_some_and(|end| end <= now);
        if self.session.outbox.is_acknowledged() || is_too_late {
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

    /// When a terminal update that is still not acknowledged is given up. An agent that is away is
    /// waited for as long as the session hopes for it.
    fn acknowledgement_ends_at(&self) -> Option<Moment> {
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
        patience.into_iter().chain(report_by).min()
    }
}

//! The core in a world as hostile as the real one: commands end as they like or not at all, ignore
//! SIGTERM, leave processes behind; the agent goes away, refuses, forgets, loses calls, repeats and
//! reorders acknowledgements, launches again, kills at any moment. Time passes when nobody is waited
//! for, by as much as the core asks for, or by an hour.

mod promises;
mod steps;

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::time::Duration;

use cook_executor::core::checks::{
    Address, Check, CheckPlan, Family, Finding, HealthCheck, Interval, Kind, Probe, ProbeId, Times,
};
use cook_executor::core::effect::{Audience, Effect, ExitStatus, Line, Note};
use cook_executor::core::environment::{Environment, Name, Value};
use cook_executor::core::event::{Event, Identity, LaunchedTask, TaskEvent, Work};
use cook_executor::core::executor::{Answered, Executor, Settings};
use cook_executor::core::outbox::{CallAnswer, Item, Message, Reason, Serial, TaskState, Update};
use cook_executor::core::plan::{CommandId, Hook, Hooks, Plan, Program};
use cook_executor::core::progress::{ProgressFile, Reading};
use cook_executor::core::request::{ApiRequest, Patch, Reply};
use cook_executor::core::session::{Generation, Policy, StreamEnd};
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::{
    AgentId, Moment, Now, Percent, Pid, Span, StopSignal, TaskId, Uuid, WallTime,
};

/// How often each kind of mischief may happen in one walk; this is what bounds the walk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mischief {
    /// The agent does nothing but what it should, and at once.
    pub prompt_agent: bool,
    pub kills: u8,
    pub shutdowns: u8,
    /// Streams that end and subscriptions that are refused or never answered.
    pub losses: u16,
    pub lost_calls: u8,
    pub extra_acknowledgements: u8,
    pub patches: u8,
    /// An older stream's end that is heard late, a call that arrives after it was abandoned.
    pub echoes: u8,
    /// A LAUNCH of this task again, or of another.
    pub launches: u8,
    /// The executor does not run for an hour.
    pub naps: u8,
    /// Findings of a task's checks; a task that may have none has no checks.
    pub findings: u8,
}

/// No mischief at all.
pub const QUIET: Mischief = Mischief {
    prompt_agent: true,
    kills: 0,
    shutdowns: 0,
    losses: 0,
    lost_calls: 0,
    extra_acknowledgements: 0,
    patches: 0,
    echoes: 0,
    launches: 0,
    naps: 0,
    findings: 0,
};

/// A process of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Process {
    Command(CommandId),
    /// Something a command left behind; the most stubborn kind, which ignores SIGTERM.
    Leftover,
}

/// The core, and all that the world and its observers know.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Model {
    core: Executor,
    pub now: Moment,
    pub mischief: Mischief,
    /// SUBSCRIBE was sent, or the subscription stands.
    subscribing: Option<Generation>,
    up: Option<Generation>,
    /// The agent refuses this executor: it need not be asked as often as one that is away.
    refused: bool,
    call: Option<(Serial, Item)>,
    /// An update whose call was given up: it may arrive all the same.
    stray: Option<Update>,
    alive: Vec<Process>,
    /// Updates that the agent has, in the order in which it got them, and has not acknowledged.
    unacknowledged: Vec<Update>,
    seen: Vec<(Uuid, TaskState)>,
    /// The updates of other tasks that the agent has.
    refusals: Vec<(Uuid, TaskId)>,
    /// What was recorded of them, and is not acknowledged.
    unacknowledged_refusals: Vec<Uuid>,
    launched: bool,
    started: Vec<CommandId>,
    ended: Vec<(CommandId, bool)>,
    terminal_acknowledged: bool,
    /// When the terminal update was recorded: since when only the acknowledgement is missing.
    reported_at: Option<Moment>,
    newest_progress: Option<u32>,
    sent_sequence: u32,
    /// What the task has written is being read for the last time.
    is_draining: bool,
    /// Since when.
    drained_since: Option<Moment>,
    asked_to_stop: bool,
    /// The task has a check and a health check.
    has_checks: bool,
    /// What looks for them.
    looking: Vec<ProbeId>,
    /// How often in a row the health check may have failed.
    failures: u32,
    /// An update has said something about health.
    health_is_known: bool,
    /// It was asked to stop before its after commands began.
    cut_short: bool,
    /// Nobody waits for the result any more, or not for long: SHUTDOWN, or no agent.
    may_give_up: bool,
    pub exit: Option<ExitStatus>,
}

/// One thing that may happen next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Subscribed,
    StreamEnds(StreamEnd),
    OlderStreamEnds,
    Launch,
    LaunchAgain,
    LaunchAnother,
    CallArrives(CallAnswer),
    /// The agent got the call, and its answer is lost.
    CallIsLost,
    AbandonedCallArrives,
    Acknowledge(usize),
    AcknowledgeAgain,
    Kill(Duration),
    KillAnother,
    Shutdown,
    Ends(CommandId, Outcome),
    EndsLeavingAProcess(CommandId),
    Patch,
    /// The task has written its progress into a file, and it was read.
    Tracked,
    TrackingEnds,
    /// A look finds what is healthy, or not.
    Finds(ProbeId, bool),
    TimePasses,
    AnHourPasses,
}

/// How many failures of the health check in a row end the task.
const MAX_FAILURES: u32 = 3;

const TASK: &str = "task";
const OTHER: &str = "other";

const GRACE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

/// A command that cannot be started.
pub const BROKEN: &str = "broken";

/// An agent that is there again is asked within this time; one that refuses us, within a second.
const RETRY: Duration = Duration::from_millis(250);
const REFUSED_RETRY: Duration = Duration::from_secs(1);

/// How long an agent that is there may take for the terminal acknowledgement.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long what the task wrote last is waited for.
const DRAINING: Duration = Duration::from_secs(2);

/// How long the executor waits for an agent that is away, unless a walk says otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(checkpoint: bool, recovery_timeout: Duration) -> Settings {
    Settings {
        environment: Environment::default(),
        for_commands: Vec::new(),
        shutdown_grace: Span::saturating(GRACE),
        progress_interval: Duration::from_secs(1),
        message_limit: 64,
        progress_file: ProgressFile {
            variable: Name::new("PROGRESS_FILE").expect("valid"),
            default: Value::new("progress").expect("valid"),
        },
        reset_variables: Vec::new(),
        test_exit: None,
        directory: Some("/sandbox".into()),
        policy: Policy {
            checkpoint,
            recovery_timeout: Span::saturating(recovery_timeout),
            backoff_max: Span::saturating(Duration::from_secs(2)),
            spread: 0,
        },
        uuid_seed: [0; 16],
        has_api: true,
    }
}

pub fn hook(guard: bool, is_async: bool) -> Hook {
    Hook {
        value: "hook".into(),
        guard,
        is_async,
        timeout: None,
    }
}

pub fn plan(before: &[Hook], after: &[Hook]) -> Plan {
    let job = Hooks {
        before: before.to_vec(),
        after: after.to_vec(),
    };
    Plan::new(
        Some(Program::Shell(b"main".to_vec())),
        job,
        Hooks::default(),
    )
}

// === impl Model ===

impl Model {
    pub fn new(checkpoint: bool, mischief: Mischief) -> Self {
        Self::with_patience(checkpoint, mischief, PATIENCE)
    }

    pub fn with_patience(checkpoint: bool, mischief: Mischief, patience: Duration) -> Self {
        let mut model = Self {
            core: Executor::new(settings(checkpoint, patience)),
            now: Moment::default(),
            mischief,
            subscribing: None,
            up: None,
            refused: false,
            call: None,
            stray: None,
            alive: Vec::new(),
            unacknowledged: Vec::new(),
            seen: Vec::new(),
            refusals: Vec::new(),
            unacknowledged_refusals: Vec::new(),
            launched: false,
            started: Vec::new(),
            ended: Vec::new(),
            terminal_acknowledged: false,
            reported_at: None,
            newest_progress: None,
            sent_sequence: 0,
            is_draining: false,
            drained_since: None,
            asked_to_stop: false,
            has_checks: mischief.findings > 0,
            looking: Vec::new(),
            failures: 0,
            health_is_known: false,
            cut_short: false,
            may_give_up: false,
            exit: None,
        };
        model.tell(Event::Tick, &plan(&[], &[]));
        model
    }

    /// When the core wants to be told that time has passed.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.core.next_deadline()
    }

    /// Lets one thing happen.
    pub fn take(&mut self, step: &Step, plan: &Plan) {
        match step {
            Step::Subscribed => {
                let generation = self.subscribing.take().expect("a step of this state");
                self.up = Some(generation);
                self.refused = false;
                self.tell(
                    Event::Subscribed {
                        generation,
                        killing_state: true,
                    },
                    plan,
                );
            }
            Step::StreamEnds(end) => {
                self.mischief.losses -= 1;
                let generation = self.subscribing.take().or(self.up.take());
                self.give_call_up();
                self.refused = *end == StreamEnd::Refused;
                let generation = generation.expect("a step of this state");
                self.tell(Event::StreamEnded(generation, *end), plan);
            }
            Step::OlderStreamEnds => {
                self.mischief.echoes -= 1;
                let newest = self.subscribing.or(self.up).expect("a step of this state");
                let older = Generation(newest.0 - 1);
                self.tell(Event::StreamEnded(older, StreamEnd::Unknown), plan);
            }
            Step::Launch => {
                self.launched = true;
                self.tell(launch(TASK, plan, self.has_checks), plan);
            }
            Step::LaunchAgain => {
                self.mischief.launches -= 1;
                self.tell(launch(TASK, plan, self.has_checks), plan);
            }
            Step::LaunchAnother => {
                self.mischief.launches -= 1;
                // A framework uses an id once.
                let other = format!("{OTHER}-{}", self.mischief.launches);
                self.tell(launch(&other, plan, false), plan);
            }
            Step::CallArrives(answer) => {
                if *answer != CallAnswer::Accepted {
                    self.mischief.lost_calls -= 1;
                }
                if *answer == CallAnswer::NotSubscribed {
                    self.up = None;
                }
                let (serial, item) = self.call.take().expect("a step of this state");
                if *answer == CallAnswer::Accepted {
                    self.agent_gets(item);
                }
                self.tell(Event::CallAnswered(serial, *answer), plan);
            }
            Step::CallIsLost => {
                self.mischief.lost_calls -= 1;
                let (serial, item) = self.call.take().expect("a step of this state");
                self.agent_gets(item);
                self.tell(Event::CallAnswered(serial, CallAnswer::TryAgain), plan);
            }
            Step::AbandonedCallArrives => {
                self.mischief.echoes -= 1;
                let update = self.stray.take().expect("a step of this state");
                self.receive(update);
            }
            Step::Acknowledge(index) => {
                let update = self.unacknowledged.remove(*index);
                if update.state.is_terminal() {
                    self.terminal_acknowledged |= update.task.0 == TASK;
                    self.unacknowledged
                        .retain(|other| other.task != update.task);
                }
                self.acknowledge(update.uuid, plan);
            }
            Step::AcknowledgeAgain => {
                self.mischief.extra_acknowledgements -= 1;
                let known = self.unacknowledged.iter().any(|u| u.uuid == self.seen[0].0);
                let uuid = if known { Uuid([9; 16]) } else { self.seen[0].0 };
                self.acknowledge(uuid, plan);
            }
            Step::Kill(grace) => {
                self.mischief.kills -= 1;
                self.ask_to_stop(plan);
                self.tell(
                    Event::Kill(TaskId(TASK.into()), Some(Span::saturating(*grace))),
                    plan,
                );
            }
            Step::KillAnother => {
                self.mischief.kills -= 1;
                self.tell(Event::Kill(TaskId(OTHER.into()), None), plan);
            }
            Step::Shutdown => {
                self.mischief.shutdowns -= 1;
                self.may_give_up = true;
                self.ask_to_stop(plan);
                self.tell(Event::Shutdown, plan);
            }
            Step::Ends(id, outcome) => self.end(*id, outcome.clone(), plan),
            Step::EndsLeavingAProcess(id) => {
                self.alive.push(Process::Leftover);
                self.end(*id, Outcome::Exited(0), plan);
            }
            Step::Patch => {
                self.mischief.patches -= 1;
                let value = f64::from(self.mischief.patches);
                let patch = Patch {
                    progress: Percent::new(value),
                    ..Patch::default()
                };
                self.request(ApiRequest::Patch(patch), plan);
            }
            Step::Tracked => {
                self.mischief.patches -= 1;
                let value = u32::from(self.mischief.patches);
                let percent = Percent::new(value.into()).expect("there are few");
                let message = None;
                if !self.is_reported() {
                    self.newest_progress = Some(value);
                }
                let reading = Reading { percent, message };
                self.tell(Event::Task(TaskEvent::Tracked(reading)), plan);
            }
            Step::TrackingEnds => {
                self.is_draining = false;
                self.tell(Event::Task(TaskEvent::TrackingEnded), plan);
            }
            Step::Finds(id, is_healthy) => {
                self.mischief.findings -= 1;
                self.looking.retain(|other| other != id);
                let finding = match is_healthy {
                    true => Finding::Connected,
                    false => Finding::Failed("refused".into()),
                };
                if id.kind == Kind::Health {
                    self.failures = if *is_healthy { 0 } else { self.failures + 1 };
                }
                self.tell(Event::Task(TaskEvent::Probed(*id, finding)), plan);
                assert!(
                    self.failures < MAX_FAILURES || self.asked_to_stop,
                    "it is not killed"
                );
            }
            Step::TimePasses => {
                match (self.subscribing, &self.call) {
                    (Some(_), _) => self.mischief.losses -= 1,
                    (None, Some(_)) => self.mischief.lost_calls -= 1,
                    (None, None) => {}
                }
                let deadline = self.core.next_deadline().expect("a step of this state");
                self.now = self.now.max(deadline);
                self.tell(Event::Tick, plan);
            }
            Step::AnHourPasses => {
                self.mischief.naps -= 1;
                self.now = self.now.plus(HOUR);
                self.tell(Event::Tick, plan);
            }
        }
    }

    /// The call under way gets no answer, but may have been sent.
    fn give_call_up(&mut self) {
        if let Some((_, Item::Update(update))) = self.call.take() {
            self.stray = Some(update);
        }
    }

    fn end(&mut self, id: CommandId, outcome: Outcome, plan: &Plan) {
        self.alive
            .retain(|process| *process != Process::Command(id));
        self.ended.push((id, outcome.succeeded()));
        self.tell(Event::Task(TaskEvent::CommandEnded(id, outcome)), plan);
        self.tell(Event::Task(TaskEvent::ChildrenChanged), plan);
    }

    /// The agent has a call; it forgets nothing that it has.
    fn agent_gets(&mut self, item: Item) {
        if let Item::Update(update) = item {
            self.receive(update);
        }
    }

    fn acknowledge(&mut self, uuid: Uuid, plan: &Plan) {
        self.unacknowledged_refusals.retain(|other| *other != uuid);
        self.tell(Event::Acknowledged(uuid.0.to_vec()), plan);
    }

    /// Gives the core an event, and everything that follows from it at once.
    fn tell(&mut self, event: Event, plan: &Plan) {
        let effects = self.core.step(event, self.clocks());
        self.perform_all(effects, plan);
    }

    /// A command asks for something.
    fn request(&mut self, request: ApiRequest, plan: &Plan) {
        let Answered { reply, effects } = self.core.answer(request, self.clocks());
        match reply {
            Reply::Applied | Reply::AppliedWithoutAgent => {
                assert!(!self.is_reported(), "a change that nobody will hear of");
                self.newest_progress = Some(u32::from(self.mischief.patches));
            }
            Reply::EnvironmentTooLarge
            | Reply::SetForCommands(_)
            | Reply::ReadAtStart(_)
            | Reply::TaskEnded
            | Reply::View(_) => {}
        }
        self.perform_all(effects, plan);
    }

    fn clocks(&self) -> Now {
        Now {
            moment: self.now,
            // It jumps back further than time goes on: nothing may depend on it.
            wall: WallTime(u64::MAX - 1000 * self.now.0.as_millis() as u64),
        }
    }

    fn perform_all(&mut self, effects: Vec<Effect>, plan: &Plan) {
        let mut queue = VecDeque::new();
        for effect in effects {
            queue.extend(self.perform(effect, plan));
        }
        while let Some(event) = queue.pop_front() {
            for effect in self.core.step(Event::Task(event), self.clocks()) {
                queue.extend(self.perform(effect, plan));
            }
        }
    }

    fn perform(&mut self, effect: Effect, plan: &Plan) -> Option<TaskEvent> {
        assert_eq!(self.exit, None, "{} after the exit", effect.name());
        match effect {
            Effect::Subscribe {
                generation,
                updates,
                ..
            } => {
                self.subscribing = Some(generation);
                self.up = None;
                self.call = None;
                // What a subscription carries, the agent has.
                // Of what checks found, it may have any number that are not acknowledged, and two of each
                // kind that it has not: an older one that it may get yet, and the newest.
                let own = updates.iter().filter(|update| {
                    let is_checks = matches!(update.reason, Some(Reason::Checked(_)));
                    update.task.0 == TASK && !(is_checks && self.has_seen(update))
                });
                let most = if self.has_checks { 8 } else { 4 };
                assert!(own.count() <= most, "{updates:?}");
                for update in updates {
                    self.check_sent(&update);
                    self.receive(update);
                }
                None
            }
            Effect::Call(serial, item) => {
                assert!(self.up.is_some(), "a call without a subscription");
                assert_eq!(self.call, None, "two calls at once");
                match &*item {
                    Item::Update(update) => self.check_sent(update),
                    Item::Message(_, Message::Progress(report)) => {
                        assert!(report.sequence >= self.sent_sequence, "an older progress");
                        self.sent_sequence = report.sequence;
                    }
                    Item::Message(_, Message::Directory(_) | Message::ExitCode(_)) => {}
                }
                self.call = Some((serial, *item));
                None
            }
            Effect::AbandonCall => {
                self.give_call_up();
                None
            }
            Effect::Start(start) => {
                let id = start.id;
                self.check_start(id, plan);
                self.started.push(id);
                if is_broken(plan, id) {
                    self.ended.push((id, false));
                    let outcome = Outcome::NotStarted(BROKEN.to_owned());
                    return Some(TaskEvent::CommandEnded(id, outcome));
                }
                self.alive.push(Process::Command(id));
                Some(TaskEvent::CommandStarted(id, Pid(1)))
            }
            Effect::Signal { commands, signal } => {
                let known = |id: &CommandId| self.alive.contains(&Process::Command(*id));
                assert!(commands.iter().all(known), "a signal to what is not alive");
                match signal {
                    StopSignal::Terminate => None,
                    StopSignal::Kill => commands.into_iter().next().map(|id| self.killed(id)),
                }
            }
            Effect::Sweep(_) if !self.looking.is_empty() => {
                panic!("a check's processes are counted as the task's")
            }
            Effect::Sweep(Some(StopSignal::Kill)) => {
                self.alive.retain(|process| *process != Process::Leftover);
                match self.alive.first().copied() {
                    Some(Process::Command(id)) => Some(self.killed(id)),
                    _ => Some(TaskEvent::Swept { alive: 0 }),
                }
            }
            Effect::Sweep(_) => Some(TaskEvent::Swept {
                alive: self.alive.len(),
            }),
            Effect::Say(Line::Completed(task, _), _) => {
                assert_eq!(task.0, TASK, "of the task that was started");
                assert_eq!(self.alive, [], "a process lives at the terminal update");
                assert_eq!(self.reported_at, None, "two terminal updates");
                self.check_draining();
                self.reported_at = Some(self.now);
                None
            }
            Effect::Note(Note::Recorded(TaskState::Error, uuid, _)) => {
                self.unacknowledged_refusals.push(uuid);
                None
            }
            Effect::FinishTracking => {
                assert_eq!(self.alive, [], "the last look would not be the last");
                assert_eq!(self.drained_since, None, "asked twice for the last look");
                self.is_draining = true;
                self.drained_since = Some(self.now);
                None
            }
            Effect::Exit(status) => {
                self.exit = Some(status);
                self.check_exit(status);
                None
            }
            Effect::Note(Note::AgentLost) => {
                self.may_give_up = true;
                self.ask_to_stop(plan);
                None
            }
            Effect::Probe(id, _) => {
                self.check_look(id, plan);
                self.looking.push(id);
                None
            }
            Effect::AbandonProbe(id) => {
                let before = self.looking.len();
                self.looking.retain(|other| *other != id);
                assert_eq!(self.looking.len() + 1, before, "{id:?} does not look");
                // It has taken too long, unless it is the task that ends.
                self.failures += u32::from(id.kind == Kind::Health);
                None
            }
            Effect::Say(Line::Killing(..), _) if !self.asked_to_stop => {
                assert!(self.failures >= MAX_FAILURES, "nobody wants it to end");
                self.ask_to_stop(plan);
                None
            }
            Effect::ReapOrphans
            | Effect::Publish(_)
            | Effect::Track(_)
            | Effect::Say(..)
            | Effect::Note(_) => None,
        }
    }

    fn killed(&mut self, id: CommandId) -> TaskEvent {
        self.alive
            .retain(|process| *process != Process::Command(id));
        self.ended.push((id, false));
        let outcome = Outcome::Signalled {
            signal: 9,
            core_dumped: false,
        };
        TaskEvent::CommandEnded(id, outcome)
    }
}

/// A check and a health check of the same service.
fn checks() -> CheckPlan {
    let check = Check {
        probe: Probe::Tcp(Address {
            family: Family::V4,
            port: NonZeroU16::MIN,
        }),
        times: Times {
            delay: Span::ZERO,
            interval: Interval::at_least_min(Span::saturating(Duration::from_secs(10))),
            timeout: Some(Span::saturating(Duration::from_secs(20))),
        },
    };
    CheckPlan {
        check: Some(check.clone()),
        health: Some(HealthCheck {
            check,
            statuses: Vec::new(),
            grace: Span::ZERO,
            failures: MAX_FAILURES,
        }),
    }
}

fn launch(task: &str, plan: &Plan, has_checks: bool) -> Event {
    Event::Launch(vec![LaunchedTask {
        identity: Identity {
            task: TaskId(task.into()),
            agent: AgentId("agent".into()),
            name: Vec::new(),
        },
        work: Ok(Work {
            plan: plan.clone(),
            environment: Vec::new(),
            for_commands: Vec::new(),
            executor_environment: Vec::new(),
            kill_grace: None,
            maximum_run_time: None,
            checks: match has_checks {
                true => checks(),
                false => CheckPlan::default(),
            },
        }),
        audience: Audience::Everybody,
    }])
}

fn is_broken(plan: &Plan, id: CommandId) -> bool {
    let program = plan.get(id).map(|command| &command.program);
    matches!(program, Some(Program::Shell(script)) if script == BROKEN.as_bytes())
}

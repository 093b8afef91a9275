//! The core in a model of the world that is as hostile as the real one: commands end in any way or never,
//! ignore SIGTERM and leave processes behind; the agent goes away, refuses, forgets, loses calls, repeats
//! and reorders acknowledgements, launches again, and kills at any time. Time passes when nothing else can
//! happen: to the core's next deadline, or by an hour.

mod checks;
mod commands;
mod job;
mod leftovers;
mod promises;
mod steps;
mod world;

use std::time::Duration;

use cook_executor::core::checks::ProbeId;
use cook_executor::core::effect::ExitStatus;
use cook_executor::core::event::{Event, TaskEvent};
use cook_executor::core::executor::Executor;
use cook_executor::core::outbox::{CallAnswer, Item, Serial, TaskState, Update};
use cook_executor::core::plan::{CommandId, TaskRefusal};
use cook_executor::core::progress::Reading;
use cook_executor::core::request::{ApiRequest, Patch};
use cook_executor::core::session::{Generation, StreamEnd};
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::{Moment, Percent, Span, TaskId, Uuid};

use commands::Commands;
pub use job::{Job, hook, hooks, plan, plan_with};
use job::{launch, launched, settings};
pub use leftovers::Leftover;
use leftovers::Sweeps;

/// How often each kind of fault may happen in a walk. This limits the walk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mischief {
    /// The agent does only what it should, and immediately.
    pub prompt_agent: bool,
    pub kills: u8,
    pub shutdowns: u8,
    /// Streams that end, and subscriptions that are refused or never answered.
    pub losses: u16,
    pub lost_calls: u8,
    pub extra_acknowledgements: u8,
    pub patches: u8,
    /// The late end of an older stream, and a call that arrives after it was abandoned.
    pub echoes: u8,
    /// A LAUNCH of the same task again, or of another one.
    pub launches: u8,
    /// The executor does not run for an hour.
    pub naps: u8,
    /// Results of checks. If 0, the task has no checks.
    pub findings: u8,
    /// The system has no resources for new processes.
    pub shortages: u8,
    /// The launched task may be invalid, or a group.
    pub odd_launches: bool,
    /// Kills may have the maximum grace period, and the executor may not run for as long.
    pub extremes: bool,
    /// Commands may also leave readers and processes of other users behind.
    pub odd_leftovers: bool,
}

/// No faults.
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
    shortages: 0,
    odd_launches: false,
    extremes: false,
    odd_leftovers: false,
};

/// A process in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Process {
    Command(CommandId),
    /// A process that a command has left behind and that ignores SIGTERM.
    Leftover,
    /// A reader of a command's output, which may end by itself.
    Reader,
    /// A process of another user, which cannot be ended.
    Beyond,
}

/// The core, and everything that the world and its observers know.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Model {
    core: Executor,
    pub now: Moment,
    pub mischief: Mischief,
    /// SUBSCRIBE was sent or accepted.
    subscribing: Option<Generation>,
    up: Option<Generation>,
    /// The agent refuses this executor, which then tries less often than with an agent that is away.
    agent_refuses: bool,
    /// When the last subscription ended.
    seen_at: Moment,
    call: Option<(Serial, Item)>,
    /// An abandoned call with an update, which may still arrive.
    stray: Option<Update>,
    alive: Vec<Process>,
    sweeps: Sweeps,
    /// Updates that the agent has received and not acknowledged, in the order of arrival.
    unacknowledged: Vec<Update>,
    seen: Vec<(Uuid, TaskState)>,
    /// The updates about other tasks that the agent has received.
    refusals: Vec<(Uuid, TaskId)>,
    /// Recorded updates about them that are not acknowledged.
    unacknowledged_refusals: Vec<Uuid>,
    launched_at: Option<Moment>,
    /// The launched task was invalid, or a group.
    is_refused: bool,
    /// The task has only hooks.
    has_no_command: bool,
    /// The system has resources for new processes.
    has_room: bool,
    commands: Commands,
    terminal_acknowledged: bool,
    /// When the terminal update was recorded; since then only its acknowledgement is missing.
    reported_at: Option<Moment>,
    newest_progress: Option<u32>,
    sent_sequence: u32,
    /// The task's last output is being read.
    is_draining: bool,
    /// Since when.
    drained_since: Option<Moment>,
    asked_to_stop: bool,
    /// The task has a check and a health check.
    has_checks: bool,
    /// The probes in flight.
    probes_in_flight: Vec<ProbeId>,
    /// How many consecutive failures of the health check are possible.
    failures: u32,
    /// An update had a value for `healthy`.
    health_is_known: bool,
    was_killed_early: bool,
    /// The maximum run time has passed while the command was running, or before.
    is_over_time: bool,
    /// The task was stopped before its after commands began.
    cut_short: bool,
    /// The executor need not wait long for the acknowledgement: SHUTDOWN, or the agent is lost.
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
    /// An invalid task.
    LaunchInvalid,
    /// Two tasks together.
    LaunchGroup,
    LaunchAgain,
    LaunchAnother,
    CallArrives(CallAnswer),
    /// The agent receives the call, but its response is lost.
    CallIsLost,
    AbandonedCallArrives,
    Acknowledge(usize),
    AcknowledgeAgain,
    Kill(Span),
    KillAnother,
    Shutdown,
    Ends(CommandId, Outcome),
    EndsLeaving(CommandId, Leftover),
    /// A reader has read everything, or a process of another user has ended.
    LeftoverEnds(Leftover),
    Patch,
    /// The task has written progress to a file, and it was read.
    Tracked,
    TrackingEnds,
    /// A probe has a result: healthy or not.
    Finds(ProbeId, bool),
    RoomRunsOut,
    RoomIsBack,
    TimePasses,
    AnHourPasses,
    AnAgePasses,
}

const TASK: &str = "task";
const OTHER: &str = "other";
const IN_GROUP: &str = "in-group";

const GRACE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

/// A command that cannot be started.
pub const BROKEN: &str = "broken";

/// Maximum wait until an attempt to subscribe to an agent that is back.
const RETRY: Duration = Duration::from_millis(250);
/// The same for an agent that has refused, or that was away for more than a [`SHORT_OUTAGE`].
const LATE_RETRY: Duration = Duration::from_secs(1);
const SHORT_OUTAGE: Duration = Duration::from_secs(60);

/// How long a connected agent may take for the terminal acknowledgement.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum time for reading the task's last output.
const DRAINING: Duration = Duration::from_secs(2);

/// How long the executor waits for an agent that is away, unless a walk sets it.
const PATIENCE: Duration = Duration::from_secs(20);

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
            agent_refuses: false,
            seen_at: Moment::default(),
            call: None,
            stray: None,
            alive: Vec::new(),
            sweeps: Sweeps::default(),
            unacknowledged: Vec::new(),
            seen: Vec::new(),
            refusals: Vec::new(),
            unacknowledged_refusals: Vec::new(),
            launched_at: None,
            is_refused: false,
            has_no_command: false,
            has_room: true,
            commands: Commands::default(),
            terminal_acknowledged: false,
            reported_at: None,
            newest_progress: None,
            sent_sequence: 0,
            is_draining: false,
            drained_since: None,
            asked_to_stop: false,
            has_checks: mischief.findings > 0,
            probes_in_flight: Vec::new(),
            failures: 0,
            health_is_known: false,
            was_killed_early: false,
            is_over_time: false,
            cut_short: false,
            may_give_up: false,
            exit: None,
        };
        model.tell(Event::Tick, &Job::new(plan(&[], &[])));
        model
    }

    /// Ends the subscription.
    fn lose(&mut self) -> Option<Generation> {
        self.up.take().inspect(|_| self.seen_at = self.now)
    }

    /// The core's next deadline.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.core.next_deadline()
    }

    /// Lets one thing happen.
    pub fn take(&mut self, step: &Step, job: &Job) {
        match step {
            Step::Subscribed => {
                let generation = self.subscribing.take().expect("a step of this state");
                self.up = Some(generation);
                self.agent_refuses = false;
                self.tell(
                    Event::Subscribed {
                        generation,
                        killing_state: true,
                    },
                    job,
                );
            }
            Step::StreamEnds(end) => {
                self.mischief.losses -= 1;
                let generation = self.subscribing.take().or_else(|| self.lose());
                self.give_call_up();
                self.agent_refuses = *end == StreamEnd::Refused;
                let generation = generation.expect("a step of this state");
                self.tell(Event::StreamEnded(generation, *end), job);
            }
            Step::OlderStreamEnds => {
                self.mischief.echoes -= 1;
                let newest = self.subscribing.or(self.up).expect("a step of this state");
                let older = Generation(newest.0 - 1);
                self.tell(Event::StreamEnded(older, StreamEnd::Unknown), job);
            }
            Step::Launch => {
                self.launched_at = Some(self.now);
                self.has_no_command = job.plan.main().is_none();
                self.tell(launch(&[TASK], job, self.has_checks), job);
            }
            Step::LaunchInvalid => {
                self.launched_at = Some(self.now);
                self.is_refused = true;
                let refusal = TaskRefusal("no command".to_owned());
                self.tell(Event::Launch(vec![launched(TASK, Err(refusal))]), job);
            }
            Step::LaunchGroup => {
                self.launched_at = Some(self.now);
                self.is_refused = true;
                self.reported_at = Some(self.now);
                self.tell(launch(&[TASK, IN_GROUP], job, self.has_checks), job);
            }
            Step::LaunchAgain => {
                self.mischief.launches -= 1;
                self.tell(launch(&[TASK], job, self.has_checks), job);
            }
            Step::LaunchAnother => {
                self.mischief.launches -= 1;
                // A framework uses each id only once.
                let other = format!("{OTHER}-{}", self.mischief.launches);
                self.tell(launch(&[&other], job, false), job);
            }
            Step::CallArrives(answer) => {
                if *answer != CallAnswer::Accepted {
                    self.mischief.lost_calls -= 1;
                }
                if *answer == CallAnswer::NotSubscribed {
                    self.lose();
                }
                let (serial, item) = self.call.take().expect("a step of this state");
                if *answer == CallAnswer::Accepted {
                    self.agent_gets(item);
                }
                self.tell(Event::CallAnswered(serial, *answer), job);
            }
            Step::CallIsLost => {
                self.mischief.lost_calls -= 1;
                let (serial, item) = self.call.take().expect("a step of this state");
                self.agent_gets(item);
                self.tell(Event::CallAnswered(serial, CallAnswer::TryAgain), job);
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
                self.acknowledge(update.uuid, job);
            }
            Step::AcknowledgeAgain => {
                self.mischief.extra_acknowledgements -= 1;
                let known = self.unacknowledged.iter().any(|u| u.uuid == self.seen[0].0);
                let uuid = if known { Uuid([9; 16]) } else { self.seen[0].0 };
                self.acknowledge(uuid, job);
            }
            Step::Kill(grace) => {
                self.mischief.kills -= 1;
                self.ask_to_stop(job);
                self.tell(Event::Kill(TaskId(TASK.into()), Some(*grace)), job);
            }
            Step::KillAnother => {
                self.mischief.kills -= 1;
                self.tell(Event::Kill(TaskId(OTHER.into()), None), job);
            }
            Step::Shutdown => {
                self.mischief.shutdowns -= 1;
                self.may_give_up = true;
                self.ask_to_stop(job);
                self.tell(Event::Shutdown, job);
            }
            Step::Ends(id, outcome) => self.end(*id, outcome.clone(), job),
            Step::EndsLeaving(id, leftover) => {
                self.alive.push(leftover.process());
                self.end(*id, Outcome::Exited(0), job);
            }
            Step::LeftoverEnds(leftover) => {
                self.alive.retain(|process| *process != leftover.process());
                self.tell(Event::Task(TaskEvent::ChildrenChanged), job);
            }
            Step::Patch => {
                self.mischief.patches -= 1;
                let value = f64::from(self.mischief.patches);
                let patch = Patch {
                    progress: Percent::new(value),
                    ..Patch::default()
                };
                self.request(ApiRequest::Patch(patch), job);
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
                self.tell(Event::Task(TaskEvent::Tracked(reading)), job);
            }
            Step::TrackingEnds => {
                self.is_draining = false;
                self.tell(Event::Task(TaskEvent::TrackingEnded), job);
            }
            Step::TimePasses => {
                match (self.subscribing, &self.call) {
                    (Some(_), _) => self.mischief.losses -= 1,
                    (None, Some(_)) => self.mischief.lost_calls -= 1,
                    (None, None) => {}
                }
                let deadline = self.core.next_deadline().expect("a step of this state");
                self.pass_time(self.now.max(deadline), job);
            }
            Step::AnHourPasses => {
                self.mischief.naps -= 1;
                self.sweeps.has_napped = true;
                self.pass_time(self.now.plus(HOUR), job);
            }
            Step::AnAgePasses => {
                self.mischief.naps -= 1;
                self.sweeps.has_napped = true;
                self.pass_time(self.now.plus(Span::MAX), job);
            }
            Step::Finds(id, is_healthy) => self.finds(*id, *is_healthy, job),
            Step::RoomRunsOut => {
                self.mischief.shortages -= 1;
                self.has_room = false;
            }
            Step::RoomIsBack => self.has_room = true,
        }
    }

    fn pass_time(&mut self, now: Moment, job: &Job) {
        self.now = now;
        let limit = self.launched_at.zip(job.maximum_run_time);
        let is_over = limit.is_some_and(|(since, limit)| since.plus(limit) <= now);
        let commands = &self.commands;
        let is_running =
            commands.after_since.is_none() && commands.succeeded.is_none() && !commands.is_clearing;
        if is_over && is_running && !self.is_refused && !self.asked_to_stop {
            self.cut_short = true;
            self.is_over_time = true;
        }
        self.tell(Event::Tick, job);
    }

    /// Abandons the call, which may have been sent.
    fn give_call_up(&mut self) {
        if let Some((_, Item::Update(update))) = self.call.take() {
            self.stray = Some(update);
        }
    }

    fn end(&mut self, id: CommandId, outcome: Outcome, job: &Job) {
        self.alive
            .retain(|process| *process != Process::Command(id));
        self.has_ended(id);
        self.tell(Event::Task(TaskEvent::CommandEnded(id, outcome)), job);
        self.tell(Event::Task(TaskEvent::ChildrenChanged), job);
    }

    /// The agent receives a call. It never forgets one.
    fn agent_gets(&mut self, item: Item) {
        if let Item::Update(update) = item {
            self.receive(update);
        }
    }

    fn acknowledge(&mut self, uuid: Uuid, job: &Job) {
        self.unacknowledged_refusals.retain(|other| *other != uuid);
        self.tell(Event::Acknowledged(uuid.0.to_vec()), job);
    }
}

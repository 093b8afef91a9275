//! The core, walked through: every reachable state of every small plan, with every event that can come
//! in it, against the promises that must hold in all of them; and long random walks of larger plans.
//!
//! The world of the model is as hostile as the real one: commands end as they like or not at all,
//! ignore SIGTERM, leave processes behind; the agent goes away, loses calls, repeats and forgets
//! acknowledgements, kills at any moment. Time passes only when nothing else is left to happen.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use cook_executor::core::effect::{Effect, ExitStatus};
use cook_executor::core::environment::Environment;
use cook_executor::core::event::{Event, Identity, Launch, RequestId, Work};
use cook_executor::core::executor::{Executor, Settings};
use cook_executor::core::outbox::{Answer, Item, Message, Serial, TaskState, Update};
use cook_executor::core::plan::{CommandId, Hook, Hooks, Part, Plan, Program};
use cook_executor::core::request::{Patch, Reply, Request};
use cook_executor::core::session::{Generation, Policy, StreamEnd};
use cook_executor::outcome::Outcome;
use cook_executor::units::{AgentId, Moment, Now, Percent, TaskId, Uuid};
use cook_executor::units::{Pid, StopSignal};

/// How often each kind of mischief may happen in one walk; this is what bounds the walk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Mischief {
    /// The agent does nothing but what it should, and at once.
    prompt_agent: bool,
    kills: u8,
    shutdowns: u8,
    losses: u8,
    lost_calls: u8,
    extra_acknowledgements: u8,
    patches: u8,
}

/// A process of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Process {
    Command(CommandId),
    /// Something a command left behind; the most stubborn kind, which ignores SIGTERM.
    Leftover,
}

/// The core, and all that the world and its observers know.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Model {
    core: Executor,
    now: Moment,
    mischief: Mischief,
    /// SUBSCRIBE was sent, or the subscription stands.
    subscribing: Option<Generation>,
    up: Option<Generation>,
    call: Option<Serial>,
    alive: Vec<Process>,
    /// Updates that the agent has, in the order in which it got them, and has not acknowledged.
    unacknowledged: Vec<Update>,
    seen: Vec<(Uuid, TaskState)>,
    launched: bool,
    started: Vec<CommandId>,
    ended: Vec<(CommandId, bool)>,
    terminal_acknowledged: bool,
    newest_progress: Option<u32>,
    sent_sequence: u32,
    asked_to_stop: bool,
    exit: Option<ExitStatus>,
}

/// One thing that may happen next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Subscribed,
    StreamEnds(StreamEnd),
    Launch,
    CallArrives(Answer),
    /// The agent got the call, and its answer is lost.
    CallIsLost,
    Acknowledge(usize),
    AcknowledgeAgain,
    Kill(Duration),
    Shutdown,
    Ends(CommandId, Outcome),
    EndsLeavingAProcess(CommandId),
    Patch,
    TimePasses,
}

const TASK: &str = "task";
const GRACE: Duration = Duration::from_secs(5);

fn settings(checkpoint: bool) -> Settings {
    Settings {
        environment: Environment::default(),
        shutdown_grace: GRACE,
        progress_interval: Duration::from_secs(1),
        message_limit: 64,
        directory: Some("/sandbox".into()),
        policy: Policy {
            checkpoint,
            recovery_timeout: Duration::from_secs(20),
            backoff_max: Duration::from_secs(2),
            spread: 0,
        },
        uuid_seed: [0; 16],
    }
}

fn hook(guard: bool, is_async: bool) -> Hook {
    Hook {
        value: "hook".into(),
        guard,
        is_async,
        timeout: None,
    }
}

fn plan(before: &[Hook], after: &[Hook]) -> Plan {
    let job = Hooks {
        before: before.to_vec(),
        after: after.to_vec(),
    };
    Plan::new(Program::Shell(b"main".to_vec()), job, Hooks::default())
}

// === impl Model ===

impl Model {
    fn new(checkpoint: bool, mischief: Mischief) -> Self {
        let mut model = Self {
            core: Executor::new(settings(checkpoint)),
            now: Moment::default(),
            mischief,
            subscribing: None,
            up: None,
            call: None,
            alive: Vec::new(),
            unacknowledged: Vec::new(),
            seen: Vec::new(),
            launched: false,
            started: Vec::new(),
            ended: Vec::new(),
            terminal_acknowledged: false,
            newest_progress: None,
            sent_sequence: 0,
            asked_to_stop: false,
            exit: None,
        };
        model.tell(Event::Tick, &plan(&[], &[]));
        model
    }

    /// Everything that may happen next.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.exit.is_some() {
            return steps;
        }
        if self.mischief.prompt_agent
            && let Some(step) = self.prompt_step()
        {
            return vec![step];
        }
        if self.subscribing.is_some() {
            steps.push(Step::Subscribed);
        }
        if self.mischief.losses > 0 && (self.subscribing.is_some() || self.up.is_some()) {
            steps.push(Step::StreamEnds(StreamEnd::Disconnected));
        }
        if self.up.is_some() {
            if !self.launched {
                steps.push(Step::Launch);
            }
            if self.mischief.kills > 0 {
                steps.push(Step::Kill(GRACE));
                steps.push(Step::Kill(Duration::ZERO));
            }
            if self.mischief.shutdowns > 0 {
                steps.push(Step::Shutdown);
            }
            if self.call.is_some() {
                steps.push(Step::CallArrives(Answer::Accepted));
                if self.mischief.lost_calls > 0 {
                    steps.push(Step::CallArrives(Answer::TryAgain));
                    steps.push(Step::CallArrives(Answer::NotSubscribed));
                    steps.push(Step::CallIsLost);
                }
            }
            for index in 0..self.unacknowledged.len().min(2) {
                steps.push(Step::Acknowledge(index));
            }
            if self.mischief.extra_acknowledgements > 0 && !self.seen.is_empty() {
                steps.push(Step::AcknowledgeAgain);
            }
        }
        for process in &self.alive {
            if let Process::Command(id) = process {
                for outcome in [Outcome::Exited(0), Outcome::Exited(1)] {
                    steps.push(Step::Ends(*id, outcome));
                }
                if !self.alive.contains(&Process::Leftover) {
                    steps.push(Step::EndsLeavingAProcess(*id));
                }
            }
        }
        if self.mischief.patches > 0 && self.launched {
            steps.push(Step::Patch);
        }
        // An agent that is silent for long enough to be given up is one that is lost.
        let is_awaited = match (self.subscribing, self.call) {
            (Some(_), _) => self.mischief.losses == 0,
            (None, Some(_)) => self.mischief.lost_calls == 0,
            (None, None) => false,
        };
        if self.core.next_deadline().is_some() && !is_awaited {
            steps.push(Step::TimePasses);
        }
        steps
    }

    /// What a good agent does next, if it has anything to do.
    fn prompt_step(&self) -> Option<Step> {
        if self.subscribing.is_some() {
            return Some(Step::Subscribed);
        }
        self.up?;
        if self.call.is_some() {
            return Some(Step::CallArrives(Answer::Accepted));
        }
        if !self.unacknowledged.is_empty() {
            return Some(Step::Acknowledge(0));
        }
        (!self.launched && self.mischief.kills == 0).then_some(Step::Launch)
    }

    /// Lets one thing happen.
    fn take(&mut self, step: &Step, plan: &Plan) {
        match step {
            Step::Subscribed => {
                let generation = self.subscribing.take().expect("a step of this state");
                self.up = Some(generation);
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
                self.call = None;
                let generation = generation.expect("a step of this state");
                self.tell(Event::StreamEnded(generation, *end), plan);
            }
            Step::Launch => {
                self.launched = true;
                let launch = Launch {
                    identity: Identity {
                        task: TaskId(TASK.into()),
                        agent: AgentId("agent".into()),
                        name: Vec::new(),
                    },
                    work: Ok(Work {
                        plan: plan.clone(),
                        environment: Vec::new(),
                        kill_grace: None,
                        maximum_run_time: None,
                    }),
                };
                self.tell(Event::Launch(vec![launch]), plan);
            }
            Step::CallArrives(answer) => {
                if *answer != Answer::Accepted {
                    self.mischief.lost_calls -= 1;
                }
                if *answer == Answer::NotSubscribed {
                    self.up = None;
                }
                let serial = self.call.take().expect("a step of this state");
                if *answer == Answer::Accepted {
                    self.agent_gets(serial);
                }
                self.tell(Event::CallAnswered(serial, *answer), plan);
            }
            Step::CallIsLost => {
                self.mischief.lost_calls -= 1;
                let serial = self.call.take().expect("a step of this state");
                self.agent_gets(serial);
                self.tell(Event::CallAnswered(serial, Answer::TryAgain), plan);
            }
            Step::Acknowledge(index) => {
                let update = self.unacknowledged.remove(*index);
                if update.state.is_terminal() {
                    self.terminal_acknowledged = true;
                    self.unacknowledged.clear();
                }
                self.tell(Event::Acknowledged(update.uuid.0.to_vec()), plan);
            }
            Step::AcknowledgeAgain => {
                self.mischief.extra_acknowledgements -= 1;
                let known = self.unacknowledged.iter().any(|u| u.uuid == self.seen[0].0);
                let uuid = if known { Uuid([9; 16]) } else { self.seen[0].0 };
                self.tell(Event::Acknowledged(uuid.0.to_vec()), plan);
            }
            Step::Kill(grace) => {
                self.mischief.kills -= 1;
                self.asked_to_stop |= !self.is_reported();
                self.tell(Event::Kill(TaskId(TASK.into()), Some(*grace)), plan);
            }
            Step::Shutdown => {
                self.mischief.shutdowns -= 1;
                self.asked_to_stop |= !self.is_reported();
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
                self.tell(Event::Request(RequestId(1), Request::Patch(patch)), plan);
            }
            Step::TimePasses => {
                match (self.subscribing, self.call) {
                    (Some(_), _) => self.mischief.losses -= 1,
                    (None, Some(_)) => self.mischief.lost_calls -= 1,
                    (None, None) => {}
                }
                let deadline = self.core.next_deadline().expect("a step of this state");
                self.now = self.now.max(deadline);
                self.tell(Event::Tick, plan);
            }
        }
    }

    fn end(&mut self, id: CommandId, outcome: Outcome, plan: &Plan) {
        self.alive
            .retain(|process| *process != Process::Command(id));
        self.ended.push((id, outcome.succeeded()));
        self.tell(Event::CommandEnded(id, outcome), plan);
        self.tell(Event::OrphanEnded, plan);
    }

    /// The agent has a call; it forgets nothing that it has.
    fn agent_gets(&mut self, serial: Serial) {
        let outbox = self.core.outbox();
        if let Some(Item::Update(update)) = outbox.get(serial) {
            let update = update.clone();
            self.receive(update);
        }
    }

    fn receive(&mut self, update: Update) {
        assert!(
            !self.terminal_acknowledged,
            "{:?} was sent after the terminal acknowledgement",
            update.state
        );
        if !self.seen.iter().any(|(uuid, _)| *uuid == update.uuid) {
            self.seen.push((update.uuid, update.state));
            self.check_order();
        }
        if !self
            .unacknowledged
            .iter()
            .any(|other| other.uuid == update.uuid)
        {
            self.unacknowledged.push(update);
        }
    }

    /// I1, I2: each update once, in order, exactly one terminal one at the end.
    fn check_order(&self) {
        let rank = |state: TaskState| match state {
            TaskState::Starting => 0,
            TaskState::Running => 1,
            TaskState::Killing => 2,
            TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Error => 3,
        };
        let ranks: Vec<_> = self.seen.iter().map(|(_, state)| rank(*state)).collect();
        assert!(
            ranks.windows(2).all(|pair| pair[0] < pair[1]),
            "updates out of order: {:?}",
            self.seen
        );
    }

    fn is_reported(&self) -> bool {
        self.core
            .outbox()
            .updates()
            .any(|update| update.state.is_terminal())
            || self.terminal_acknowledged
    }

    /// Gives the core an event, and everything that follows from it at once.
    fn tell(&mut self, event: Event, plan: &Plan) {
        let mut queue = vec![event];
        while !queue.is_empty() {
            let now = Now {
                moment: self.now,
                ..Now::default()
            };
            for effect in self.core.step(queue.remove(0), now) {
                queue.extend(self.perform(effect, plan));
            }
        }
    }

    fn perform(&mut self, effect: Effect, plan: &Plan) -> Option<Event> {
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
                let states: Vec<_> = updates.iter().map(|update| update.state).collect();
                assert!(states.len() <= 4, "{states:?}");
                for update in updates {
                    self.receive(update);
                }
                None
            }
            Effect::Call(serial, item) => {
                assert!(self.up.is_some(), "a call without a subscription");
                assert_eq!(self.call, None, "two calls at once");
                if let Item::Message(_, Message::Progress(report)) = *item {
                    assert!(report.sequence >= self.sent_sequence, "an older progress");
                    self.sent_sequence = report.sequence;
                }
                self.call = Some(serial);
                None
            }
            Effect::AbandonCall => {
                self.call = None;
                None
            }
            Effect::Start(id) => {
                self.check_start(id, plan);
                self.started.push(id);
                self.alive.push(Process::Command(id));
                Some(Event::CommandStarted(id, Pid(1)))
            }
            Effect::Signal { commands, signal } => {
                let known = |id: &CommandId| self.alive.contains(&Process::Command(*id));
                assert!(commands.iter().all(known), "a signal to what is not alive");
                match signal {
                    StopSignal::Terminate => None,
                    StopSignal::Kill => commands.into_iter().next().map(|id| self.killed(id)),
                }
            }
            Effect::Sweep(Some(StopSignal::Kill)) => {
                self.alive.retain(|process| *process != Process::Leftover);
                match self.alive.first().copied() {
                    Some(Process::Command(id)) => Some(self.killed(id)),
                    _ => Some(Event::Swept { alive: 0 }),
                }
            }
            Effect::Sweep(_) => Some(Event::Swept {
                alive: self.alive.len(),
            }),
            Effect::Reply(_, reply) => {
                match reply {
                    Reply::Applied | Reply::AppliedWithoutAgent => {
                        self.newest_progress = Some(u32::from(self.mischief.patches));
                    }
                    Reply::EnvironmentTooLarge | Reply::TaskEnded | Reply::View(_) => {}
                }
                None
            }
            Effect::Exit(status) => {
                self.exit = Some(status);
                self.check_exit(status);
                None
            }
            Effect::ReapOrphans | Effect::Publish(_) | Effect::Say(_) | Effect::Note(_) => None,
        }
    }

    fn killed(&mut self, id: CommandId) -> Event {
        self.alive
            .retain(|process| *process != Process::Command(id));
        self.ended.push((id, false));
        let outcome = Outcome::Signalled {
            signal: 9,
            core_dumped: false,
        };
        Event::CommandEnded(id, outcome)
    }

    /// I5, I6: order, guards, nothing twice, and what a kill leaves to start.
    fn check_start(&self, id: CommandId, plan: &Plan) {
        let command = plan.get(id).expect("of this plan");
        assert!(!self.started.contains(&id), "{id:?} started twice");
        assert!(!self.is_reported(), "{id:?} started after the end");
        let has_ended = |id: CommandId| self.ended.iter().any(|(other, _)| *other == id);
        for (earlier, other) in plan.iter().take_while(|(other, _)| *other < id) {
            let was_started = self.started.contains(&earlier);
            if was_started && !other.is_async {
                assert!(
                    has_ended(earlier),
                    "{id:?} started before {earlier:?} ended"
                );
            }
            assert!(
                was_started || self.asked_to_stop,
                "{id:?} started without {earlier:?}"
            );
        }
        if self.asked_to_stop {
            assert!(
                matches!(command.part, Part::After(_)),
                "{id:?} started after a kill"
            );
        }
        assert!(
            !self.asked_to_stop
                || !self
                    .alive
                    .iter()
                    .any(|p| matches!(p, Process::Command(other)
                if *other <= plan.main())),
            "an after command started while what was killed still ran"
        );
    }

    /// I3, I4: who leaves with success has told everything, and nobody leaves a process behind.
    fn check_exit(&self, status: ExitStatus) {
        assert_eq!(self.alive, [], "left alive at the exit");
        if status == ExitStatus::Done && self.launched {
            assert!(
                self.terminal_acknowledged,
                "exit 0 without the acknowledgement"
            );
        }
    }

    /// What must hold in every state.
    fn check(&self) {
        if let Some(update) = self
            .core
            .outbox()
            .updates()
            .find(|update| update.state.is_terminal())
        {
            assert_eq!(self.alive, [], "a process lives at the terminal update");
            if self.asked_to_stop {
                assert_eq!(update.state, TaskState::Killed);
            }
            let result = update
                .result
                .as_ref()
                .expect("a task that ran has a result");
            let newest = self.newest_progress.map(f64::from);
            assert_eq!(result.progress.map(Percent::get), newest, "I9");
        }
        // I11: something is always left to happen.
        assert!(
            self.exit.is_some() || !self.steps().is_empty(),
            "nothing can happen any more"
        );
    }
}

/// Visits every state that can be reached, and says how many there are.
fn walk(plan: &Plan, checkpoint: bool, mischief: Mischief) -> usize {
    let first = Model::new(checkpoint, mischief);
    let mut known = HashSet::from([digest(&first)]);
    let mut trail: Vec<(usize, Step)> = Vec::new();
    let mut frontier = vec![(first, None)];
    let mut left_well = false;
    while let Some((model, came_by)) = frontier.pop() {
        left_well |= model.exit == Some(ExitStatus::Done);
        for step in model.steps() {
            let next = guarded(&model, &step, plan, || way(&trail, came_by));
            if known.insert(digest(&next)) {
                trail.push((came_by.map_or(usize::MAX, |index: usize| index), step));
                frontier.push((next, Some(trail.len() - 1)));
            }
        }
    }
    assert!(left_well, "no walk ends well");
    known.len()
}

/// States are told apart by 64 bits: a clash would hide one of some hundred thousand.
fn digest(model: &Model) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(model)
}

fn way(trail: &[(usize, Step)], mut at: Option<usize>) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((before, step)) = at.and_then(|index| trail.get(index)) {
        steps.push(step.clone());
        at = Some(*before);
    }
    steps.reverse();
    steps
}

/// Takes a step; a broken promise is reported with the whole way that led to it.
fn guarded(model: &Model, step: &Step, plan: &Plan, way: impl Fn() -> Vec<Step>) -> Model {
    let mut next = model.clone();
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        next.take(step, plan);
        next.check();
        next
    }));
    attempt.unwrap_or_else(|_| panic!("after {:#?}, {step:?}", way()))
}

/// All flags for a list of `count` hooks.
fn all_hooks(count: usize) -> Vec<Vec<Hook>> {
    let kinds = [(false, false), (true, false), (false, true), (true, true)];
    let mut lists = vec![Vec::new()];
    for _ in 0..count {
        let longer = lists.iter().flat_map(|list| {
            kinds.map(|(guard, is_async)| [list.clone(), vec![hook(guard, is_async)]].concat())
        });
        lists = longer.collect();
    }
    lists
}

const QUIET: Mischief = Mischief {
    prompt_agent: true,
    kills: 0,
    shutdowns: 0,
    losses: 0,
    lost_calls: 0,
    extra_acknowledgements: 0,
    patches: 0,
};

/// Every plan with up to so many hooks in all.
fn plans(most: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for count in 0..=most {
        for before in 0..=count {
            for before in &all_hooks(before) {
                for after in &all_hooks(count - before.len()) {
                    plans.push(plan(before, after));
                }
            }
        }
    }
    plans
}

fn walk_all(plans: &[Plan], mischief: Mischief) {
    let states: usize = plans.iter().map(|plan| walk(plan, true, mischief)).sum();
    println!("{} plans, {states} states", plans.len());
}

#[test]
fn every_plan_of_up_to_three_hooks_keeps_its_promises() {
    walk_all(&plans(3), QUIET);
}

#[test]
fn every_plan_of_up_to_two_hooks_keeps_its_promises_when_it_is_killed_twice_at_any_moment() {
    let mischief = Mischief { kills: 2, ..QUIET };
    walk_all(&plans(2), mischief);
}

#[test]
fn every_plan_of_one_hook_keeps_its_promises_when_it_is_killed_and_shut_down() {
    let mischief = Mischief {
        kills: 1,
        shutdowns: 2,
        patches: 1,
        ..QUIET
    };
    walk_all(&plans(1), mischief);
}

#[test]
fn nothing_is_lost_or_doubled_whatever_the_agent_and_the_network_do() {
    let mischief = Mischief {
        prompt_agent: false,
        losses: 1,
        lost_calls: 1,
        extra_acknowledgements: 1,
        ..QUIET
    };
    walk_all(&plans(0), mischief);
}

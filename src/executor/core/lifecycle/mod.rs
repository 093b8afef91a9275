//! The life of one task, from its LAUNCH to the acknowledgement of its terminal update.
//!
//! ```text
//!                 a command ended: the next one
//!                          +---+
//!   LAUNCH                 v   |     the last one ended, or a guard failed
//!  ---------------------> Sequence --------------------------------+
//!     |                    |    ^                                  |
//!     |          stop order|    |what ran has ended:               v    nothing lives
//!     |                    v    |the after commands             Clearing --------------> Draining
//!     |                   Stopping -------------------------------^                        |
//!     |                          (no after commands)              |        what it wrote |
//!     +-----------------------------------------------------------+           was read v
//!                 killed before it was launched                                    Reported
//! ```
//!
//! All of it is one match over phase and event, without a catch-all: a new event does not compile
//! until every phase says what it means there.

mod budget;
mod ledger;
mod result;
mod turn;

use std::time::Duration;

pub use budget::{Budget, StopOrder};
use ledger::{Due, Ledger};
pub(super) use turn::{Output, Turn};
pub use turn::{Report, Verdict};

use crate::core::effect::{Effect, Note};
use crate::core::environment::Environment;
use crate::core::plan::{CommandId, Plan};
use crate::core::progress::Progress;
use crate::core::request::Patch;
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Pid, Span, StopSignal};

/// What happens to a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// The command's program runs.
    Started(CommandId, Pid),
    /// The command ended, or never started.
    Ended(CommandId, Outcome),
    /// The system has no room for the command right now, for this reason.
    Delayed(CommandId, String),
    /// A process that some command left behind ended.
    OrphanEnded,
    /// The sweep asked for last found so many processes alive.
    Swept {
        /// Everything below us that is not a zombie.
        alive: usize,
    },
    /// What the task wrote was read to its end.
    TrackingEnded,
    /// Somebody wants the task to end.
    Stop(StopOrder),
    /// Time has passed.
    Tick,
}

/// The durations that apply to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Between SIGTERM and SIGKILL for what outlives the last command.
    pub grace: Span,
    /// The end of the time that the command may run (`TaskInfo.max_completion_time`).
    pub run_until: Option<Moment>,
}

/// The task at work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    /// The environment of the commands that start from now on.
    pub environment: Environment,
    /// The newest progress and message.
    pub progress: Progress,
    plan: Plan,
    ledger: Ledger,
    limits: Limits,
    stopped: Option<Stopped>,
    /// The guard that failed first, with how it ended.
    failed_guard: Option<(CommandId, Outcome)>,
    phase: Phase,
}

/// Where the task is; see the module's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// `current` has to start, if it is async, or else to end, before the next command starts.
    /// After a stop order these are the after commands, and have a limit.
    Sequence {
        current: CommandId,
        kill_at: Option<Moment>,
    },
    /// A stop order came: what was running has been asked to end. After commands follow.
    Stopping { kill_at: Moment },
    /// Nothing starts any more: whatever still lives is being stopped.
    Clearing { kill_at: Moment, signal: StopSignal },
    /// No process of the task lives. What it wrote last may be its progress, and is waited for.
    Draining { until: Moment },
    /// The terminal update is recorded.
    Reported,
}

/// The stop orders so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stopped {
    budget: Budget,
    /// Only the maximum run time asked for it: the task failed, nobody killed it.
    only_by_run_time: bool,
}

/// SIGKILL is repeated after this long, for what was forked while the first one was under way.
const KILL_AGAIN: Duration = Duration::from_millis(100);

/// What a task wrote last is read within this time. Usually it takes less than a millisecond: this is for
/// slow disks and for patterns that take their time with tens of megabytes.
const DRAINING: Duration = Duration::from_secs(2);

// === impl Lifecycle ===

impl Lifecycle {
    /// The LAUNCH: the first command starts, unless the task was killed before.
    pub(super) fn launch(
        plan: Plan,
        environment: Environment,
        progress: Progress,
        limits: Limits,
        killed: Option<StopOrder>,
        turn: &mut Turn,
    ) -> Self {
        let first = CommandId(0);
        let mut lifecycle = Self {
            environment,
            progress,
            ledger: Ledger::new(&plan),
            plan,
            limits,
            stopped: None,
            failed_guard: None,
            phase: Phase::Sequence {
                current: first,
                kill_at: None,
            },
        };
        match killed {
            None => lifecycle.start(first, turn),
            Some(order) => {
                lifecycle.obey(order, turn.now);
                lifecycle.clear(turn.now, turn);
            }
        }
        lifecycle
    }

    pub(super) fn step(&mut self, event: TaskEvent, turn: &mut Turn) {
        use TaskEvent::{Delayed, Ended, OrphanEnded, Started, Stop, Swept, Tick, TrackingEnded};
        match (self.phase, event) {
            (Phase::Sequence { current, .. }, Started(id, pid)) => {
                self.started(id, pid, turn);
                if id == current && self.is_async(id) {
                    self.start(CommandId(id.0 + 1), turn);
                }
            }
            (Phase::Sequence { current, kill_at }, Ended(id, outcome)) => {
                self.ended(id, outcome, turn);
                if self.failed_guard.is_some() {
                    let grace = turn.now.plus(self.limits.grace);
                    self.clear(kill_at.unwrap_or(grace), turn);
                } else if id == current {
                    self.start(CommandId(id.0 + 1), turn);
                }
            }
            (Phase::Sequence { .. }, Delayed(id, reason)) => {
                if !self.ledger.delay(id, turn.now) {
                    self.step(Ended(id, Outcome::NotStarted(reason)), turn);
                }
            }
            (Phase::Sequence { current, .. }, Stop(order)) => {
                self.obey(order, turn.now);
                self.interrupt(current, turn);
            }
            (Phase::Sequence { current, kill_at }, Tick) => {
                if kill_at.is_some_and(|limit| limit <= turn.now) {
                    self.clear(turn.now, turn);
                } else if self.run_time_is_over(turn.now) {
                    let grace = self.limits.grace;
                    self.obey(StopOrder::MaximumRunTime { grace }, turn.now);
                    self.interrupt(current, turn);
                } else {
                    self.tick_commands(turn);
                }
            }
            (Phase::Sequence { .. } | Phase::Stopping { .. }, OrphanEnded) => {
                turn.perform(Effect::ReapOrphans);
            }
            // The answer to a sweep of an earlier phase cannot come: only Clearing asks.
            (Phase::Sequence { .. } | Phase::Stopping { .. }, Swept { .. }) => {}

            // Only Draining asks for it, and is not left but for good.
            (
                Phase::Sequence { .. } | Phase::Stopping { .. } | Phase::Clearing { .. },
                TrackingEnded,
            ) => {}

            // Nothing that has not started yet needs to start any more.
            (Phase::Stopping { .. } | Phase::Clearing { .. }, Delayed(id, reason)) => {
                self.step(Ended(id, Outcome::NotStarted(reason)), turn);
            }

            (Phase::Stopping { .. }, Started(id, pid)) => {
                self.started(id, pid, turn);
                self.signal_running(StopSignal::Terminate, turn);
            }
            (Phase::Stopping { kill_at }, Ended(id, outcome)) => {
                self.ended(id, outcome, turn);
                self.go_on_if_stopped(kill_at, turn);
            }
            (Phase::Stopping { kill_at }, Stop(order)) => {
                let budget = self.obey(order, turn.now);
                let kill_at = kill_at.min(budget.stop_by());
                self.phase = Phase::Stopping { kill_at };
            }
            (Phase::Stopping { kill_at }, Tick) => {
                if kill_at <= turn.now {
                    turn.perform(Effect::Note(Note::KillingNow));
                    self.signal_running(StopSignal::Kill, turn);
                    let kill_at = turn.now.plus(KILL_AGAIN);
                    self.phase = Phase::Stopping { kill_at };
                }
            }

            (Phase::Clearing { signal, .. }, Started(id, pid)) => {
                self.started(id, pid, turn);
                self.sweep(Some(signal), turn);
            }
            (Phase::Clearing { signal, .. }, Ended(id, outcome)) => {
                self.ended(id, outcome, turn);
                self.sweep_again(signal, turn);
            }
            (Phase::Clearing { signal, .. }, OrphanEnded) => self.sweep_again(signal, turn),
            (Phase::Clearing { .. }, Swept { alive }) => {
                if alive == 0 && !self.ledger.is_any_alive() {
                    self.phase = Phase::Draining {
                        until: self.drained_by(turn.now),
                    };
                    turn.perform(Effect::FinishTracking);
                }
            }
            (Phase::Clearing { kill_at, signal }, Stop(order)) => {
                let budget = self.obey(order, turn.now);
                let kill_at = kill_at.min(budget.stop_by());
                self.phase = Phase::Clearing { kill_at, signal };
            }
            (Phase::Clearing { kill_at, .. }, Tick) => {
                if kill_at <= turn.now {
                    turn.perform(Effect::Note(Note::KillingNow));
                    self.phase = Phase::Clearing {
                        kill_at: turn.now.plus(KILL_AGAIN),
                        signal: StopSignal::Kill,
                    };
                    self.sweep(Some(StopSignal::Kill), turn);
                }
            }

            (Phase::Draining { .. }, TrackingEnded) => self.finish(turn),
            (Phase::Draining { until }, Stop(order)) => {
                self.obey(order, turn.now);
                let until = until.min(self.drained_by(turn.now));
                self.phase = Phase::Draining { until };
            }
            (Phase::Draining { until }, Tick) => {
                if until <= turn.now {
                    self.finish(turn);
                }
            }

            // A repeated stop can still shorten the wait for the acknowledgement.
            (Phase::Reported, Stop(order)) => drop(self.obey(order, turn.now)),
            (Phase::Reported, TrackingEnded | Tick) => {}

            // Nothing lives, and nothing starts any more.
            (
                Phase::Draining { .. } | Phase::Reported,
                Started(..) | Ended(..) | Delayed(..) | OrphanEnded | Swept { .. },
            ) => {}
        }
    }

    /// When the next [`TaskEvent::Tick`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Sequence { kill_at, .. } => {
                let run_until = self.limits.run_until.filter(|_| self.may_run_out_of_time());
                let limits = [kill_at, run_until, self.ledger.next_deadline()];
                limits.into_iter().flatten().min()
            }
            Phase::Stopping { kill_at } | Phase::Clearing { kill_at, .. } => Some(kill_at),
            Phase::Draining { until } => Some(until),
            Phase::Reported => None,
        }
    }

    /// Whether the terminal update is recorded.
    pub(super) fn is_reported(&self) -> bool {
        self.phase == Phase::Reported
    }

    /// The limit for the terminal acknowledgement that a SHUTDOWN has set.
    pub(super) fn report_by(&self) -> Option<Moment> {
        self.stopped.as_ref()?.budget.report_by()
    }

    /// Between SIGTERM and SIGKILL, unless a stop order says otherwise.
    pub(super) fn grace(&self) -> Span {
        self.limits.grace
    }

    /// The commands of this task.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Applies a PATCH as a whole.
    pub(super) fn patch(&mut self, patch: Patch) {
        self.environment.apply(patch.environment);
        self.progress.update(patch.progress, patch.message);
    }

    // --- the sequence ---

    /// Starts the command at `id`, or begins the end if the plan is over.
    fn start(&mut self, id: CommandId, turn: &mut Turn) {
        let kill_at = match (&self.phase, &self.stopped) {
            (Phase::Sequence { kill_at, .. }, _) => *kill_at,
            (_, Some(stopped)) => Some(stopped.budget.after_by(turn.now)),
            (_, None) => None,
        };
        if self.plan.get(id).is_some() {
            self.ledger.starting(id);
            self.tell_by_environment(id);
            self.phase = Phase::Sequence {
                current: id,
                kill_at,
            };
            turn.perform(Effect::Start(id));
        } else {
            let kill_at = kill_at.unwrap_or(turn.now.plus(self.limits.grace));
            self.clear(kill_at, turn);
        }
    }

    /// A stop order came while `current` was the command that held up the others.
    fn interrupt(&mut self, current: CommandId, turn: &mut Turn) {
        let Some(stopped) = &self.stopped else { return };
        let budget = stopped.budget;
        if current > self.plan.main() {
            let limit = budget.after_by(turn.now);
            let kill_at = match self.phase {
                Phase::Sequence {
                    kill_at: Some(old), ..
                } => old.min(limit),
                _ => limit,
            };
            let kill_at = Some(kill_at);
            self.phase = Phase::Sequence { current, kill_at };
            // What ran beside the command has no part in what comes after it.
            let main = self.plan.main();
            let commands = self.ledger.ask_to_stop(|id| id < main);
            let signal = StopSignal::Terminate;
            turn.perform(Effect::Signal { commands, signal });
        } else if self.has_after() {
            let kill_at = budget.stop_by();
            let grace = kill_at.since(turn.now);
            turn.perform(Effect::Note(Note::Stopping(grace)));
            self.phase = Phase::Stopping { kill_at };
            self.give_up_delayed(turn);
            self.signal_running(StopSignal::Terminate, turn);
            self.go_on_if_stopped(kill_at, turn);
        } else {
            self.clear(budget.stop_by(), turn);
        }
    }

    /// Once everything that ran has ended, the after commands follow.
    fn go_on_if_stopped(&mut self, kill_at: Moment, turn: &mut Turn) {
        if self.ledger.is_any_alive() {
            return;
        }
        if self.has_after() {
            self.start(self.first_after(), turn);
        } else {
            self.clear(kill_at, turn);
        }
    }

    /// Nothing starts any more; what lives is asked to end, and killed at `kill_at`.
    fn clear(&mut self, kill_at: Moment, turn: &mut Turn) {
        let is_over = kill_at <= turn.now;
        let signal = if is_over {
            StopSignal::Kill
        } else {
            StopSignal::Terminate
        };
        let kill_at = if is_over {
            turn.now.plus(KILL_AGAIN)
        } else {
            kill_at
        };
        self.phase = Phase::Clearing { kill_at, signal };
        self.give_up_delayed(turn);
        self.ledger.ask_to_stop(|_| true);
        self.sweep(Some(signal), turn);
    }

    /// When what the task wrote last is not waited for any more. Of the agent's grace period, half of
    /// what is left is for the report.
    fn drained_by(&self, now: Moment) -> Moment {
        let report_in = self.report_by().map(|limit| limit.since(now) / 2);
        now.plus(report_in.map_or(DRAINING, |limit| limit.min(DRAINING)))
    }

    fn finish(&mut self, turn: &mut Turn) {
        self.phase = Phase::Reported;
        let verdict = self.verdict();
        turn.report(Report::Over(verdict));
    }

    // --- stopping ---

    /// Takes a stop order into the budget, and returns the limits that hold now.
    fn obey(&mut self, order: StopOrder, now: Moment) -> Budget {
        let by_run_time = matches!(order, StopOrder::MaximumRunTime { .. });
        let has_after = self.has_after()
            && match self.phase {
                Phase::Sequence { .. } | Phase::Stopping { .. } => true,
                Phase::Clearing { .. } | Phase::Draining { .. } | Phase::Reported => false,
            };
        let stopped = match self.stopped.take() {
            None => Stopped {
                budget: Budget::new(order, has_after, now),
                only_by_run_time: by_run_time,
            },
            Some(before) => Stopped {
                budget: before.budget.tightened_by(order, has_after, now),
                only_by_run_time: before.only_by_run_time && by_run_time,
            },
        };
        self.stopped.insert(stopped).budget
    }

    fn signal_running(&mut self, signal: StopSignal, turn: &mut Turn) {
        let newly_asked = self.ledger.ask_to_stop(|_| true);
        let commands = match signal {
            StopSignal::Terminate => newly_asked,
            StopSignal::Kill => self.ledger.running(),
        };
        turn.perform(Effect::Signal { commands, signal });
    }

    fn sweep(&mut self, signal: Option<StopSignal>, turn: &mut Turn) {
        turn.perform(Effect::Sweep(signal));
    }

    /// Something ended: SIGKILL goes to whatever appeared since the last sweep, SIGTERM is not
    /// repeated to those who had it.
    fn sweep_again(&mut self, signal: StopSignal, turn: &mut Turn) {
        match signal {
            StopSignal::Kill => self.sweep(Some(signal), turn),
            StopSignal::Terminate => self.sweep(None, turn),
        }
    }

    fn run_time_is_over(&self, now: Moment) -> bool {
        self.may_run_out_of_time() && self.limits.run_until.is_some_and(|limit| limit <= now)
    }

    /// The maximum run time ends the command, not what comes after it.
    fn may_run_out_of_time(&self) -> bool {
        self.stopped.is_none() && self.main_outcome().is_none()
    }

    // --- the commands ---

    /// Ends hooks whose own time is over, and tries again to start what found no room.
    fn tick_commands(&mut self, turn: &mut Turn) {
        for (id, due) in self.ledger.take_due(turn.now, self.limits.grace) {
            match due {
                Due::Start => turn.perform(Effect::Start(id)),
                Due::Signal(signal) => {
                    let name = self.plan.describe(id);
                    turn.perform(Effect::Note(Note::HookTimedOut(name)));
                    let commands = vec![id];
                    turn.perform(Effect::Signal { commands, signal });
                }
            }
        }
    }

    /// What has found no room so far will not start any more.
    fn give_up_delayed(&mut self, turn: &mut Turn) {
        for id in self.ledger.delayed() {
            let reason = "the task was stopped before there was room for it".to_owned();
            self.ended(id, Outcome::NotStarted(reason), turn);
        }
    }

    fn started(&mut self, id: CommandId, pid: Pid, turn: &mut Turn) {
        let timeout = self.plan.get(id).and_then(|command| command.timeout);
        let ends_at = timeout.map(|timeout| turn.now.plus(timeout));
        if self.ledger.started(id, pid, ends_at) && id == self.plan.main() {
            turn.report(Report::Running(pid));
        }
    }

    fn ended(&mut self, id: CommandId, outcome: Outcome, turn: &mut Turn) {
        let timeout = self.plan.get(id).and_then(|command| command.timeout);
        let Some(end) = self.ledger.ended(id, outcome, timeout) else {
            return;
        };
        let is_guard = self.plan.get(id).is_some_and(|command| command.guard);
        if is_guard && !end.outcome.succeeded() && !end.asked_to_stop {
            self.failed_guard.get_or_insert((id, end.outcome.clone()));
        }
        turn.report(match id == self.plan.main() {
            true => Report::MainEnded(end.outcome, end.pid),
            false => Report::HookEnded(self.plan.describe(id), end.outcome),
        });
    }

    fn main_outcome(&self) -> Option<&Outcome> {
        self.ledger.outcome(self.plan.main())
    }

    fn first_after(&self) -> CommandId {
        CommandId(self.plan.main().0 + 1)
    }

    fn is_async(&self, id: CommandId) -> bool {
        self.plan.get(id).is_some_and(|command| command.is_async)
    }

    /// Whether there are after commands that may still run.
    fn has_after(&self) -> bool {
        self.failed_guard.is_none() && self.plan.get(self.first_after()).is_some()
    }
}

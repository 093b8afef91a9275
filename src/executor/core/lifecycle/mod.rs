//! The life of one task, from its LAUNCH to its end.
//!
//! ```text
//!            the next command                the next command
//!                 +---+                           +---+
//!  LAUNCH         v   |    the command ended      v   |       the last one ended
//!  -----------> Sequence ----------------------> After ---------------+
//!     |            |  |                            ^ |                |
//!     |  stop order|  |a guard failed,             | |a guard failed, |
//!     |            |  |or no after commands        | |or the limit    |
//!     |            |  +--------------------------+ | +--------------+ |
//!     |            v    what ran has ended       | |                v v   nothing lives
//!     |         Stopping --------------------------+       +---> Clearing -----> Draining
//!     |            |                             +---------+       ^ ^              |
//!     |            +-----------------------------------------------+ |              | what it wrote
//!     |              no after commands, or no room for them          |              v was read
//!     +--------------------------------------------------------------+             over
//!              killed before it was launched
//! ```
//!
//! Events, stop orders and the passing of time are one match each over the phase, without a catch-all: a
//! new event or phase does not compile until it is said what it means everywhere.

mod budget;
mod checking;
mod clearing;
mod commands;
mod ledger;
mod result;

use std::ops::ControlFlow;
use std::time::Duration;

pub use budget::{Budget, StopOrder};
use clearing::{Clearing, Ending};
use ledger::Ledger;
pub use result::Verdict;

use crate::core::checks::Checks;
use crate::core::effect::{Audience, Effect, Line, Note};
use crate::core::environment::Environment;
use crate::core::event::{Identity, TaskEvent};
use crate::core::outbox::TaskState;
use crate::core::plan::{CommandId, Plan};
use crate::core::progress::Progress;
use crate::core::request::Patch;
use crate::core::step::Step;
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Span, StopSignal};

/// Whether the task goes on, or how it has ended: no process of it lives.
pub(super) type Flow = ControlFlow<Verdict>;

/// The durations that apply to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Between SIGTERM and SIGKILL for what outlives the last command.
    pub grace: Span,
    /// The end of the time that the command may run (`TaskInfo.max_completion_time`).
    pub run_until: Option<Moment>,
}

/// A task to begin with.
pub(super) struct Launch {
    pub(super) identity: Identity,
    pub(super) plan: Plan,
    pub(super) environment: Environment,
    pub(super) progress: Progress,
    pub(super) limits: Limits,
    pub(super) checks: Checks,
    pub(super) audience: Audience,
    pub(super) has_api: bool,
}

/// The task at work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    /// What agent and framework know it by.
    pub(in crate::core) identity: Identity,
    /// The environment of the commands that start from now on.
    pub(in crate::core) environment: Environment,
    /// The newest progress and message.
    pub(in crate::core) progress: Progress,
    plan: Plan,
    ledger: Ledger,
    limits: Limits,
    checks: Checks,
    /// Who reads our lines about it.
    pub(in crate::core) audience: Audience,
    /// Whether the commands can reach the task API.
    has_api: bool,
    /// The state that was recorded last.
    last_state: TaskState,
    stopped: Option<Stopped>,
    /// The guard that failed first, by its description, with how it ended.
    failed_guard: Option<(String, Outcome)>,
    phase: Phase,
}

/// Where the task is; see the module's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// The before commands and the command: `current` has to start, if it is async, or else to end, before
    /// the next one starts.
    Sequence { current: CommandId },
    /// The after commands, likewise, since the first of them was started. After a stop order they have a limit.
    After {
        current: CommandId,
        since: Moment,
        kill_at: Option<Moment>,
    },
    /// A stop order came: what was running has been sent this signal. After commands follow.
    Stopping { kill_at: Moment, signal: StopSignal },
    /// Nothing starts any more: whatever still lives is being stopped.
    Clearing(Clearing),
    /// No process of the task lives. What it wrote last may be its progress, and is waited for.
    Draining { until: Moment },
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
    /// The LAUNCH: the first command starts, unless the task was killed before. TASK_STARTING has been
    /// recorded.
    pub(super) fn launch(task: Launch, killed: Option<StopOrder>, step: &mut Step<'_>) -> Self {
        let first = CommandId(0);
        let mut lifecycle = Self {
            identity: task.identity,
            environment: task.environment,
            progress: task.progress,
            ledger: Ledger::new(&task.plan),
            plan: task.plan,
            limits: task.limits,
            checks: task.checks,
            audience: task.audience,
            has_api: task.has_api,
            last_state: TaskState::Starting,
            stopped: None,
            failed_guard: None,
            phase: Phase::Sequence { current: first },
        };
        match killed {
            None => lifecycle.start(first, None, step),
            Some(order) => {
                lifecycle.obey(order, step.moment());
                lifecycle.clear(step.moment(), step);
            }
        }
        lifecycle
    }

    /// Something happened to the task's processes or files.
    pub(super) fn handle(&mut self, event: TaskEvent, step: &mut Step<'_>) -> Flow {
        use TaskEvent::{
            ChildrenChanged, CommandDelayed, CommandEnded, CommandStarted, Probed, Swept, Tracked,
            TrackingEnded,
        };
        match (self.phase, event) {
            (
                Phase::Sequence { current } | Phase::After { current, .. },
                CommandStarted(id, pid),
            ) => {
                self.started(id, pid, step);
                if id == current && self.is_async(id) {
                    self.start_next(id, step);
                }
            }
            (
                Phase::Sequence { current } | Phase::After { current, .. },
                CommandEnded(id, outcome),
            ) => {
                self.ended(id, outcome, step);
                if self.failed_guard.is_some() {
                    self.clear(self.rest_is_killed_at(step.moment()), step);
                } else if id == current {
                    self.start_next(id, step);
                }
            }
            (Phase::Sequence { .. } | Phase::After { .. }, CommandDelayed(id, reason)) => {
                if !self.ledger.delay(id, step.moment()) {
                    return self.handle(CommandEnded(id, Outcome::NotStarted(reason)), step);
                }
            }

            (Phase::Stopping { .. }, CommandStarted(id, pid)) => {
                self.started(id, pid, step);
                self.signal_running(StopSignal::Terminate, step);
            }
            (Phase::Stopping { kill_at, .. }, CommandEnded(id, outcome)) => {
                self.ended(id, outcome, step);
                self.go_on_if_stopped(kill_at, step);
            }
            // Nothing that has not started yet needs to start any more.
            (Phase::Stopping { .. } | Phase::Clearing { .. }, CommandDelayed(id, reason)) => {
                return self.handle(CommandEnded(id, Outcome::NotStarted(reason)), step);
            }

            (Phase::Clearing(Clearing { ending, .. }), CommandStarted(id, pid)) => {
                self.started(id, pid, step);
                step.perform(Effect::Sweep(ending.sweep()));
            }
            (Phase::Clearing(Clearing { ending, .. }), CommandEnded(id, outcome)) => {
                self.ended(id, outcome, step);
                step.perform(Effect::Sweep(ending.sweep_again()));
            }
            (Phase::Clearing(clearing), Swept(left)) => self.swept(left, clearing, step),
            // Only Clearing asks for a sweep, and its result follows at once.
            (Phase::Sequence { .. } | Phase::After { .. } | Phase::Stopping { .. }, Swept(_)) => {}

            (
                Phase::Sequence { .. } | Phase::After { .. } | Phase::Stopping { .. },
                ChildrenChanged,
            ) => step.perform(Effect::ReapOrphans),
            (Phase::Clearing(Clearing { ending, .. }), ChildrenChanged) => {
                step.perform(Effect::Sweep(ending.sweep_again()));
            }

            (
                Phase::Sequence { .. }
                | Phase::After { .. }
                | Phase::Stopping { .. }
                | Phase::Clearing { .. }
                | Phase::Draining { .. },
                Tracked(reading),
            ) => self.progress.read(reading),

            // The checks ignore the result of a probe that they have given up.
            (
                Phase::Sequence { .. }
                | Phase::After { .. }
                | Phase::Stopping { .. }
                | Phase::Clearing { .. }
                | Phase::Draining { .. },
                Probed(id, finding),
            ) => self.probed(id, &finding, step),

            (Phase::Draining { .. }, TrackingEnded) => return ControlFlow::Break(self.verdict()),
            // Only Draining asks for the end of tracking, and is left only for good.
            (
                Phase::Sequence { .. }
                | Phase::After { .. }
                | Phase::Stopping { .. }
                | Phase::Clearing { .. },
                TrackingEnded,
            ) => {}

            // Nothing lives, and nothing starts any more.
            (
                Phase::Draining { .. },
                CommandStarted(..) | CommandEnded(..) | CommandDelayed(..) | ChildrenChanged
                | Swept(_),
            ) => {}
        }
        ControlFlow::Continue(())
    }

    /// Somebody wants the task to end. The first order is told to everybody.
    pub(super) fn stop(&mut self, order: StopOrder, step: &mut Step<'_>) {
        self.announce(order, step);
        let before = self.phase;
        let budget = self.obey(order, step.moment());
        match before {
            Phase::Sequence { .. } => self.interrupt(budget, step),
            Phase::After {
                current,
                since,
                kill_at,
            } => {
                let limit = budget.after_by(since);
                self.phase = Phase::After {
                    current,
                    since,
                    kill_at: Some(kill_at.map_or(limit, |old| old.min(limit))),
                };
                // What ran beside the command has no part in what comes after it.
                let first_after = self.plan.first_after();
                let commands = self.ledger.ask_to_stop(|id| id < first_after);
                let signal = StopSignal::Terminate;
                step.perform(Effect::Signal { commands, signal });
            }
            Phase::Stopping { kill_at, signal } => {
                let kill_at = kill_at.min(budget.stop_by());
                self.phase = Phase::Stopping { kill_at, signal };
            }
            Phase::Clearing(clearing) => {
                let limit = match clearing.after_since {
                    Some(since) => budget.after_by(since),
                    None => budget.stop_by(),
                };
                let kill_at = clearing.kill_at.min(limit);
                let clearing = Clearing {
                    kill_at,
                    ..clearing
                };
                match clearing.ending {
                    Ending::Reading { .. } => self.stop_reading(clearing, step),
                    Ending::Terminated | Ending::Killed => {
                        self.phase = Phase::Clearing(clearing);
                    }
                }
            }
            Phase::Draining { until } => {
                let until = until.min(self.drained_by(step.moment()));
                self.phase = Phase::Draining { until };
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) -> Flow {
        let now = step.moment();
        match self.phase {
            Phase::Sequence { .. } if self.run_time_is_over(now) => {
                let grace = self.limits.grace;
                let budget = self.obey(StopOrder::MaximumRunTime { grace }, now);
                self.interrupt(budget, step);
            }
            Phase::After {
                kill_at: Some(limit),
                ..
            } if limit <= now => {
                self.note_not_run(step);
                self.clear(now, step);
            }
            Phase::Sequence { .. } => {
                self.tick_commands(step);
                self.tick_checks(step);
            }
            Phase::After { .. } => self.tick_commands(step),
            Phase::Stopping { kill_at, signal } => {
                if kill_at <= now {
                    if signal == StopSignal::Terminate {
                        step.note(Note::KillingNow);
                    }
                    self.phase = Phase::Stopping {
                        kill_at: now.plus(KILL_AGAIN),
                        signal: StopSignal::Kill,
                    };
                    self.signal_running(StopSignal::Kill, step);
                }
            }
            Phase::Clearing(clearing) => self.tick_clearing(clearing, step),
            Phase::Draining { until } => {
                if until <= now {
                    return ControlFlow::Break(self.verdict());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Sequence { .. } => {
                let run_until = self.limits.run_until.filter(|_| self.may_run_out_of_time());
                let commands = self.ledger.next_deadline();
                let limits = [run_until, commands, self.checks.next_deadline()];
                limits.into_iter().flatten().min()
            }
            Phase::After { kill_at, .. } => {
                let limits = [kill_at, self.ledger.next_deadline()];
                limits.into_iter().flatten().min()
            }
            Phase::Stopping { kill_at, .. } => Some(kill_at),
            Phase::Clearing(clearing) => Some(clearing.next_deadline()),
            Phase::Draining { until } => Some(until),
        }
    }

    /// The limit for the terminal acknowledgement that a SHUTDOWN has set.
    pub(super) fn report_by(&self) -> Option<Moment> {
        self.stopped.as_ref()?.budget.report_by()
    }

    /// Between SIGTERM and SIGKILL, unless a stop order says otherwise.
    pub(super) fn grace(&self) -> Span {
        self.limits.grace
    }

    /// Applies a PATCH as a whole.
    pub(super) fn patch(&mut self, patch: Patch) {
        self.environment.apply(patch.environment);
        self.progress.update(patch.progress, patch.message);
    }

    // --- stopping ---

    /// People and, if it wants to know, the framework learn of an order from outside.
    fn announce(&mut self, order: StopOrder, step: &mut Step<'_>) {
        let task = self.identity.task.clone();
        step.say(Line::Killing(task, order.grace()), self.audience);
        if step.session.knows_killing_state() && self.last_state != TaskState::Killing {
            self.last_state = TaskState::Killing;
            let cause = self.checks.kill_cause().map(str::to_owned);
            step.record_killing(&self.identity, cause, self.checked());
        }
    }

    /// Takes a stop order into the budget, and returns the limits that hold now.
    fn obey(&mut self, order: StopOrder, now: Moment) -> Budget {
        let by_run_time = matches!(order, StopOrder::MaximumRunTime { .. });
        let has_after = self.has_after()
            && match self.phase {
                Phase::Sequence { .. } | Phase::After { .. } | Phase::Stopping { .. } => true,
                Phase::Clearing { .. } | Phase::Draining { .. } => false,
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

    /// A stop order came before the after commands did.
    fn interrupt(&mut self, budget: Budget, step: &mut Step<'_>) {
        let kill_at = budget.stop_by();
        self.end_checks(step);
        if self.has_after() {
            step.note(Note::Stopping(kill_at.since(step.moment())));
            let signal = StopSignal::Terminate;
            self.phase = Phase::Stopping { kill_at, signal };
            self.give_up_delayed(step);
            self.signal_running(StopSignal::Terminate, step);
            self.go_on_if_stopped(kill_at, step);
        } else {
            self.clear(kill_at, step);
        }
    }

    /// Once everything that ran has ended, the after commands follow.
    fn go_on_if_stopped(&mut self, kill_at: Moment, step: &mut Step<'_>) {
        if self.ledger.is_any_alive() {
            return;
        }
        let now = step.moment();
        let budget = self.stopped.as_ref().map(|stopped| stopped.budget);
        let has_room = budget.is_none_or(|budget| budget.has_room_for_after(now));
        if self.has_after() && has_room {
            let limit = budget.map(|budget| budget.after_by(now));
            self.start(self.first_after(), limit, step);
        } else {
            if !has_room {
                self.note_not_run(step);
            }
            self.clear(kill_at, step);
        }
    }

    /// When what outlives the last command is killed, if its stopping begins now.
    fn rest_is_killed_at(&self, now: Moment) -> Moment {
        match self.phase {
            Phase::After {
                kill_at: Some(limit),
                ..
            } => limit,
            Phase::Sequence { .. }
            | Phase::After { kill_at: None, .. }
            | Phase::Stopping { .. }
            | Phase::Clearing { .. }
            | Phase::Draining { .. } => now.plus(self.limits.grace),
        }
    }

    /// When what the task wrote last is not waited for any more. Of the agent's grace period, half of
    /// what is left is for the report.
    fn drained_by(&self, now: Moment) -> Moment {
        let report_in = self.report_by().map(|limit| limit.since(now) / 2);
        now.plus(report_in.map_or(DRAINING, |limit| limit.min(DRAINING)))
    }

    fn signal_running(&mut self, signal: StopSignal, step: &mut Step<'_>) {
        let newly_asked = self.ledger.ask_to_stop(|_| true);
        let commands = match signal {
            StopSignal::Terminate => newly_asked,
            StopSignal::Kill => self.ledger.running(),
        };
        step.perform(Effect::Signal { commands, signal });
    }

    fn run_time_is_over(&self, now: Moment) -> bool {
        self.may_run_out_of_time() && self.limits.run_until.is_some_and(|limit| limit <= now)
    }

    /// The maximum run time ends the command, not what comes after it.
    fn may_run_out_of_time(&self) -> bool {
        self.stopped.is_none() && self.main_outcome().is_none()
    }
}

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
//! Events, stop orders and ticks each have one `match` over the phase without a catch-all, so a new event
//! or phase does not compile until every combination is handled.

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

/// Whether the task continues, or how it has ended. At its end, no process of it is left.
pub(super) type Flow = ControlFlow<Verdict>;

/// The durations that apply to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The time between SIGTERM and SIGKILL for processes that outlive the last command.
    pub grace: Span,
    /// When the maximum run time ends (`TaskInfo.max_completion_time`).
    pub run_until: Option<Moment>,
}

/// A task that is about to start.
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

/// A task from its LAUNCH to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    /// How agent and framework identify it.
    pub(in crate::core) identity: Identity,
    /// The environment for commands that start from now on.
    pub(in crate::core) environment: Environment,
    /// The latest progress and message.
    pub(in crate::core) progress: Progress,
    plan: Plan,
    ledger: Ledger,
    limits: Limits,
    checks: Checks,
    /// Who gets our lines about it.
    pub(in crate::core) audience: Audience,
    /// Whether the commands can reach the task API.
    has_api: bool,
    /// The state of the last update.
    last_state: TaskState,
    stopped: Option<Stopped>,
    /// The first guard that failed: its description and outcome.
    failed_guard: Option<(String, Outcome)>,
    phase: Phase,
}

/// Where the task is in the picture above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// The before commands and the command. If `current` is async it must start, otherwise it must end,
    /// before the next one starts.
    Sequence { current: CommandId },
    /// The after commands, in the same way. `since` is the start of the first one. After a stop order they
    /// have a deadline.
    After {
        current: CommandId,
        since: Moment,
        kill_at: Option<Moment>,
    },
    /// A stop order arrived, and running commands got this signal. After commands follow.
    Stopping { kill_at: Moment, signal: StopSignal },
    /// Nothing starts any more; the remaining processes are being ended.
    Clearing(Clearing),
    /// No process of the task is left. Its last output may contain progress and is still being read.
    Draining { until: Moment },
}

/// The stop orders so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stopped {
    budget: Budget,
    /// Only the maximum run time has stopped the task, so it has failed and was not killed.
    only_by_run_time: bool,
}

/// SIGKILL is repeated after this time, for processes that were forked during the first sweep.
const KILL_AGAIN: Duration = Duration::from_millis(100);

/// Maximum time for reading the task's last output. It usually takes less than a millisecond; this is for
/// slow disks, and for patterns that are slow with tens of megabytes.
const DRAINING: Duration = Duration::from_secs(2);

// === impl Lifecycle ===

impl Lifecycle {
    /// Starts the first command, unless the task was killed before its LAUNCH. TASK_STARTING has been
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

    /// Handles an event of the task's processes or files.
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
            // A command that has not started yet is given up.
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
            // Only Clearing orders a sweep, and its result follows immediately.
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

            // The checks ignore the result of an abandoned probe.
            (
                Phase::Sequence { .. }
                | Phase::After { .. }
                | Phase::Stopping { .. }
                | Phase::Clearing { .. }
                | Phase::Draining { .. },
                Probed(id, finding),
            ) => self.probed(id, &finding, step),

            (Phase::Draining { .. }, TrackingEnded) => return ControlFlow::Break(self.verdict()),
            // Only Draining orders the end of tracking, and no phase follows it.
            (
                Phase::Sequence { .. }
                | Phase::After { .. }
                | Phase::Stopping { .. }
                | Phase::Clearing { .. },
                TrackingEnded,
            ) => {}

            // Nothing is alive, and nothing starts any more.
            (
                Phase::Draining { .. },
                CommandStarted(..) | CommandEnded(..) | CommandDelayed(..) | ChildrenChanged
                | Swept(_),
            ) => {}
        }
        ControlFlow::Continue(())
    }

    /// Handles a stop order. The first one is reported to the framework.
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
                // Commands that ran beside the main command must not run beside after commands.
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

    /// Handles the passing of time.
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

    /// When [`Self::tick`] has to be called.
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

    /// When to stop waiting for the terminal acknowledgement, if a SHUTDOWN has set a limit.
    pub(super) fn report_by(&self) -> Option<Moment> {
        self.stopped.as_ref()?.budget.report_by()
    }

    /// The time between SIGTERM and SIGKILL, unless a stop order sets another one.
    pub(super) fn grace(&self) -> Span {
        self.limits.grace
    }

    /// Applies a PATCH.
    pub(super) fn patch(&mut self, patch: Patch) {
        self.environment.apply(patch.environment);
        self.progress.update(patch.progress, patch.message);
    }

    // --- stopping ---

    /// Reports a stop order from outside in the log, and to the framework if it has the capability.
    fn announce(&mut self, order: StopOrder, step: &mut Step<'_>) {
        let task = self.identity.task.clone();
        step.say(Line::Killing(task, order.grace()), self.audience);
        if step.session.knows_killing_state() && self.last_state != TaskState::Killing {
            self.last_state = TaskState::Killing;
            let cause = self.checks.kill_cause().map(str::to_owned);
            step.record_killing(&self.identity, cause, self.checked());
        }
    }

    /// Adds a stop order to the budget, and returns the resulting budget.
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

    /// A stop order arrived before the after commands were started.
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

    /// Continues with the after commands if all running commands have ended.
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

    /// When processes that outlive the last command get SIGKILL, if they get SIGTERM now.
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

    /// When to stop waiting for the task's last output to be read. Half of the agent's remaining grace
    /// period is kept for the report.
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

    /// Whether the maximum run time applies: it limits the command, but not after commands.
    fn may_run_out_of_time(&self) -> bool {
        self.stopped.is_none() && self.main_outcome().is_none()
    }
}

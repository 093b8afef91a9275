//! The state of each command of a plan.

use std::time::Duration;

use super::KILL_AGAIN;
use crate::core::plan::{CommandId, Part, Plan};
use crate::core::request::CommandResult;
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Pid, Span, StopSignal, WallTime};

/// One entry for each command, in the plan's order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    commands: Vec<CommandState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum CommandState {
    Planned,
    /// Its start was ordered, after `failures` attempts without resources.
    Starting {
        failures: u32,
    },
    /// The system had no resources for it; it will be tried again.
    Delayed {
        failures: u32,
        retry_at: Moment,
    },
    Running {
        pid: Pid,
        started: WallTime,
        /// We have asked it to end, so its failure is not a guard failure.
        asked_to_stop: bool,
        time: Time,
    },
    Ended {
        outcome: Outcome,
        /// Its times, if it has run.
        ran: Option<Ran>,
    },
}

/// The times of a command that has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ran {
    started: WallTime,
    ended: WallTime,
}

/// The timeout of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Time {
    Unlimited,
    Until(Moment),
    /// It has passed; SIGKILL follows.
    Over {
        kill_at: Moment,
    },
}

/// The end of a command that was starting or running.
pub(super) struct End {
    /// `None` if it never ran.
    pub(super) pid: Option<Pid>,
    /// Whether we had asked it to end.
    pub(super) asked_to_stop: bool,
    /// How it ended, including a timeout if that was the cause.
    pub(super) outcome: Outcome,
}

/// What has become due for a command.
pub(super) enum Due {
    /// Try again to start it.
    Start,
    /// It has exceeded its timeout.
    Signal(StopSignal),
}

/// How often a delayed command is tried again. All attempts take about three seconds, because the missing
/// resources (processes, descriptors, memory) may stay missing.
const MAX_FAILURES: u32 = 5;

/// The wait before the first retry. It doubles each time.
const RETRY_DELAY: Duration = Duration::from_millis(100);

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            commands: plan.iter().map(|_| CommandState::Planned).collect(),
        }
    }

    pub(super) fn starting(&mut self, id: CommandId) {
        self.set(id, CommandState::Starting { failures: 0 });
    }

    /// The system had no resources for the command. False if there are no retries left.
    pub(super) fn delay(&mut self, id: CommandId, now: Moment) -> bool {
        match self.get(id) {
            Some(CommandState::Starting { failures }) if *failures < MAX_FAILURES => {
                let retry_at = now.plus(RETRY_DELAY * 2_u32.pow(*failures));
                let failures = failures + 1;
                self.set(id, CommandState::Delayed { failures, retry_at });
                true
            }
            Some(
                CommandState::Planned
                | CommandState::Starting { .. }
                | CommandState::Delayed { .. }
                | CommandState::Running { .. }
                | CommandState::Ended { .. },
            )
            | None => false,
        }
    }

    /// Returns false if the command was not being started.
    pub(super) fn started(
        &mut self,
        id: CommandId,
        pid: Pid,
        started: WallTime,
        ends_at: Option<Moment>,
    ) -> bool {
        let Some(CommandState::Starting { .. }) = self.get(id) else {
            return false;
        };
        let running = CommandState::Running {
            pid,
            started,
            asked_to_stop: false,
            time: ends_at.map_or(Time::Unlimited, Time::Until),
        };
        self.set(id, running);
        true
    }

    /// Returns `None` if the command was not starting or running. `timeout` is its own, for the text of the
    /// outcome.
    pub(super) fn ended(
        &mut self,
        id: CommandId,
        outcome: Outcome,
        timeout: Option<Span>,
        now: WallTime,
    ) -> Option<End> {
        let (ran_as, asked_to_stop, time) = match self.get(id)? {
            CommandState::Planned | CommandState::Ended { .. } => return None,
            CommandState::Starting { .. } | CommandState::Delayed { .. } => {
                (None, false, Time::Unlimited)
            }
            CommandState::Running {
                pid,
                started,
                asked_to_stop,
                time,
            } => (Some((*pid, *started)), *asked_to_stop, *time),
        };
        let outcome = match (time, timeout) {
            (Time::Over { .. }, Some(timeout)) => {
                Outcome::TimedOut(timeout.get(), Box::new(outcome))
            }
            (Time::Over { .. } | Time::Until(_) | Time::Unlimited, _) => outcome,
        };
        let ended = CommandState::Ended {
            outcome: outcome.clone(),
            ran: ran_as.map(|(_, started)| Ran {
                started,
                ended: now,
            }),
        };
        self.set(id, ended);
        Some(End {
            pid: ran_as.map(|(pid, _)| pid),
            asked_to_stop,
            outcome,
        })
    }

    /// What has become due; each thing is returned once.
    pub(super) fn take_due(&mut self, now: Moment, grace: Span) -> Vec<(CommandId, Due)> {
        let mut due = Vec::new();
        for (index, state) in self.commands.iter_mut().enumerate() {
            let id = CommandId(index);
            match state {
                CommandState::Delayed { failures, retry_at } if *retry_at <= now => {
                    let failures = *failures;
                    *state = CommandState::Starting { failures };
                    due.push((id, Due::Start));
                }
                CommandState::Running { time, .. } => match *time {
                    Time::Until(end) if end <= now => {
                        let kill_at = now.plus(grace);
                        *time = Time::Over { kill_at };
                        due.push((id, Due::Signal(StopSignal::Terminate)));
                    }
                    Time::Over { kill_at } if kill_at <= now => {
                        let kill_at = now.plus(KILL_AGAIN);
                        *time = Time::Over { kill_at };
                        due.push((id, Due::Signal(StopSignal::Kill)));
                    }
                    Time::Unlimited | Time::Until(_) | Time::Over { .. } => {}
                },
                CommandState::Planned
                | CommandState::Starting { .. }
                | CommandState::Delayed { .. }
                | CommandState::Ended { .. } => {}
            }
        }
        due
    }

    /// When [`Self::take_due`] has something to return.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let deadlines = self.commands.iter().filter_map(|state| match state {
            CommandState::Delayed { retry_at, .. } => Some(*retry_at),
            CommandState::Running { time, .. } => match time {
                Time::Unlimited => None,
                Time::Until(end) => Some(*end),
                Time::Over { kill_at } => Some(*kill_at),
            },
            CommandState::Planned | CommandState::Starting { .. } | CommandState::Ended { .. } => {
                None
            }
        });
        deadlines.min()
    }

    /// The delayed commands.
    pub(super) fn delayed(&self) -> Vec<CommandId> {
        let delayed = self
            .commands
            .iter()
            .enumerate()
            .filter(|(_, state)| match state {
                CommandState::Delayed { .. } => true,
                CommandState::Planned
                | CommandState::Starting { .. }
                | CommandState::Running { .. }
                | CommandState::Ended { .. } => false,
            });
        delayed.map(|(index, _)| CommandId(index)).collect()
    }

    /// Marks the matching running commands as asked to stop. Returns the newly marked ones, because a
    /// second SIGTERM would run a trap twice.
    pub(super) fn ask_to_stop(&mut self, is_one: impl Fn(CommandId) -> bool) -> Vec<CommandId> {
        let mut asked = Vec::new();
        for (index, state) in self.commands.iter_mut().enumerate() {
            let id = CommandId(index);
            if let CommandState::Running { asked_to_stop, .. } = state
                && is_one(id)
                && !std::mem::replace(asked_to_stop, true)
            {
                asked.push(id);
            }
        }
        asked
    }

    /// The running commands.
    pub(super) fn running(&self) -> Vec<CommandId> {
        let commands = self.commands.iter().enumerate();
        let running = commands.filter(|(_, state)| matches!(state, CommandState::Running { .. }));
        running.map(|(index, _)| CommandId(index)).collect()
    }

    pub(super) fn is_any_alive(&self) -> bool {
        self.commands.iter().any(|state| match state {
            CommandState::Starting { .. }
            | CommandState::Delayed { .. }
            | CommandState::Running { .. } => true,
            CommandState::Planned | CommandState::Ended { .. } => false,
        })
    }

    pub(super) fn is_planned(&self, id: CommandId) -> bool {
        self.get(id) == Some(&CommandState::Planned)
    }

    pub(super) fn outcome(&self, id: CommandId) -> Option<&Outcome> {
        match self.get(id)? {
            CommandState::Ended { outcome, .. } => Some(outcome),
            CommandState::Planned
            | CommandState::Starting { .. }
            | CommandState::Delayed { .. }
            | CommandState::Running { .. } => None,
        }
    }

    /// The results of the commands with this part so far, in the plan's order.
    pub(super) fn results(&self, plan: &Plan, part: Part) -> Vec<CommandResult> {
        let of_part = plan.iter().filter(|(_, command)| command.part == part);
        of_part.map(|(id, _)| self.result(id)).collect()
    }

    pub(super) fn result(&self, id: CommandId) -> CommandResult {
        match self.get(id) {
            Some(CommandState::Running { started, .. }) => CommandResult {
                started: Some(*started),
                ..CommandResult::default()
            },
            Some(CommandState::Ended { outcome, ran }) => CommandResult {
                code: outcome.code(),
                started: ran.map(|ran| ran.started),
                ended: ran.map(|ran| ran.ended),
            },
            Some(
                CommandState::Planned
                | CommandState::Starting { .. }
                | CommandState::Delayed { .. },
            )
            | None => CommandResult::default(),
        }
    }

    fn get(&self, id: CommandId) -> Option<&CommandState> {
        self.commands.get(id.0)
    }

    fn set(&mut self, id: CommandId, state: CommandState) {
        if let Some(entry) = self.commands.get_mut(id.0) {
            *entry = state;
        }
    }
}

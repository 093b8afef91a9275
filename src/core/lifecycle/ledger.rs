//! What has become of each command of a plan.

use super::Pid;
use crate::core::plan::{CommandId, Part, Plan};
use crate::outcome::Outcome;

/// One entry for each command, in the plan's order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    commands: Vec<CommandState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum CommandState {
    Planned,
    /// The world was asked to start it.
    Starting,
    Running {
        pid: Pid,
        /// We asked it to end: how it ends says nothing about its guard.
        asked_to_stop: bool,
    },
    Ended(Outcome),
}

/// A command's end, as far as it was awaited.
pub(super) struct End {
    /// Absent if it never ran.
    pub(super) pid: Option<Pid>,
    /// It was stopped by us.
    pub(super) asked_to_stop: bool,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            commands: plan.iter().map(|_| CommandState::Planned).collect(),
        }
    }

    pub(super) fn starting(&mut self, id: CommandId) {
        self.set(id, CommandState::Starting);
    }

    /// False if the command was not on its way.
    pub(super) fn started(&mut self, id: CommandId, pid: Pid) -> bool {
        if self.get(id) != Some(&CommandState::Starting) {
            return false;
        }
        let asked_to_stop = false;
        self.set(id, CommandState::Running { pid, asked_to_stop });
        true
    }

    /// `None` if the command was not alive.
    pub(super) fn ended(&mut self, id: CommandId, outcome: Outcome) -> Option<End> {
        let end = match self.get(id)? {
            CommandState::Planned | CommandState::Ended(_) => return None,
            CommandState::Starting => End {
                pid: None,
                asked_to_stop: false,
            },
            CommandState::Running { pid, asked_to_stop } => End {
                pid: Some(*pid),
                asked_to_stop: *asked_to_stop,
            },
        };
        self.set(id, CommandState::Ended(outcome));
        Some(end)
    }

    /// Everything that runs is being stopped by us; returns what that is.
    pub(super) fn ask_to_stop(&mut self) -> Vec<CommandId> {
        let mut asked = Vec::new();
        for (index, state) in self.commands.iter_mut().enumerate() {
            if let CommandState::Running { asked_to_stop, .. } = state {
                *asked_to_stop = true;
                asked.push(CommandId(index));
            }
        }
        asked
    }

    pub(super) fn is_any_alive(&self) -> bool {
        self.commands.iter().any(|state| match state {
            CommandState::Starting | CommandState::Running { .. } => true,
            CommandState::Planned | CommandState::Ended(_) => false,
        })
    }

    pub(super) fn outcome(&self, id: CommandId) -> Option<&Outcome> {
        match self.get(id)? {
            CommandState::Ended(outcome) => Some(outcome),
            CommandState::Planned | CommandState::Starting | CommandState::Running { .. } => None,
        }
    }

    /// The codes of the commands with this part, aligned by index: trailing ones without a code are
    /// left out. `None` if the plan has no such command.
    pub(super) fn codes(&self, plan: &Plan, part: Part) -> Option<Vec<Option<i32>>> {
        let of_part = plan.iter().filter(|(_, command)| command.part == part);
        let mut codes: Vec<_> = of_part
            .map(|(id, _)| self.outcome(id).and_then(Outcome::code))
            .collect();
        if codes.is_empty() {
            return None;
        }
        let known = codes.iter().rposition(Option::is_some);
        codes.truncate(known.map_or(0, |last| last + 1));
        Some(codes)
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

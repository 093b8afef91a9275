//! What a step of a task leads to: effects, and what the rest of the core is told, in order.

use crate::core::effect::Effect;
use crate::core::outbox::{Reason, TaskState};
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Pid};

/// How the task ends, as it is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// A terminal state.
    pub state: TaskState,
    /// Why, where Mesos has a word for it.
    pub reason: Option<Reason>,
    /// The job's own message, or one about how its command ended.
    pub message: String,
}

/// What the task tells the rest of the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// The command's program runs.
    Running(Pid),
    /// The command ended.
    MainEnded(Outcome, Option<Pid>),
    /// A before or after command, by its description, ended.
    HookEnded(String, Outcome),
    /// No process of the task lives.
    Over(Verdict),
}

/// One thing that a step has led to.
pub(in crate::core) enum Output {
    Effect(Effect),
    Report(Report),
}

/// The time of a step, and what it has led to, in order.
pub(in crate::core) struct Turn {
    pub(in crate::core) now: Moment,
    pub(in crate::core) outputs: Vec<Output>,
}

// === impl Turn ===

impl Turn {
    pub(in crate::core) fn new(now: Moment) -> Self {
        Self {
            now,
            outputs: Vec::new(),
        }
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        self.outputs.push(Output::Effect(effect));
    }

    pub(super) fn report(&mut self, report: Report) {
        self.outputs.push(Output::Report(report));
    }
}

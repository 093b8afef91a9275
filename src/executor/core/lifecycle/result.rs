//! The results of a task: for the task API, for the terminal update, and for the environment of after
//! commands.

use super::Lifecycle;
use crate::core::environment::{Name, Value};
use crate::core::outbox::{Reason, TaskState};
use crate::core::plan::{CommandId, Origin, Part};
use crate::core::request::{Results, View};
use crate::core::variables;
use crate::words::outcome::Outcome;

/// How a task ended, for the terminal update.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// A terminal state.
    pub state: TaskState,
    /// The reason, if Mesos has a constant for it.
    pub reason: Option<Reason>,
    /// The job's own message, or a text about how its command ended.
    pub message: String,
}

impl Lifecycle {
    /// What is known about the task.
    pub(in crate::core) fn view(&self) -> View {
        View {
            results: self.results(),
            progress: self.progress.percent(),
            message: self.progress.message().map(str::to_owned),
            state: Some(self.last_state.name()),
        }
    }

    /// The results of all commands so far.
    pub(super) fn results(&self) -> Results {
        let main = self.plan.main();
        let results = |part| self.ledger.results(&self.plan, part);
        Results {
            command: main.map(|id| self.ledger.result(id)).unwrap_or_default(),
            before: results(Part::Before(Origin::Job)),
            after: results(Part::After(Origin::Job)),
            default_before: results(Part::Before(Origin::Operator)),
            default_after: results(Part::After(Origin::Operator)),
        }
    }

    /// Sets the variables that tell the command at `id` its phase and the results so far.
    pub(super) fn set_task_variables(&mut self, id: CommandId) {
        let Some(command) = self.plan.get(id) else {
            return;
        };
        let (phase, result) = match command.part {
            Part::Before(_) => ("before", None),
            Part::Main => ("command", None),
            Part::After(_) => ("after", Some(self.verdict().state.name())),
        };
        let code = self.main_outcome().and_then(Outcome::code);
        let variables = [
            (variables::PHASE, Some(phase.to_owned())),
            (variables::TASK_STATE, result.map(str::to_owned)),
            (variables::EXIT_CODE, code.map(|code| code.to_string())),
        ];
        for (name, value) in variables {
            let value = value.and_then(|value| Value::new(value).ok());
            if let Ok(name) = Name::new(name) {
                self.environment.apply(vec![(name, value)]);
            }
        }
    }

    /// Whether the task has a command, and not only hooks.
    fn has_command(&self) -> bool {
        self.plan.main().is_some()
    }

    /// How the task ends, as far as is known. Final when nothing is left to run.
    pub(super) fn verdict(&self) -> Verdict {
        let main = self.main_outcome();
        let by_run_time = self
            .stopped
            .as_ref()
            .is_some_and(|stopped| stopped.only_by_run_time);
        let (state, reason) = match (&self.stopped, &self.failed_guard, main) {
            (Some(_), _, _) if by_run_time => {
                (TaskState::Failed, Some(Reason::MaxCompletionTimeReached))
            }
            (Some(_), _, _) => (TaskState::Killed, None),
            (None, Some(_), _) => (TaskState::Failed, None),
            (None, None, Some(outcome)) if outcome.succeeded() => (TaskState::Finished, None),
            (None, None, None) if !self.has_command() => (TaskState::Finished, None),
            (None, None, Some(_) | None) => (TaskState::Failed, None),
        };
        let stock_message = || match (&self.failed_guard, main) {
            (Some((guard, outcome)), _) => {
                format!("{guard} {outcome}; it is a guard, so no later command was started")
            }
            (None, Some(outcome)) => format!("Command {outcome}"),
            (None, None) if self.has_command() => match by_run_time {
                true => "Reached its maximum run time before its command started".to_owned(),
                false => "Killed before its command started".to_owned(),
            },
            (None, None) if by_run_time => "Reached its maximum run time".to_owned(),
            (None, None) if self.stopped.is_some() => "Killed".to_owned(),
            (None, None) => {
                "Before and after commands have run; the task has no command".to_owned()
            }
        };
        let message = match self.progress.own_message() {
            Some(own) => own.to_owned(),
            None if self.has_api => stock_message(),
            None => format!(
                "{} (there was no task API: {} was not set)",
                stock_message(),
                variables::ENDPOINT
            ),
        };
        Verdict {
            state,
            reason,
            message: match self.checks.kill_cause() {
                Some(cause) => format!("{cause}. {message}"),
                None => message,
            },
        }
    }
}

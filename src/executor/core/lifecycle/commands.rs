//! The commands of a task: which one starts next, and what follows from its start and its end.

use super::ledger::Due;
use super::{Lifecycle, Phase};
use crate::core::effect::{Effect, Line, Note, Start};
use crate::core::outbox::{Message, TaskState};
use crate::core::plan::{CommandId, Part};
use crate::core::proxies;
use crate::core::step::Step;
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Pid};

impl Lifecycle {
    /// Starts the command after `current`, which has ended or is async.
    pub(super) fn start_next(&mut self, current: CommandId, step: &mut Step<'_>) {
        let kill_at = match self.phase {
            Phase::After { kill_at, .. } => kill_at,
            Phase::Sequence { .. }
            | Phase::Stopping { .. }
            | Phase::Clearing { .. }
            | Phase::Draining { .. } => None,
        };
        self.start(CommandId(current.0 + 1), kill_at, step);
    }

    /// Starts the command at `id`, or begins the end of the task if there is no further command. `kill_at`
    /// is the deadline of after commands.
    pub(super) fn start(&mut self, id: CommandId, kill_at: Option<Moment>, step: &mut Step<'_>) {
        let is_over = self.plan.get(id).is_none();
        if id == self.plan.first_after() && self.plan.main().is_none() {
            self.pass_by_no_command(step);
        }
        if is_over {
            return self.clear(self.rest_is_killed_at(step.moment()), step);
        }
        let since = match self.phase {
            Phase::After { since, .. } => since,
            Phase::Sequence { .. }
            | Phase::Stopping { .. }
            | Phase::Clearing { .. }
            | Phase::Draining { .. } => step.moment(),
        };
        self.phase = match id < self.plan.first_after() {
            true => Phase::Sequence { current: id },
            false => Phase::After {
                current: id,
                since,
                kill_at,
            },
        };
        self.ledger.starting(id);
        self.set_task_variables(id);
        self.spawn(id, step);
    }

    /// Orders the start of the command with the present environment.
    fn spawn(&mut self, id: CommandId, step: &mut Step<'_>) {
        if let Some(command) = self.plan.get(id) {
            let mut environment = self.environment.clone();
            proxies::bypass(&mut environment);
            step.perform(Effect::Start(Box::new(Start {
                id,
                program: command.program.clone(),
                environment,
                description: command.description.clone(),
            })));
        }
    }

    /// Ends hooks that have exceeded their timeouts, and retries delayed commands.
    pub(super) fn tick_commands(&mut self, step: &mut Step<'_>) {
        for (id, due) in self.ledger.take_due(step.moment(), self.limits.grace) {
            match due {
                Due::Start => self.spawn(id, step),
                Due::Signal(signal) => {
                    step.note(Note::HookTimedOut(self.describe(id)));
                    let commands = vec![id];
                    step.perform(Effect::Signal { commands, signal });
                }
            }
        }
    }

    /// Gives up all delayed commands.
    pub(super) fn give_up_delayed(&mut self, step: &mut Step<'_>) {
        for id in self.ledger.delayed() {
            let reason = "the task was stopped before the system had resources for it".to_owned();
            self.ended(id, Outcome::NotStarted(reason), step);
        }
    }

    /// The program of a command has started.
    pub(super) fn started(&mut self, id: CommandId, pid: Pid, step: &mut Step<'_>) {
        let timeout = self.plan.get(id).and_then(|command| command.timeout);
        let ends_at = timeout.map(|timeout| step.moment().plus(timeout));
        let is_news = self.ledger.started(id, pid, step.now().wall, ends_at);
        if is_news && self.plan.main() == Some(id) {
            step.say(Line::Forked(pid), self.audience);
            self.run(step);
        }
    }

    /// A task without a command is TASK_RUNNING from the moment when its command would have been started. A
    /// task that is being stopped has no such moment.
    fn pass_by_no_command(&mut self, step: &mut Step<'_>) {
        if self.stopped.is_none() {
            self.run(step);
        }
    }

    fn run(&mut self, step: &mut Step<'_>) {
        // A command that was starting when a kill arrived is not reported as running.
        if self.last_state == TaskState::Starting {
            self.last_state = TaskState::Running;
            step.record_running(&self.identity, self.results(), self.checked());
            // Without a command there is nothing to check.
            if self.plan.main().is_some() {
                self.begin_checks(step);
            }
        }
    }

    /// A command has ended, or could not be started.
    pub(super) fn ended(&mut self, id: CommandId, outcome: Outcome, step: &mut Step<'_>) {
        let Some(command) = self.plan.get(id) else {
            return;
        };
        let now = step.now().wall;
        let Some(end) = self.ledger.ended(id, outcome, command.timeout, now) else {
            return;
        };
        if command.guard && !end.outcome.succeeded() && !end.asked_to_stop {
            let guard = || (command.description.clone(), end.outcome.clone());
            self.failed_guard.get_or_insert_with(guard);
        }
        match command.part {
            Part::Main => {
                if let Some(code) = end.outcome.code() {
                    step.send(&self.identity.task, Message::ExitCode(code));
                }
                step.say(Line::Ended(end.outcome, end.pid), self.audience);
                self.end_checks(step);
            }
            Part::Before(_) | Part::After(_) => {
                step.note(Note::HookEnded(command.description.clone(), end.outcome));
            }
        }
    }

    /// Logs the after commands for which there is no time.
    pub(super) fn note_not_run(&self, step: &mut Step<'_>) {
        let not_run = self.plan.iter().filter(|(id, command)| {
            matches!(command.part, Part::After(_)) && self.ledger.is_planned(*id)
        });
        let names: Vec<_> = not_run
            .map(|(_, command)| command.description.clone())
            .collect();
        if !names.is_empty() {
            step.note(Note::NotRun(names));
        }
    }

    pub(super) fn main_outcome(&self) -> Option<&Outcome> {
        self.ledger.outcome(self.plan.main()?)
    }

    pub(super) fn first_after(&self) -> CommandId {
        self.plan.first_after()
    }

    pub(super) fn is_async(&self, id: CommandId) -> bool {
        self.plan.get(id).is_some_and(|command| command.is_async)
    }

    /// Whether there are after commands that may still run.
    pub(super) fn has_after(&self) -> bool {
        self.failed_guard.is_none() && self.plan.get(self.first_after()).is_some()
    }

    fn describe(&self, id: CommandId) -> String {
        self.plan
            .get(id)
            .map(|command| command.description.clone())
            .unwrap_or_default()
    }
}

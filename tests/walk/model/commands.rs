//! What an observer of the effects knows about the task's commands.

use std::time::Duration;

use cook_executor::core::plan::{CommandId, Part};
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::{Moment, StopSignal};

use super::{GRACE, Job, Model, Process};

/// How often the start of a command without resources is tried.
const MAX_ATTEMPTS: usize = 6;

/// Minimum time of after commands after a kill.
const LEAST_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Commands {
    /// Each ordered start.
    pub(super) attempts: Vec<CommandId>,
    /// Delayed commands, neither tried again nor given up.
    pub(super) delayed: Vec<CommandId>,
    /// When each program has started.
    started: Vec<(CommandId, Moment)>,
    pub(super) ended: Vec<CommandId>,
    /// Commands that got a signal because the task is being stopped.
    asked_to_stop: Vec<CommandId>,
    /// Commands that have exceeded their timeouts, and since when.
    timed_out: Vec<(CommandId, Moment)>,
    /// The next signal is only for this command.
    timing_out: Option<CommandId>,
    /// When the start of the first after command was ordered.
    pub(super) after_since: Option<Moment>,
    /// Commands that were killed, and whose end the core does not know yet.
    pub(super) dying: Vec<CommandId>,
    /// No further command may start.
    pub(super) is_clearing: bool,
    /// A guard has failed by itself, so no further command may start.
    pub(super) guard_failed: bool,
    /// Whether the command succeeded, if it has ended.
    pub(super) succeeded: Option<bool>,
    /// After commands that the log names because there was no time for them.
    not_run: Vec<String>,
}

impl Model {
    /// The start of a command was ordered.
    pub(super) fn attempted(&mut self, id: CommandId, job: &Job) {
        let now = self.now;
        let commands = &mut self.commands;
        commands.delayed.retain(|other| *other != id);
        commands.attempts.push(id);
        let count = commands.attempts.iter().filter(|other| **other == id);
        assert!(count.count() <= MAX_ATTEMPTS, "{id:?} is tried too often");
        if id >= job.plan.first_after() {
            commands.after_since.get_or_insert(now);
        }
    }

    /// Its program has started.
    pub(super) fn runs(&mut self, id: CommandId) {
        self.alive.push(Process::Command(id));
        self.commands.started.push((id, self.now));
    }

    /// The log says that a command has ended, with its description.
    pub(super) fn hook_ended(&mut self, description: &str, outcome: &Outcome, job: &Job) {
        let (id, command) = job.find(description);
        self.has_ended(id);
        let is_stopped = self.commands.asked_to_stop.contains(&id);
        self.commands.guard_failed |= command.guard && !outcome.succeeded() && !is_stopped;
    }

    pub(super) fn has_ended(&mut self, id: CommandId) {
        self.commands.delayed.retain(|other| *other != id);
        if !self.commands.ended.contains(&id) {
            self.commands.ended.push(id);
        }
    }

    pub(super) fn hook_timed_out(&mut self, description: &str, job: &Job) {
        let (id, _) = job.find(description);
        self.commands.timing_out = Some(id);
        let known = self
            .commands
            .timed_out
            .iter()
            .any(|(other, _)| *other == id);
        if !known {
            self.commands.timed_out.push((id, self.now));
        }
    }

    pub(super) fn not_run(&mut self, descriptions: &[String]) {
        self.commands.not_run.extend_from_slice(descriptions);
    }

    /// A signal goes to these commands.
    pub(super) fn signalled(&mut self, ids: &[CommandId], signal: StopSignal, job: &Job) {
        // A command that was killed in this step is not known to have ended yet.
        let known = |id: &CommandId| {
            self.alive.contains(&Process::Command(*id)) || self.commands.dying.contains(id)
        };
        assert!(ids.iter().all(known), "a signal to what is not alive");
        match self.commands.timing_out.take() {
            Some(id) => assert_eq!(
                ids,
                [id],
                "a signal for a timeout goes only to that command"
            ),
            None => {
                self.commands.asked_to_stop.extend_from_slice(ids);
                self.check_kill(ids, signal, job);
            }
        }
    }

    /// A signal goes to all processes.
    pub(super) fn swept(&mut self, signal: StopSignal, job: &Job) {
        let alive: Vec<_> = self.alive_commands().collect();
        self.commands.asked_to_stop.extend_from_slice(&alive);
        self.check_kill(&alive, signal, job);
    }

    pub(super) fn alive_commands(&self) -> impl Iterator<Item = CommandId> {
        self.alive.iter().filter_map(|process| match process {
            Process::Command(id) => Some(*id),
            Process::Leftover | Process::Reader | Process::Beyond => None,
        })
    }

    /// After a kill, after commands have at least a second, except with SHUTDOWN, a failed guard, or a job
    /// without a grace period.
    fn check_kill(&self, ids: &[CommandId], signal: StopSignal, job: &Job) {
        let is_after = ids.iter().any(|id| *id >= job.plan.first_after());
        let may_be_short = self.may_give_up || self.commands.guard_failed || job.has_no_grace();
        if signal == StopSignal::Kill && is_after && self.is_stopped() && !may_be_short {
            let had = self.commands.after_since.map(|since| self.now.since(since));
            assert!(had >= Some(LEAST_AFTER), "an after command had {had:?}");
        }
    }

    /// No command exceeds its timeout by more than its grace period.
    pub(super) fn check_timeouts(&self, job: &Job) {
        let grace = job.kill_grace.map_or(GRACE, |grace| grace.get());
        for id in self.alive_commands() {
            let is_stopped = self.commands.asked_to_stop.contains(&id);
            let of = |list: &[(CommandId, Moment)]| {
                let found = list.iter().find(|(other, _)| *other == id);
                found.map(|(_, at)| *at)
            };
            let timeout = job.plan.get(id).and_then(|command| command.timeout);
            let due = timeout.and_then(|timeout| Some(of(&self.commands.started)?.plus(timeout)));
            let timed_out = of(&self.commands.timed_out);
            if due.is_some_and(|due| due <= self.now) {
                assert!(timed_out.is_some() || is_stopped, "{id:?} runs on");
            }
            if let Some(since) = timed_out {
                let is_over = since.plus(grace) < self.now;
                assert!(!is_over || is_stopped, "{id:?} outlives its timeout");
            }
        }
    }

    /// When a task that was stopped has ended, each of its after commands was either started or named in the
    /// log as not started.
    pub(super) fn check_not_run(&self, job: &Job) {
        if !self.is_stopped() || self.was_killed_early || self.commands.guard_failed {
            return;
        }
        for (id, command) in job.plan.iter() {
            let is_known = self.commands.attempts.contains(&id)
                || self.commands.not_run.contains(&command.description);
            let is_after = matches!(command.part, Part::After(_));
            assert!(
                is_known || !is_after,
                "{id:?} was not started and not logged"
            );
        }
    }
}

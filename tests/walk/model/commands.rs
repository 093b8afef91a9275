//! What an observer of the effects knows about the task's commands.

use std::time::Duration;

use cook_executor::core::plan::{CommandId, Part};
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::{Moment, StopSignal};

use super::{GRACE, Job, Model, Process};

/// How often a command that finds no room is tried.
const MAX_ATTEMPTS: usize = 6;

/// After a kill the after commands have at least this long.
const LEAST_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Commands {
    /// Each time that one was to be started.
    pub(super) attempts: Vec<CommandId>,
    /// Those that found no room, and were neither tried again nor given up.
    pub(super) delayed: Vec<CommandId>,
    /// When each program began to run.
    started: Vec<(CommandId, Moment)>,
    pub(super) ended: Vec<CommandId>,
    /// Those that were sent a signal because everything was to end.
    asked_to_stop: Vec<CommandId>,
    /// Those that have used up their own time, and since when.
    timed_out: Vec<(CommandId, Moment)>,
    /// The next signal is for this one alone.
    timing_out: Option<CommandId>,
    /// When the first after command was to be started.
    pub(super) after_since: Option<Moment>,
    /// Those that were killed, and whose end the core has not heard of.
    pub(super) dying: Vec<CommandId>,
    /// Nothing starts any more.
    pub(super) is_clearing: bool,
    /// A guard failed by itself: nothing further starts.
    pub(super) guard_failed: bool,
    /// Whether the command succeeded, once it has ended.
    pub(super) succeeded: Option<bool>,
    /// After commands that the log names because there was no time for them.
    not_run: Vec<String>,
}

impl Model {
    /// A command is to be started.
    pub(super) fn attempted(&mut self, id: CommandId, job: &Job) {
        let now = self.now;
        let commands = &mut self.commands;
        commands.delayed.retain(|other| *other != id);
        commands.attempts.push(id);
        let count = commands.attempts.iter().filter(|other| **other == id);
        assert!(count.count() <= MAX_ATTEMPTS, "{id:?} is tried for ever");
        if id >= job.plan.first_after() {
            commands.after_since.get_or_insert(now);
        }
    }

    /// Its program runs.
    pub(super) fn runs(&mut self, id: CommandId) {
        self.alive.push(Process::Command(id));
        self.commands.started.push((id, self.now));
    }

    /// People are told that a command ended, by its description.
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
        // What was killed in this step has not been heard of yet.
        let known = |id: &CommandId| {
            self.alive.contains(&Process::Command(*id)) || self.commands.dying.contains(id)
        };
        assert!(ids.iter().all(known), "a signal to what is not alive");
        match self.commands.timing_out.take() {
            Some(id) => assert_eq!(ids, [id], "its own time is over, and nobody else's"),
            None => {
                self.commands.asked_to_stop.extend_from_slice(ids);
                self.check_kill(ids, signal, job);
            }
        }
    }

    /// A signal goes to everything.
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

    /// After a kill nothing takes the after commands' second away, but for SHUTDOWN, a guard, and a job that
    /// wants no grace.
    fn check_kill(&self, ids: &[CommandId], signal: StopSignal, job: &Job) {
        let is_after = ids.iter().any(|id| *id >= job.plan.first_after());
        let may_be_short = self.may_give_up || self.commands.guard_failed || job.has_no_grace();
        if signal == StopSignal::Kill && is_after && self.is_stopped() && !may_be_short {
            let had = self.commands.after_since.map(|since| self.now.since(since));
            assert!(had >= Some(LEAST_AFTER), "an after command had {had:?}");
        }
    }

    /// Each command keeps to its own time.
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

    /// At the end of a task that was stopped, people know which after commands were not run.
    pub(super) fn check_not_run(&self, job: &Job) {
        if !self.is_stopped() || self.was_killed_early || self.commands.guard_failed {
            return;
        }
        for (id, command) in job.plan.iter() {
            let is_known = self.commands.attempts.contains(&id)
                || self.commands.not_run.contains(&command.description);
            let is_after = matches!(command.part, Part::After(_));
            assert!(is_known || !is_after, "{id:?} was dropped without a word");
        }
    }
}

//! What must be true in every state, and for every effect of the core.

use cook_executor::core::effect::{ExitStatus, Start};
use cook_executor::core::outbox::{Reason, TaskState, Update, UpdateData};
use cook_executor::core::plan::{CommandId, Part};
use cook_executor::words::units::Percent;

use super::{ACKNOWLEDGEMENT_TIMEOUT, DRAINING, Job, LATE_RETRY, Model, RETRY, SHORT_OUTAGE, TASK};

impl Model {
    /// The task is being stopped; from here on it ends as killed.
    pub(super) fn ask_to_stop(&mut self, job: &Job) {
        if !self.asked_to_stop && !self.is_reported() {
            self.asked_to_stop = true;
            self.was_killed_early = self.launched_at.is_none();
            let attempts = &self.commands.attempts;
            self.cut_short |= !attempts.iter().any(|id| *id >= job.plan.first_after());
        }
    }

    /// After the terminal acknowledgement, the agent does not know the task any more.
    pub(super) fn check_sent(&self, update: &Update) {
        assert!(
            !self.terminal_acknowledged || update.task.0 != TASK,
            "{:?} was sent after the terminal acknowledgement",
            update.state
        );
    }

    pub(super) fn receive(&mut self, update: Update) {
        if update.task.0 != TASK {
            return self.receive_refusal(update);
        }
        if self.terminal_acknowledged {
            // A call that was under way when a copy of it was acknowledged.
            return;
        }
        if !self.seen.iter().any(|(uuid, _)| *uuid == update.uuid) {
            self.seen.push((update.uuid, update.state));
            self.check_order();
            self.check_told(&update);
            if update.state.is_terminal() {
                assert!(self.is_reported(), "sent before it was recorded");
                self.check_verdict(&update);
            }
        }
        if !self
            .unacknowledged
            .iter()
            .any(|other| other.uuid == update.uuid)
        {
            self.unacknowledged.push(update);
        }
    }

    /// Another task gets one update, which says that it was not started.
    fn receive_refusal(&mut self, update: Update) {
        assert_eq!(update.state, TaskState::Error);
        let known = self.refusals.iter().find(|(_, task)| *task == update.task);
        match known {
            Some((uuid, _)) => assert_eq!(*uuid, update.uuid, "two updates of {:?}", update.task),
            None => self.refusals.push((update.uuid, update.task.clone())),
        }
        if !self.unacknowledged.contains(&update) {
            self.unacknowledged.push(update);
        }
    }

    /// Each update once, in order, and exactly one terminal one at the end.
    fn check_order(&self) {
        let rank = |state: TaskState| match state {
            TaskState::Starting => 0,
            TaskState::Running => 1,
            TaskState::Killing => 2,
            TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Error => 3,
        };
        let ranks: Vec<_> = self.seen.iter().map(|(_, state)| rank(*state)).collect();
        let running = rank(TaskState::Running);
        let is_in_order =
            |pair: &[i32]| pair[0] < pair[1] || self.has_checks && pair == [running; 2];
        assert!(
            ranks.windows(2).all(is_in_order),
            "updates out of order: {:?}",
            self.seen
        );
    }

    pub(super) fn is_reported(&self) -> bool {
        self.reported_at.is_some()
    }

    /// The task's last output was read, or its time is over.
    pub(super) fn check_draining(&self) {
        if self.is_draining {
            let waited = self.drained_since.map(|since| self.now.since(since));
            assert!(
                waited >= Some(DRAINING) || self.may_give_up,
                "what the task wrote last was waited for {waited:?}"
            );
        }
    }

    /// The contents of the terminal update.
    fn check_verdict(&self, update: &Update) {
        let succeeded = match self.commands.succeeded {
            Some(succeeded) => succeeded,
            None => self.has_no_command,
        };
        let succeeded = succeeded && !self.commands.guard_failed;
        let (state, reason) = match (self.asked_to_stop, self.is_over_time, succeeded) {
            _ if self.is_refused => (TaskState::Error, Some(Reason::TaskInvalid)),
            (true, _, _) => (TaskState::Killed, None),
            (false, true, _) => (TaskState::Failed, Some(Reason::MaxCompletionTimeReached)),
            (false, false, true) => (TaskState::Finished, None),
            (false, false, false) => (TaskState::Failed, None),
        };
        assert_eq!((update.state, update.reason), (state, reason));
        if self.is_refused {
            return assert_eq!(update.data, UpdateData::None);
        }
        let UpdateData::Terminal(view) = &update.data else {
            panic!("a task that ran has results");
        };
        let newest = self.newest_progress.map(f64::from);
        assert_eq!(view.progress.map(Percent::get), newest, "the last progress");
    }

    /// The task was stopped by an order or by the maximum run time.
    pub(super) fn is_stopped(&self) -> bool {
        self.asked_to_stop || self.is_over_time
    }

    /// The order of starts, guards, no command twice, and no start after a kill.
    pub(super) fn check_start(&self, start: &Start, job: &Job) {
        let id = start.id;
        let command = job.plan.get(id).expect("of this plan");
        assert_eq!(start.program, command.program);
        assert_eq!(start.description, command.description);
        let was_tried = |id: CommandId| self.commands.attempts.contains(&id);
        let has_ended = |id: CommandId| self.commands.ended.contains(&id);
        assert!(
            !was_tried(id) || self.commands.delayed.contains(&id),
            "{id:?} started twice"
        );
        assert!(!has_ended(id), "{id:?} started after it was given up");
        assert!(!self.is_reported(), "{id:?} started after the end");
        assert!(!self.is_refused, "{id:?} of a task that cannot be run");
        assert!(
            !self.commands.guard_failed && !self.commands.is_clearing,
            "{id:?} started after a guard failed, or after all had ended"
        );
        for (earlier, other) in job.plan.iter().take_while(|(other, _)| *other < id) {
            let was_tried = was_tried(earlier);
            if was_tried && !other.is_async {
                assert!(
                    has_ended(earlier),
                    "{id:?} started before {earlier:?} ended"
                );
            }
            assert!(
                was_tried || self.is_stopped(),
                "{id:?} started without {earlier:?}"
            );
        }
        if self.is_stopped() {
            assert!(
                matches!(command.part, Part::After(_)),
                "{id:?} started after a kill"
            );
        }
        // After commands that were running at the order may run beside the next ones.
        let still_runs = self
            .alive_commands()
            .any(|other| other < job.plan.first_after());
        assert!(
            !self.cut_short || !still_runs,
            "an after command started while what was killed still ran"
        );
    }

    /// After an exit with success everything was reported, and there is never a process left.
    pub(super) fn check_exit(&self, status: ExitStatus) {
        self.check_alone();
        match status {
            ExitStatus::Done => {
                assert!(
                    self.terminal_acknowledged || self.launched_at.is_none(),
                    "exit 0 without the acknowledgement"
                );
                assert_eq!(self.unacknowledged_refusals, [], "an update is lost");
            }
            ExitStatus::Test(_) => unreachable!("nobody has asked for it"),
            ExitStatus::Unreported => {
                let waited = self.reported_at.map(|since| self.now.since(since));
                // If another task was launched while the last updates were sent, its refusal need not be
                // acknowledged: the agent reports it (REASON_EXECUTOR_TERMINATED).
                assert!(
                    self.may_give_up
                        || self.terminal_acknowledged
                        || waited >= Some(ACKNOWLEDGEMENT_TIMEOUT),
                    "it gave up after {waited:?}"
                );
            }
        }
    }

    /// What must be true in every state.
    pub fn check(&self, job: &Job) {
        self.check_timeouts(job);
        if self.exit.is_none() && self.subscribing.is_none() && self.up.is_none() {
            let retry = self.core.next_deadline().map(|next| next.since(self.now));
            let is_short = self.now.since(self.seen_at) < SHORT_OUTAGE;
            let limit = match is_short && !self.agent_refuses {
                true => RETRY,
                false => LATE_RETRY,
            };
            assert!(retry <= Some(limit), "the next try is {retry:?} away");
        }
        // There is always something that can happen.
        assert!(
            self.exit.is_some() || !self.steps().is_empty(),
            "nothing can happen any more"
        );
    }
}

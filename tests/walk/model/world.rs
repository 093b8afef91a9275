//! The world's side: performs effects, and returns results that are known immediately.

use std::collections::VecDeque;

use cook_executor::core::effect::{Effect, Line, Note};
use cook_executor::core::event::{Event, TaskEvent};
use cook_executor::core::executor::Answered;
use cook_executor::core::outbox::{Item, Message, Reason, TaskState};
use cook_executor::core::plan::CommandId;
use cook_executor::core::request::{ApiRequest, Reply};
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::{Now, Pid, StopSignal, WallTime};

use super::{BROKEN, Job, Model, Process, TASK};

impl Model {
    /// Passes an event to the core, and performs its effects.
    pub(super) fn tell(&mut self, event: Event, job: &Job) {
        let effects = self.core.step(event, self.clocks());
        self.perform_all(effects, job);
    }

    /// A command sends a request.
    pub(super) fn request(&mut self, request: ApiRequest, job: &Job) {
        let Answered { reply, effects } = self.core.answer(request, self.clocks());
        match reply {
            Reply::Applied | Reply::AppliedWithoutAgent => {
                assert!(!self.is_reported(), "a change that will never be reported");
                self.newest_progress = Some(u32::from(self.mischief.patches));
            }
            Reply::EnvironmentTooLarge
            | Reply::SetForCommands(_)
            | Reply::ReadAtStart(_)
            | Reply::TaskEnded
            | Reply::View(_) => {}
        }
        self.perform_all(effects, job);
    }

    fn clocks(&self) -> Now {
        let moment = u64::try_from(self.now.0.as_millis()).unwrap_or(u64::MAX);
        Now {
            moment: self.now,
            // The wall clock runs backwards faster than time passes: nothing may depend on it.
            wall: WallTime(u64::MAX.saturating_sub(moment.saturating_mul(1000))),
        }
    }

    fn perform_all(&mut self, effects: Vec<Effect>, job: &Job) {
        let mut queue = VecDeque::new();
        for effect in effects {
            queue.extend(self.perform(effect, job));
        }
        while let Some(event) = queue.pop_front() {
            if let TaskEvent::CommandEnded(id, _) = &event {
                self.commands.dying.retain(|other| other != id);
            }
            for effect in self.core.step(Event::Task(event), self.clocks()) {
                queue.extend(self.perform(effect, job));
            }
        }
    }

    fn perform(&mut self, effect: Effect, job: &Job) -> Option<TaskEvent> {
        assert_eq!(self.exit, None, "{} after the exit", effect.name());
        match effect {
            Effect::Subscribe {
                generation,
                updates,
                ..
            } => {
                self.subscribing = Some(generation);
                self.lose();
                self.call = None;
                // The agent has received the updates in a subscription. Of updates about checks there may
                // be any number that it has received, and two of each kind that it has not: an older one
                // that may still arrive, and the newest.
                let own = updates.iter().filter(|update| {
                    let is_checks = matches!(update.reason, Some(Reason::Checked(_)));
                    update.task.0 == TASK && !(is_checks && self.has_seen(update))
                });
                let most = if self.has_checks { 8 } else { 4 };
                assert!(own.count() <= most, "{updates:?}");
                for update in updates {
                    self.check_sent(&update);
                    self.receive(update);
                }
                None
            }
            Effect::Call(serial, item) => {
                assert!(self.up.is_some(), "a call without a subscription");
                assert_eq!(self.call, None, "two calls at once");
                match &*item {
                    Item::Update(update) => self.check_sent(update),
                    Item::Message(_, Message::Progress(report)) => {
                        assert!(report.sequence >= self.sent_sequence, "an older progress");
                        self.sent_sequence = report.sequence;
                    }
                    Item::Message(_, Message::Directory(_) | Message::ExitCode(_)) => {}
                }
                self.call = Some((serial, *item));
                None
            }
            Effect::AbandonCall => {
                self.give_call_up();
                None
            }
            Effect::Start(start) => {
                let id = start.id;
                self.check_start(&start, job);
                self.attempted(id, job);
                if !self.has_room {
                    self.commands.delayed.push(id);
                    return Some(TaskEvent::CommandDelayed(id, "no room".to_owned()));
                }
                if job.is_broken(id) {
                    let outcome = Outcome::NotStarted(BROKEN.to_owned());
                    return Some(TaskEvent::CommandEnded(id, outcome));
                }
                self.runs(id);
                Some(TaskEvent::CommandStarted(id, Pid(1)))
            }
            Effect::Signal { commands, signal } => {
                self.signalled(&commands, signal, job);
                match signal {
                    StopSignal::Terminate => None,
                    StopSignal::Kill => {
                        let is_alive = |id: &CommandId| !self.commands.dying.contains(id);
                        let first = commands.into_iter().find(is_alive);
                        first.map(|id| self.killed(id))
                    }
                }
            }
            Effect::Sweep(_) if !self.probes_in_flight.is_empty() => {
                panic!("a check's processes are counted as the task's")
            }
            Effect::Sweep(sweep) => Some(self.sweep(sweep, job)),
            Effect::FinishTracking => {
                self.check_alone();
                self.check_patience(job);
                assert_eq!(self.drained_since, None, "asked twice for the last look");
                self.is_draining = true;
                self.drained_since = Some(self.now);
                None
            }
            Effect::Exit(status) => {
                self.exit = Some(status);
                self.check_exit(status);
                None
            }
            Effect::Probe(id, _) => {
                self.probe(id, job);
                None
            }
            Effect::AbandonProbe(id) => {
                self.abandon_probe(id);
                None
            }
            Effect::Say(line, _) => {
                self.hear(&line, job);
                None
            }
            Effect::Note(note) => {
                self.read(&note, job);
                None
            }
            Effect::ReapOrphans | Effect::Publish(_) | Effect::Track(_) => None,
        }
    }

    /// A line in the task's stdout.
    fn hear(&mut self, line: &Line, job: &Job) {
        match line {
            Line::Completed(task, state) => {
                assert_eq!(task.0, TASK, "of the task that was started");
                self.check_alone();
                assert_eq!(self.reported_at, None, "two terminal updates");
                assert_eq!(*state == TaskState::Error, self.is_refused);
                self.check_draining();
                self.check_not_run(job);
                self.reported_at = Some(self.now);
            }
            Line::Ended(outcome, _) => {
                self.commands.succeeded = Some(outcome.succeeded());
                job.plan
                    .main()
                    .into_iter()
                    .for_each(|id| self.has_ended(id));
            }
            Line::Killing(..) => self.is_being_killed(job),
            Line::Version | Line::Starting(_) | Line::Forked(_) => {}
        }
    }

    /// A line in the log.
    fn read(&mut self, note: &Note, job: &Job) {
        match note {
            Note::Recorded(TaskState::Error, uuid, _) => self.unacknowledged_refusals.push(*uuid),
            Note::AgentLost => {
                self.may_give_up = true;
                self.ask_to_stop(job);
            }
            Note::HookEnded(description, outcome) => self.hook_ended(description, outcome, job),
            Note::HookTimedOut(description) => self.hook_timed_out(description, job),
            Note::NotRun(descriptions) => self.not_run(descriptions),
            Note::Recorded(..)
            | Note::CheckRecorded(..)
            | Note::CheckAcknowledged(_)
            | Note::Acknowledged(..)
            | Note::AcknowledgedUnknown
            | Note::Overridden(_)
            | Note::CheckIgnored(_)
            | Note::Stopping(_)
            | Note::KillingNow
            | Note::AskingAgain
            | Note::GivingUp => {}
        }
    }

    pub(super) fn killed(&mut self, id: CommandId) -> TaskEvent {
        self.alive
            .retain(|process| *process != Process::Command(id));
        self.has_ended(id);
        self.commands.dying.push(id);
        let outcome = Outcome::Signalled {
            signal: 9,
            core_dumped: false,
        };
        TaskEvent::CommandEnded(id, outcome)
    }
}

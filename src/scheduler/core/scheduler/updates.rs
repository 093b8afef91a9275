//! Updates and messages of instances. An update is stored before it is acknowledged, and every
//! duplicate is acknowledged too.

use std::collections::BTreeSet;
use std::time::Duration;

use super::disk::{Deferred, Disk, Wanted};
use super::link::ASK_AGAIN;
use super::live::{Draft, Repeat, Unexplained};
use super::{Scheduler, Step};
use crate::core::backend::{Call, InstanceMessage, TaskState, Update};
use crate::core::effect::LogLine;
use crate::core::event::DiskSpace;
use crate::core::job::{
    End, Instance, InstanceState, Job, JobKey, JobStatus, Outcome, Reason, Report, Verdict,
};
use crate::core::words::{InstanceId, Moment};

/// What an update means for an unfinished instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The task was received, but not by its executor yet.
    Accepted,
    /// The executor has the task.
    Runs,
    /// The agent cannot be reached.
    Unreachable,
    /// It has ended.
    Ended(Outcome),
}

/// Messages of an instance are recorded at most once in this time. There may be many, and the terminal
/// update repeats their content.
const DRAFT_EVERY: Duration = Duration::from_secs(1);

/// How long the reason of a failure is waited for. An agent sends its updates again as soon as it is
/// connected.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(5);

/// How long an exit code waits to be recorded. Without after commands, the end of the task follows within milliseconds
/// and repeats the exit code, so that one batch is enough.
const END_FOLLOWS: Duration = Duration::from_millis(200);

impl Scheduler {
    pub(super) fn updated(&mut self, step: &mut Step, update: Update) {
        if self.disk != Disk::Works {
            // Nothing can be stored, so the update is not acknowledged; the agent will send it again.
            return;
        }
        let id = update.instance;
        let Some(key) = self.table.key_of_instance(id) else {
            return self.unknown_task(step, &update);
        };
        let Some(job) = self.table.job(key) else {
            return self.late_for_archived(step, key, update);
        };
        match job.live().filter(|instance| instance.id == id) {
            Some(instance) => {
                let instance = instance.as_ref().clone();
                self.update_live(step, key, instance, &update);
            }
            None => self.late(step, key, &update),
        }
        acknowledge(step, &update);
    }

    // --- unfinished instances ---

    fn update_live(&mut self, step: &mut Step, key: JobKey, old: Instance, update: &Update) {
        let Some(job) = self.table.job(key).cloned() else {
            return;
        };
        let id = old.id;
        let now = step.now;
        let meaning = meaning(update, old.state);
        let draft = self.table.lives.edit(id, |live| {
            live.ask = match meaning {
                // Nobody says so if the agent comes back without the task.
                Meaning::Unreachable => live.ask.or(Some(Repeat::starting(now.steady, ASK_AGAIN))),
                Meaning::Accepted | Meaning::Runs | Meaning::Ended(_) => None,
            };
            live.stuck = None;
            live.unexplained = None;
            live.draft.take()
        });
        let mut instance = old.clone();
        if let Some(draft) = draft.flatten() {
            fold(&mut instance, draft);
        }
        if let Some(report) = &update.report {
            instance.report.merge(report.clone());
        }
        match meaning {
            Meaning::Accepted => instance.unreachable_since = None,
            Meaning::Runs => {
                instance.unreachable_since = None;
                instance.state = InstanceState::Running;
                instance.began = instance.began.or(Some(now));
            }
            Meaning::Unreachable => {
                if instance.unreachable_since.is_none() {
                    instance.unreachable_since = Some(now.steady);
                    step.log(LogLine::Unreachable(id));
                }
            }
            Meaning::Ended(outcome) if is_unexplained(update, &instance) => {
                instance.unreachable_since = None;
                let at = now.steady.plus(EXPLAINED_WITHIN);
                self.table.lives.edit(id, |live| {
                    live.unexplained = Some(Unexplained { at, outcome });
                });
            }
            Meaning::Ended(outcome) => return self.end(step, &job, instance, outcome),
        }
        if instance != old {
            self.put(step, job.with_newest(instance));
        }
    }

    /// Ends an instance whose end no agent reports. Does nothing if it has ended.
    pub(super) fn end_live(&mut self, step: &mut Step, id: InstanceId, outcome: Outcome) {
        let Some(live) = self.table.lives.get(id) else {
            return;
        };
        let draft = live.draft.clone();
        let Some(job) = self.table.job(live.key).cloned() else {
            return;
        };
        let Some(instance) = job.live() else { return };
        let mut instance = instance.as_ref().clone();
        if let Some(draft) = draft {
            fold(&mut instance, draft);
        }
        self.end(step, &job, instance, outcome);
    }

    fn end(&mut self, step: &mut Step, job: &Job, mut instance: Instance, outcome: Outcome) {
        let outcome = match (outcome, instance.kill) {
            (Outcome::Failed(_), Some(reason)) => Outcome::Failed(reason),
            (Outcome::Failed(_) | Outcome::Success, _) => outcome,
        };
        let id = instance.id;
        instance.state = InstanceState::Ended(End {
            at: step.now,
            outcome,
        });
        instance.unreachable_since = None;
        let mut job = job.with_newest(instance);
        job.status = match job.status {
            completed @ JobStatus::Completed { .. } => completed,
            JobStatus::Waiting | JobStatus::Running => self.after(&job, outcome, step.now),
        };
        self.offer_demand.has_new_work |= job.status == JobStatus::Waiting;
        self.figures.ended(outcome);
        step.log(LogLine::Ended(id, job.id, outcome));
        self.put(step, job);
    }

    /// The next state of a job after one of its instances has ended.
    fn after(&self, job: &Job, outcome: Outcome, at: Moment) -> JobStatus {
        match outcome {
            Outcome::Success => JobStatus::Completed {
                at,
                verdict: Verdict::Success,
            },
            Outcome::Failed(_) if job.retries_remaining(self.settings.free_failures) == 0 => {
                JobStatus::Completed {
                    at,
                    verdict: Verdict::Failed,
                }
            }
            Outcome::Failed(_) => JobStatus::Waiting,
        }
    }

    // --- other instances ---

    /// An unknown task. If it still runs it is killed. The update is acknowledged, so that it is not
    /// sent for ever.
    fn unknown_task(&mut self, step: &mut Step, update: &Update) {
        self.kill_on_sight(step, update);
        acknowledge(step, update);
    }

    /// An update of an ended instance whose job is in memory.
    fn late(&mut self, step: &mut Step, key: JobKey, update: &Update) {
        self.kill_on_sight(step, update);
        let Some(report) = news(update) else { return };
        let Some(job) = self.table.job(key) else {
            return;
        };
        let mut job = Job::clone(job);
        // The recorded end stays. Exit codes and the message may arrive later, if the end was first
        // known by reconciliation.
        if let Some(instance) = job
            .instances
            .iter_mut()
            .find(|instance| instance.id == update.instance)
        {
            let mut merged = instance.report.clone();
            merged.merge(report.clone());
            if merged != instance.report {
                std::sync::Arc::make_mut(instance).report = merged;
                self.put(step, job);
            }
        }
    }

    /// An update of an ended instance whose job is in the store.
    fn late_for_archived(&mut self, step: &mut Step, key: JobKey, update: Update) {
        if news(&update).is_some() && self.table.archived(key).is_some() {
            let wanted = Wanted::Update(Box::new(update));
            return self.defer(
                step,
                Deferred {
                    wanted,
                    missing: BTreeSet::from([key]),
                },
            );
        }
        self.unknown_task(step, &update);
    }

    /// Kills a task that should not run.
    fn kill_on_sight(&mut self, step: &mut Step, update: &Update) {
        // Killing a task that does not exist would be answered with another such update, without end.
        if update.state.is_alive() {
            step.log(LogLine::KillOnSight(update.instance, update.state));
            step.call(Call::Kill {
                instance: update.instance,
                agent: update.agent.clone(),
            });
        }
    }

    // --- messages ---

    pub(super) fn messaged(&mut self, step: &mut Step, id: InstanceId, message: InstanceMessage) {
        let now = step.now.steady;
        self.table.lives.edit(id, |live| {
            let mut report = Report::default();
            let mut sandbox = None;
            let mut earliest = now;
            match message {
                InstanceMessage::Stuck(text) => {
                    live.stuck = Some(text);
                    return;
                }
                InstanceMessage::Progress {
                    sequence,
                    percent,
                    message,
                } => {
                    if live.sequence.is_some_and(|newest| sequence <= newest) {
                        return;
                    }
                    live.sequence = Some(sequence);
                    report.progress = percent;
                    report.message = message;
                }
                InstanceMessage::ExitCode(code) => {
                    report.exit_code = Some(code);
                    earliest = now.plus(END_FOLLOWS);
                }
                InstanceMessage::Sandbox(path) => sandbox = Some(path),
            }
            let at = live
                .drafted_at
                .map_or(earliest, |last| last.plus(DRAFT_EVERY))
                .max(earliest);
            let draft = live.draft.get_or_insert_with(|| Draft {
                at,
                report: Report::default(),
                sandbox: None,
            });
            draft.at = draft.at.min(at);
            draft.report.merge(report);
            draft.sandbox = sandbox.or(draft.sandbox.take());
        });
        let is_due =
            |live: &super::live::Live| live.draft.as_ref().is_some_and(|draft| draft.at <= now);
        if self.table.lives.get(id).is_some_and(is_due)
            && self.disk == Disk::Works
            && self.disk_space == DiskSpace::Ample
        {
            self.record_draft(step, id);
        }
    }

    /// Records the messages of an instance.
    pub(super) fn record_draft(&mut self, step: &mut Step, id: InstanceId) {
        let now = step.now.steady;
        let taken = self.table.lives.edit(id, |live| {
            live.drafted_at = Some(now);
            live.draft.take().map(|draft| (live.key, draft))
        });
        let Some(Some((key, draft))) = taken else {
            return;
        };
        let Some(job) = self.table.job(key).cloned() else {
            return;
        };
        let Some(old) = job.live() else { return };
        let mut instance = old.as_ref().clone();
        fold(&mut instance, draft);
        if instance != **old {
            self.put(step, job.with_newest(instance));
        }
    }
}

fn fold(instance: &mut Instance, draft: Draft) {
    instance.report.merge(draft.report);
    instance.sandbox = draft.sandbox.or(instance.sandbox.take());
}

fn acknowledge(step: &mut Step, update: &Update) {
    if let Some(token) = &update.token {
        step.call(Call::Acknowledge {
            instance: update.instance,
            agent: update.agent.clone(),
            token: token.clone(),
        });
    }
}

/// The report of a late update, if it may contain something new.
fn news(update: &Update) -> Option<&Report> {
    match meaning(update, InstanceState::Running) {
        Meaning::Ended(_) => update.report.as_ref(),
        Meaning::Accepted | Meaning::Runs | Meaning::Unreachable => None,
    }
}

/// Whether the master reports a failure without its reason. The agent's update has it, and whether the
/// failure costs an attempt depends on it. The reason of a kill is known.
fn is_unexplained(update: &Update, instance: &Instance) -> bool {
    let is_failure = match update.state {
        TaskState::Failed | TaskState::Killed | TaskState::Error => true,
        TaskState::Finished
        | TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Unreachable
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => false,
    };
    is_failure
        && update.token.is_none()
        && update.reason == Some(Reason::Reconciliation)
        && instance.kill.is_none()
}

fn meaning(update: &Update, known: InstanceState) -> Meaning {
    let failed = |reason| Meaning::Ended(Outcome::Failed(reason));
    // This reason says why the master sends the update, not why the task failed.
    let reason = update
        .reason
        .filter(|&reason| reason != Reason::Reconciliation);
    match update.state {
        TaskState::Staging => Meaning::Accepted,
        TaskState::Starting | TaskState::Running | TaskState::Killing => Meaning::Runs,
        TaskState::Finished => Meaning::Ended(Outcome::Success),
        TaskState::Failed | TaskState::Killed => failed(reason.unwrap_or(Reason::NonZeroExit)),
        TaskState::Error => failed(reason.unwrap_or(Reason::TaskInvalid)),
        TaskState::Unreachable => Meaning::Unreachable,
        // It is certain if the agent itself reports it, or if the master refused the launch. Otherwise
        // the master has only lost contact with the agent, and the task may come back.
        TaskState::Lost if update.token.is_none() && reason != Some(Reason::InvalidOffer) => {
            Meaning::Unreachable
        }
        TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => failed(gone(reason, known)),
    }
}

/// The reason for an instance whose task no longer exists on any agent, or never started. It is always one
/// that is not the job's fault: the reported one if it is such a reason, or else a general one.
fn gone(reason: Option<Reason>, known: InstanceState) -> Reason {
    match (reason, known) {
        (
            Some(reason),
            InstanceState::Unknown | InstanceState::Running | InstanceState::Ended(_),
        ) if reason.is_mea_culpa() => reason,
        (Some(_) | None, InstanceState::Unknown) => Reason::InvalidOffer,
        (Some(_) | None, InstanceState::Running | InstanceState::Ended(_)) => Reason::AgentRemoved,
    }
}

//! Deadlines, and the removal of old completed jobs.

use std::time::Duration;

use super::disk::Disk;
use super::link::ASK_MOST;
use super::{Scheduler, Step};
use crate::core::backend::Call;
use crate::core::effect::LogLine;
use crate::core::event::DiskSpace;
use crate::core::job::{Outcome, Reason};
use crate::core::words::{InstanceId, Steady};

/// The first delay before a kill is repeated, in case it got lost.
pub(super) const KILL_AGAIN: Duration = Duration::from_secs(5);

/// The longest delay between two kills of one instance.
const KILL_MOST: Duration = Duration::from_secs(60);

/// From this time on, every repeated kill is logged.
const KILL_IS_SLOW: Duration = Duration::from_secs(60);

/// Maximum number of instances per step, so that a step stays short. The next step follows at once.
const TOGETHER: usize = 1000;

/// Maximum number of completed jobs that one batch removes.
const DROP_TOGETHER: usize = 500;

/// How often to check whether reports can be recorded again while the disk is full.
const DRAFTS_WAIT: Duration = Duration::from_secs(10);

impl Scheduler {
    pub(super) fn deadlines(&self) -> Option<Steady> {
        match &self.disk {
            Disk::Failed(failed) => Self::store_deadline(failed),
            Disk::Works => {
                let keep = self.settings.keep_for;
                let oldest = self.table.oldest().map(|(at, _)| match self.is_crowded() {
                    true => Steady(0),
                    false => at.plus(keep),
                });
                let group = self.table.oldest_empty_group().map(|(at, _)| at.plus(keep));
                let all = [
                    self.table.lives.next(),
                    self.link.ask_all_at(),
                    self.offer_demand.wake_at(),
                    oldest,
                    group,
                ];
                all.into_iter().flatten().min()
            }
        }
    }

    /// Whether there are more completed jobs than the limit.
    fn is_crowded(&self) -> bool {
        self.table.archived_count() > self.settings.keep_count
    }

    pub(super) fn tick(&mut self, step: &mut Step) {
        match self.disk {
            Disk::Failed(_) => self.store_tick(step),
            Disk::Works => {
                let mut silent = Vec::new();
                for id in self.table.lives.due(step.now.steady, TOGETHER) {
                    if self.look_after(step, id) == Look::Ask {
                        silent.push(id);
                    }
                }
                self.call_reconcile(step, &silent);
                self.ask_regularly(step);
                self.retain(step);
            }
        }
    }

    /// Does what is due for an instance.
    fn look_after(&mut self, step: &mut Step, id: InstanceId) -> Look {
        let now = step.now.steady;
        let is_due = |at: Option<Steady>| at.is_some_and(|at| at <= now);
        let Some(live) = self.table.lives.get(id) else {
            return Look::Nothing;
        };
        let (unexplained, runtime_at) = (live.unexplained, live.runtime_at);
        if is_due(live.write_off_at) {
            let from = self.link.give_up_from();
            if is_due(from) {
                self.end_live(step, id, Outcome::Failed(Reason::AgentUnreachable));
                return Look::Nothing;
            }
            // Its agent may be back; only the master knows. A subscription renews this deadline.
            self.table.lives.edit(id, |live| live.write_off_at = from);
        }
        if let Some(unexplained) = unexplained.filter(|it| it.at <= now) {
            self.end_live(step, id, unexplained.outcome);
            return Look::Nothing;
        }
        if is_due(runtime_at) {
            self.kill_instance(step, id, Reason::MaxRuntimeExceeded, false);
        }
        self.kill_if_due(step, id);
        self.draft_if_due(step, id);
        let is_up = self.link.is_up();
        self.table
            .lives
            .edit(id, |live| match live.ask {
                Some(ask) if ask.at <= now => {
                    // A new subscription reconciles all instances.
                    live.ask = is_up.then(|| ask.again(now, ASK_MOST));
                    if is_up { Look::Ask } else { Look::Nothing }
                }
                Some(_) | None => Look::Nothing,
            })
            .unwrap_or(Look::Nothing)
    }

    fn kill_if_due(&mut self, step: &mut Step, id: InstanceId) {
        let now = step.now.steady;
        let due = self.table.lives.edit(id, |live| {
            let due = live.kill.filter(|kill| kill.at <= now)?;
            live.kill = Some(due.again(now, KILL_MOST));
            Some(due)
        });
        let (Some(Some(due)), Some(agent)) = (due, self.place_of(id)) else {
            return;
        };
        if !self.link.is_up() {
            // A new subscription repeats all kills.
            return;
        }
        let asked_for = now.since(due.since);
        if asked_for >= KILL_IS_SLOW {
            step.log(LogLine::KillRepeated(id, asked_for));
        }
        step.call(Call::Kill {
            instance: id,
            agent: Some(agent.clone()),
        });
        if self
            .settings
            .shutdown_after
            .is_some_and(|after| asked_for >= after)
        {
            step.call(Call::Shutdown {
                instance: id,
                agent,
            });
        }
    }

    fn draft_if_due(&mut self, step: &mut Step, id: InstanceId) {
        let now = step.now.steady;
        let is_due =
            |live: &super::live::Live| live.draft.as_ref().is_some_and(|draft| draft.at <= now);
        if !self.table.lives.get(id).is_some_and(is_due) {
            return;
        }
        match self.disk_space {
            DiskSpace::Ample => self.record_draft(step, id),
            DiskSpace::ReserveOnly => {
                self.table.lives.edit(id, |live| {
                    if let Some(draft) = &mut live.draft {
                        draft.at = now.plus(DRAFTS_WAIT);
                    }
                });
            }
        }
    }

    /// Removes completed jobs that are too old or too many.
    pub(super) fn retain(&mut self, step: &mut Step) {
        if self.disk != Disk::Works {
            return;
        }
        let now = step.now.steady;
        let keep = self.settings.keep_for;
        let mut forgotten = Vec::new();
        while step.dropped.len() < DROP_TOGETHER
            && let Some((at, key)) = self.table.oldest()
            && (self.is_crowded() || at.plus(keep) <= now)
            && let Some(archived) = self.table.leave(key)
        {
            forgotten.extend_from_slice(&archived.instances);
            step.dropped.push(key);
        }
        if !step.dropped.is_empty() {
            step.log(LogLine::Dropped(step.dropped.len()));
        }
        if !forgotten.is_empty() {
            step.call(Call::Forget(forgotten));
        }
        // If this change is lost, the next start of the program finds the group and removes it.
        while step.dropped_groups.len() < DROP_TOGETHER
            && let Some((at, id)) = self.table.oldest_empty_group()
            && at.plus(keep) <= now
        {
            self.table.remove_group(id);
            step.dropped_groups.push(id);
        }
    }
}

/// The result of looking after an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing more to do.
    Nothing,
    /// The backend has to be asked for its state.
    Ask,
}

//! The state of the store as the core sees it, what to do when a commit fails, and jobs that have to be
//! loaded.

use std::collections::BTreeSet;
use std::time::Duration;

use super::commits::Held;
use super::live::{Repeat, Sent};
use super::{Archived, Scheduler, Step};
use crate::core::backend::{Call, Task, Update};
use crate::core::effect::{BatchNumber, Effect, LogLine};
use crate::core::event::{DiskSpace, LoadAnswer, StoreFault};
use crate::core::job::{JobKey, Outcome, Reason};
use crate::core::request::{ApiRequest, Refusal, Reply, RequestId, Unavailable};
use crate::core::words::Steady;

/// Whether the store works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Disk {
    /// It works.
    Works,
    /// A commit has failed.
    Failed(Failed),
}

/// State after a failed commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Failed {
    /// Why.
    pub fault: StoreFault,
    /// When to open it again; `None` while an attempt is running.
    pub retry_at: Option<Steady>,
    /// The delay before the next attempt.
    pub delay: Duration,
    /// When clients that wait for a reply get "undecided" instead.
    pub give_up_at: Option<Steady>,
}

/// Something that waits until completed jobs are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Deferred {
    /// What waits.
    pub wanted: Wanted,
    /// The jobs that are not loaded yet.
    pub missing: BTreeSet<JobKey>,
}

/// What waits for a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// A client's request.
    Request(RequestId, ApiRequest),
    /// An update of an instance that ended before.
    Update(Box<Update>),
}

/// The first delay is short: when the job that has filled the disk ends, there is often space again.
const REOPEN_FIRST: Duration = Duration::from_millis(500);

/// The longest delay between two attempts.
const REOPEN_MOST: Duration = Duration::from_secs(10);

/// Cook's clients give up after 20 s, others earlier; "undecided" is better than no reply.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// Maximum number of requests and updates that wait for a load. Further updates are ignored; the agent
/// sends them again.
const MOST_DEFERRED: usize = 10_000;

/// How long a launched instance may be silent before the core asks about its state.
const SILENCE: Duration = Duration::from_secs(30);

/// `refuse_for` of an offer that was not used because the store failed.
const NOT_NOW: Duration = Duration::from_secs(5);

impl Disk {
    /// Why nothing can be stored; `None` if the store works.
    pub fn unavailable(&self) -> Option<Unavailable> {
        match self {
            Self::Works => None,
            Self::Failed(failed) => Some(match failed.fault {
                StoreFault::DiskFull => Unavailable::DiskFull,
                StoreFault::Failed => Unavailable::StoreFailed,
            }),
        }
    }
}

impl Scheduler {
    // --- stored ---

    pub(super) fn stored(&mut self, step: &mut Step, last: BatchNumber) {
        self.apply_stored(step, last);
        self.retain(step);
    }

    fn apply_stored(&mut self, step: &mut Step, last: BatchNumber) {
        while let Some(pending) = self.commits.pop_stored(last) {
            self.figures.batches += 1;
            let written = pending.written;
            for id in written.groups {
                self.table.stored_group(id);
            }
            for job in written.jobs {
                let key = job.key;
                self.table.stored(pending.number, job);
                self.archive(key);
            }
            for key in written.dropped {
                self.table.dropped(key);
            }
            if let Some(framework) = written.framework {
                self.framework.stored = framework;
            }
            self.release(step, pending.held);
        }
    }

    /// Performs the held effects.
    fn release(&mut self, step: &mut Step, held: Vec<Held>) {
        for held in held {
            match held {
                Held::Effect(effect) => step.perform(effect),
                Held::Launch {
                    subscription,
                    offer,
                    tasks,
                } => {
                    if self.is_subscribed_since(subscription) {
                        self.send(step, &tasks);
                        step.perform(Effect::Call(Call::Launch { offer, tasks }));
                    } else {
                        self.never_sent(step, &tasks);
                    }
                }
            }
        }
    }

    fn send(&mut self, step: &mut Step, tasks: &[Task]) {
        let now = step.now.steady;
        for task in tasks {
            self.table.lives.edit(task.instance, |live| {
                live.sent = Sent::Sent;
                live.ask = Some(Repeat::starting(now, SILENCE));
            });
            step.perform(Effect::Log(LogLine::Launched(task.instance, task.job.id)));
        }
    }

    /// Ends tasks that were never sent because their offer became void first; no backend will report
    /// them. While the store has failed this is postponed until it is open again.
    fn never_sent(&mut self, step: &mut Step, tasks: &[Task]) {
        if self.disk != Disk::Works {
            return;
        }
        for task in tasks {
            self.end_live(step, task.instance, Outcome::Failed(Reason::InvalidOffer));
        }
    }

    /// Archives a job if possible, unless something waits for it to be loaded.
    fn archive(&mut self, key: JobKey) {
        if !self
            .deferred
            .iter()
            .any(|deferred| deferred.missing.contains(&key))
        {
            self.table.archive(key);
        }
    }

    // --- failed ---

    pub(super) fn store_failed(&mut self, step: &mut Step, fault: StoreFault) {
        let now = step.now.steady;
        match &mut self.disk {
            Disk::Works => {
                step.perform(Effect::Log(LogLine::StoreFailed(fault)));
                step.perform(Effect::ReopenStore);
                self.disk = Disk::Failed(Failed {
                    fault,
                    retry_at: None,
                    delay: REOPEN_FIRST,
                    give_up_at: Some(now.plus(GIVE_UP_AFTER)),
                });
                self.give_up_deferred(step);
            }
            Disk::Failed(failed) => {
                failed.fault = fault;
                failed.retry_at = Some(now.plus(failed.delay));
                failed.delay = (failed.delay * 2).min(REOPEN_MOST);
            }
        }
    }

    /// The deadlines of a failed store.
    pub(super) fn store_deadline(failed: &Failed) -> Option<Steady> {
        [failed.retry_at, failed.give_up_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due while the store has failed.
    pub(super) fn store_tick(&mut self, step: &mut Step) {
        let now = step.now.steady;
        let Disk::Failed(failed) = &mut self.disk else {
            return;
        };
        if failed.retry_at.is_some_and(|at| at <= now) {
            failed.retry_at = None;
            step.perform(Effect::ReopenStore);
        }
        if failed.give_up_at.is_some_and(|at| at <= now) {
            failed.give_up_at = None;
            for held in self.commits.held_mut() {
                for held in
                    held.extract_if(.., |held| matches!(held, Held::Effect(Effect::Reply(..))))
                {
                    if let Held::Effect(Effect::Reply(id, _)) = held {
                        let refusal = Refusal::Unavailable(Unavailable::Undecided);
                        step.perform(Effect::Reply(id, Reply::Refused(refusal)));
                    }
                }
            }
        }
    }

    pub(super) fn store_reopened(
        &mut self,
        step: &mut Step,
        last: BatchNumber,
        disk_space: DiskSpace,
    ) {
        self.apply_stored(step, last);
        let unavailable = self.disk.unavailable().unwrap_or(Unavailable::StoreFailed);
        self.disk = Disk::Works;
        self.disk_space = disk_space;
        let mut lost = Vec::new();
        while let Some(pending) = self.commits.pop_lost() {
            lost.push(pending);
        }
        step.perform(Effect::Log(LogLine::StoreReopened { lost: lost.len() }));
        for pending in &lost {
            for job in &pending.written.jobs {
                self.table.roll_back(job.key);
            }
            for &key in &pending.written.dropped {
                self.table.roll_back(key);
            }
        }
        for pending in &lost {
            for &group in &pending.written.groups {
                self.table.remove_group(group);
            }
        }
        for held in lost.into_iter().rev().flat_map(|pending| pending.held) {
            self.take_back(step, held, unavailable);
        }
        // An instance is held while the batch that records it is being written. No batch is being written any
        // more, and no launch was sent for these: their offers became void in the meantime. So they fail.
        let is_held = |(id, live): (_, &super::live::Live)| (live.sent == Sent::Held).then_some(id);
        let unsent: Vec<_> = self.table.lives.iter().filter_map(is_held).collect();
        for id in unsent {
            self.end_live(step, id, Outcome::Failed(Reason::InvalidOffer));
        }
        if self.framework.newest != self.framework.stored {
            step.framework = Some(self.framework.newest.clone());
        }
        self.offer_demand.has_new_work = true;
        self.link_after_loss(step);
    }

    pub(super) fn disk_space_changed(&mut self, disk_space: DiskSpace) {
        self.disk_space = disk_space;
        self.offer_demand.has_new_work = true;
    }

    // --- loads ---

    pub(super) fn defer(&mut self, step: &mut Step, deferred: Deferred) {
        if self.deferred.len() >= MOST_DEFERRED {
            return give_up(step, deferred.wanted);
        }
        for &key in &deferred.missing {
            if !self
                .deferred
                .iter()
                .any(|other| other.missing.contains(&key))
            {
                step.perform(Effect::Load(key));
            }
        }
        self.deferred.push(deferred);
    }

    pub(super) fn loaded(&mut self, step: &mut Step, key: JobKey, answer: LoadAnswer) {
        match answer {
            LoadAnswer::Found(job) => {
                if let Some(archived) = self.table.archived(key).filter(|_| self.is_awaited(key)) {
                    if Archived::of(&job).as_ref() != Some(archived) {
                        // The job was loaded before it was retried and completed again: load it again.
                        return step.perform(Effect::Load(key));
                    }
                    self.table.load(*job);
                }
            }
            LoadAnswer::Missing | LoadAnswer::Failed => {
                let awaits = |deferred: &mut Deferred| deferred.missing.contains(&key);
                let failed: Vec<_> = self.deferred.extract_if(.., awaits).collect();
                for deferred in failed {
                    give_up(step, deferred.wanted);
                }
                return;
            }
        }
        let table = &self.table;
        let is_complete = |deferred: &mut Deferred| {
            deferred
                .missing
                .iter()
                .all(|&key| table.archived(key).is_none())
        };
        let ready: Vec<_> = self.deferred.extract_if(.., is_complete).collect();
        for deferred in ready {
            match deferred.wanted {
                Wanted::Request(id, request) => self.request(step, id, request),
                Wanted::Update(update) => self.updated(step, *update),
            }
            for key in deferred.missing {
                self.archive(key);
            }
        }
    }

    /// Answers or drops an effect that was held by a lost batch.
    fn take_back(&self, step: &mut Step, held: Held, unavailable: Unavailable) {
        match held {
            // Every reply depends on lost data, even the reply that a job exists already.
            Held::Effect(Effect::Reply(id, _)) => {
                let refusal = Refusal::Unavailable(unavailable);
                step.perform(Effect::Reply(id, Reply::Refused(refusal)));
            }
            Held::Launch {
                subscription,
                offer,
                tasks: _,
            } => {
                if self.is_subscribed_since(subscription) {
                    step.perform(Effect::Call(Call::Decline {
                        offer,
                        refuse_for: NOT_NOW,
                    }));
                }
            }
            // The core repeats calls that still matter, agents send updates again, and log lines about
            // lost changes would be wrong.
            Held::Effect(
                Effect::Store(_)
                | Effect::ReopenStore
                | Effect::Load(_)
                | Effect::Call(_)
                | Effect::Leave(_)
                | Effect::Log(_),
            ) => (),
        }
    }

    fn is_awaited(&self, key: JobKey) -> bool {
        self.deferred
            .iter()
            .any(|deferred| deferred.missing.contains(&key))
    }

    fn give_up_deferred(&mut self, step: &mut Step) {
        for deferred in std::mem::take(&mut self.deferred) {
            for key in deferred.missing {
                self.table.archive(key);
            }
            give_up(step, deferred.wanted);
        }
    }
}

/// Refuses a request; an update needs no answer, because the agent sends it again.
fn give_up(step: &mut Step, wanted: Wanted) {
    match wanted {
        Wanted::Request(id, _) => {
            let refusal = Refusal::Unavailable(Unavailable::StoreFailed);
            step.perform(Effect::Reply(id, Reply::Refused(refusal)));
        }
        Wanted::Update(_) => (),
    }
}

//! The store, as the core sees it: stored, failed, opened again; and jobs that are read from it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::commits::Held;
use super::live::{Repeat, Sent};
use super::{Archived, Scheduler, Step};
use crate::core::effect::{BatchNumber, Effect, Note};
use crate::core::event::{LoadAnswer, Room, StoreFault};
use crate::core::face::{Call, Task, Update};
use crate::core::job::{JobKey, Outcome, Reason};
use crate::core::request::{ApiRequest, Refusal, Reply, RequestId, Unavailable};
use crate::core::words::Steady;

/// Whether the store works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Disk {
    /// It does.
    Works,
    /// A commit has failed.
    Failed(Failed),
}

/// A store that has failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Failed {
    /// Why.
    pub fault: StoreFault,
    /// When to open it again; `None` while that is tried.
    pub retry_at: Option<Steady>,
    /// How long to wait after the next failure.
    pub delay: Duration,
    /// When whoever waits for an answer is told that there is none yet.
    pub give_up_at: Option<Steady>,
}

/// Something that waits for completed jobs to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Deferred {
    /// What waits.
    pub wanted: Wanted,
    /// For which jobs.
    pub missing: BTreeSet<JobKey>,
}

/// What waits for a job to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// A request.
    Request(RequestId, ApiRequest),
    /// A late update.
    Update(Box<Update>),
}

/// The disk is often free again in a moment, when a job that has filled it has ended.
const REOPEN_FIRST: Duration = Duration::from_millis(500);

/// A broken disk does not heal faster by trying.
const REOPEN_MOST: Duration = Duration::from_secs(10);

/// Clients give up after 20 s (Cook's) or less; an answer that is not sure is better than none.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// Late updates of completed jobs that wait to be read; more are dropped, and come again.
const MOST_DEFERRED: usize = 10_000;

/// How long a launched instance may be silent before the backend is asked for it.
const SILENCE: Duration = Duration::from_secs(30);

/// How long an offer is not wanted that cannot be used for want of a store.
const NOT_NOW: Duration = Duration::from_secs(5);

impl Disk {
    /// Why nothing can be recorded, if it cannot.
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

    /// Does what was held.
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
            step.perform(Effect::Note(Note::Launched(task.instance, task.job.id)));
        }
    }

    /// The offer became void before the launch was on disk: the tasks never start, which nobody else knows.
    /// While the store has failed, this waits until it is opened again.
    fn never_sent(&mut self, step: &mut Step, tasks: &[Task]) {
        if self.disk != Disk::Works {
            return;
        }
        for task in tasks {
            self.end_live(step, task.instance, Outcome::Failed(Reason::InvalidOffer));
        }
    }

    /// Archives a job if it can be, and nobody waits for it.
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
                step.perform(Effect::Note(Note::StoreFailed(fault)));
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

    /// A deadline of a failed store has come, perhaps.
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

    pub(super) fn store_reopened(&mut self, step: &mut Step, last: BatchNumber, room: Room) {
        self.apply_stored(step, last);
        let unavailable = self.disk.unavailable().unwrap_or(Unavailable::StoreFailed);
        self.disk = Disk::Works;
        self.room = room;
        let mut lost = Vec::new();
        while let Some(pending) = self.commits.pop_lost() {
            lost.push(pending);
        }
        step.perform(Effect::Note(Note::StoreReopened { lost: lost.len() }));
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
        // Nothing is on its way any more, so what is still held was on an offer that has become void.
        let is_held = |(id, live): (_, &super::live::Live)| (live.sent == Sent::Held).then_some(id);
        let unsent: Vec<_> = self.table.lives.iter().filter_map(is_held).collect();
        for id in unsent {
            self.end_live(step, id, Outcome::Failed(Reason::InvalidOffer));
        }
        if self.framework.newest != self.framework.stored {
            step.framework = Some(self.framework.newest.clone());
        }
        self.demanding.has_news = true;
        self.link_after_loss(step);
    }

    pub(super) fn room_changed(&mut self, room: Room) {
        self.room = room;
        self.demanding.has_news = true;
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
                        // Read before the job was retried and completed once more: read it again.
                        return step.perform(Effect::Load(key));
                    }
                    self.table.load(*job);
                }
            }
            LoadAnswer::Missing | LoadAnswer::Failed => {
                let awaits = |deferred: &mut Deferred| deferred.missing.contains(&key);
                let hopeless: Vec<_> = self.deferred.extract_if(.., awaits).collect();
                for deferred in hopeless {
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

    /// What was held with a lost batch will not be done.
    fn take_back(&self, step: &mut Step, held: Held, unavailable: Unavailable) {
        match held {
            // Whatever the answer was, it rests on what is lost: also that a job exists already.
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
            // Calls are repeated as long as they matter, and updates come again; there is nothing to log.
            Held::Effect(
                Effect::Store(_)
                | Effect::ReopenStore
                | Effect::Load(_)
                | Effect::Call(_)
                | Effect::Leave(_)
                | Effect::Note(_),
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

/// A request is answered; an update comes again.
fn give_up(step: &mut Step, wanted: Wanted) {
    match wanted {
        Wanted::Request(id, _) => {
            let refusal = Refusal::Unavailable(Unavailable::StoreFailed);
            step.perform(Effect::Reply(id, Reply::Refused(refusal)));
        }
        Wanted::Update(_) => (),
    }
}

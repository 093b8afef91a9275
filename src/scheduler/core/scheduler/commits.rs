//! Batches that are being written, and the effects that wait for them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::backend::{Call, FrameworkId, OfferId, Task};
use crate::core::effect::{BatchNumber, Effect};
use crate::core::job::{Job, JobKey};
use crate::core::words::GroupId;

/// Batches that are not on disk yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Commits {
    last: BatchNumber,
    pending: VecDeque<Pending>,
}

/// A batch that is not on disk yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    /// Its number.
    pub number: BatchNumber,
    /// What it changes.
    pub written: Written,
    /// The effects that it holds back, in order.
    pub held: Vec<Held>,
}

/// What has to be updated in memory when a batch is on disk, or undone when it is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Written {
    /// New versions of jobs.
    pub jobs: Vec<Arc<Job>>,
    /// Dropped jobs.
    pub dropped: Vec<JobKey>,
    /// New groups.
    pub groups: Vec<GroupId>,
    /// The framework's id, if the batch changes it.
    pub framework: Option<Option<FrameworkId>>,
}

/// An effect that waits until the data it depends on is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// Any effect.
    Effect(Effect),
    /// A launch. It is not made if its offer has become void by then.
    Launch {
        /// The subscription of the offer.
        subscription: u64,
        /// The offer.
        offer: OfferId,
        /// The tasks.
        tasks: Vec<Task>,
    },
}

impl Held {
    /// The effect itself, to be performed now.
    pub fn effect(self) -> Effect {
        match self {
            Self::Effect(effect) => effect,
            Self::Launch {
                offer,
                tasks,
                subscription: _,
            } => Effect::Call(Call::Launch { offer, tasks }),
        }
    }
}

impl Commits {
    /// `last` is the newest batch on disk.
    pub fn new(last: BatchNumber) -> Self {
        Self {
            last,
            pending: VecDeque::new(),
        }
    }

    /// The number of the next batch.
    pub fn next(&self) -> BatchNumber {
        BatchNumber(self.last.0 + 1)
    }

    /// Adds a batch, which is now being written.
    pub fn push(&mut self, written: Written, held: Vec<Held>) {
        self.last = self.next();
        self.pending.push_back(Pending {
            number: self.last,
            written,
            held,
        });
    }

    /// Holds these until all batches are on disk. Returns them if no batch is being written.
    pub fn hold(&mut self, held: Vec<Held>) -> Option<Vec<Held>> {
        match self.pending.back_mut() {
            Some(pending) => {
                pending.held.extend(held);
                None
            }
            None => Some(held),
        }
    }

    /// Removes and returns the oldest batch, if its number is at most `last`.
    pub fn pop_stored(&mut self, last: BatchNumber) -> Option<Pending> {
        match self.pending.front() {
            Some(pending) if pending.number <= last => self.pending.pop_front(),
            Some(_) | None => None,
        }
    }

    /// Removes and returns the newest batch; lost batches are undone in this order.
    pub fn pop_lost(&mut self) -> Option<Pending> {
        self.pending.pop_back()
    }

    /// The held effects of all batches.
    pub fn held_mut(&mut self) -> impl Iterator<Item = &mut Vec<Held>> {
        self.pending.iter_mut().map(|pending| &mut pending.held)
    }

    /// Whether all batches are on disk.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}

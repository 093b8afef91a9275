//! Record, then act: what waits for which batch.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::effect::{BatchNumber, Effect};
use crate::core::face::{Call, FrameworkId, OfferId, Task};
use crate::core::job::{Job, JobKey};
use crate::core::words::GroupId;

/// Batches that are on their way to the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Commits {
    last: BatchNumber,
    pending: VecDeque<Pending>,
}

/// A batch on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    /// Its number.
    pub number: BatchNumber,
    /// What it changes.
    pub written: Written,
    /// What may be done once it is on disk, in order.
    pub held: Vec<Held>,
}

/// What a batch changes here when it is on disk, or when it is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Written {
    /// New versions of jobs.
    pub jobs: Vec<Arc<Job>>,
    /// Dropped jobs.
    pub dropped: Vec<JobKey>,
    /// New groups.
    pub groups: Vec<GroupId>,
    /// The framework's id, if it is in it.
    pub framework: Option<Option<FrameworkId>>,
}

/// Something that waits for what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// To be done.
    Effect(Effect),
    /// A launch, unless its offer is void by then.
    Launch {
        /// Of which subscription the offer is.
        subscription: u64,
        /// The offer.
        offer: OfferId,
        /// The tasks.
        tasks: Vec<Task>,
    },
}

impl Held {
    /// To be done now, since nothing is on its way to the disk.
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
    /// `last` is on disk.
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

    /// The next batch is on its way.
    pub fn push(&mut self, written: Written, held: Vec<Held>) {
        self.last = self.next();
        self.pending.push_back(Pending {
            number: self.last,
            written,
            held,
        });
    }

    /// Holds these until everything on its way is on disk. Gives them back if nothing is.
    pub fn hold(&mut self, held: Vec<Held>) -> Option<Vec<Held>> {
        match self.pending.back_mut() {
            Some(pending) => {
                pending.held.extend(held);
                None
            }
            None => Some(held),
        }
    }

    /// The oldest batch, if it is on disk with `last`.
    pub fn pop_stored(&mut self, last: BatchNumber) -> Option<Pending> {
        match self.pending.front() {
            Some(pending) if pending.number <= last => self.pending.pop_front(),
            Some(_) | None => None,
        }
    }

    /// The newest batch: to be undone first.
    pub fn pop_lost(&mut self) -> Option<Pending> {
        self.pending.pop_back()
    }

    /// What all batches hold.
    pub fn held_mut(&mut self) -> impl Iterator<Item = &mut Vec<Held>> {
        self.pending.iter_mut().map(|pending| &mut pending.held)
    }

    /// Whether anything is on its way.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}

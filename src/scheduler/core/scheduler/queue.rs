//! Chooses the next waiting job for an offer. Users take turns. The jobs of one user are ordered by priority, and
//! those of one priority by the time of submission; the first job in this order that fits the offer starts.
//!
//! Jobs with the same needs and constraints have the same *shape*. If the first job of a shape does not fit
//! an offer, no other job of this shape does. So only one job per shape is compared with the offer: ten
//! thousand waiting jobs usually have a handful of shapes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::job::{Constraint, Job, JobKey};
use crate::core::words::{Demand, UserName};

/// Jobs that can start as soon as there are resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    users: BTreeMap<UserName, UserQueue>,
    /// The user whose job was started last.
    served: Option<UserName>,
    length: usize,
}

/// The waiting jobs of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct UserQueue {
    shapes: BTreeMap<Arc<Shape>, BTreeSet<Rank>>,
    /// The first job of each shape.
    heads: BTreeMap<Rank, Arc<Shape>>,
}

/// What a job needs, and where it may run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    /// The resources.
    pub demand: Demand,
    /// The constraints.
    pub constraints: Vec<Constraint>,
}

/// The position of a job among those of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rank(Reverse<u32>, JobKey);

/// Maximum number of shapes per user that one choice looks at. Only a user whose jobs nearly all differ
/// reaches it; jobs beyond it are considered when earlier ones have started.
const LOOKAHEAD: usize = 256;

impl Shape {
    fn of(job: &Job) -> Self {
        Self {
            demand: job.spec.demand,
            constraints: job.spec.constraints.clone(),
        }
    }
}

impl Rank {
    fn of(job: &Job) -> Self {
        Self(Reverse(job.spec.priority.get()), job.key)
    }
}

impl Queue {
    /// The number of waiting jobs.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Adds a job.
    pub fn insert(&mut self, job: &Job) {
        let rank = Rank::of(job);
        let queue = self.users.entry(job.user.clone()).or_default();
        let shape = Shape::of(job);
        let shape = match queue.shapes.get_key_value(&shape) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(shape),
        };
        let ranks = queue.shapes.entry(Arc::clone(&shape)).or_default();
        let head = ranks.first().copied();
        if ranks.insert(rank) {
            self.length += 1;
        }
        if head.is_none_or(|head| rank < head) {
            if let Some(head) = head {
                queue.heads.remove(&head);
            }
            queue.heads.insert(rank, shape);
        }
    }

    /// Removes a job, if it is there.
    pub fn remove(&mut self, job: &Job) {
        let rank = Rank::of(job);
        let Some(queue) = self.users.get_mut(&job.user) else {
            return;
        };
        let Some((shape, ranks)) = queue
            .shapes
            .get_key_value(&Shape::of(job))
            .map(|(shape, _)| Arc::clone(shape))
            .and_then(|shape| queue.shapes.get_mut(&shape).map(|ranks| (shape, ranks)))
        else {
            return;
        };
        if !ranks.remove(&rank) {
            return;
        }
        self.length -= 1;
        let next = ranks.first().copied();
        if next.is_none() {
            queue.shapes.remove(&shape);
        }
        if queue.heads.remove(&rank).is_some()
            && let Some(next) = next
        {
            queue.heads.insert(next, shape);
        }
        if queue.shapes.is_empty() {
            self.users.remove(&job.user);
        }
    }

    /// Chooses the next job: users in turn, beginning after the one served last, and of the first user
    /// with an acceptable shape the first such job. Users in `exhausted` are skipped; a user without an
    /// acceptable shape is added to it.
    pub fn choose(
        &self,
        exhausted: &mut BTreeSet<UserName>,
        mut acceptable: impl FnMut(JobKey, &Shape) -> Fit,
    ) -> Choice {
        for (user, queue) in self.in_turn() {
            if exhausted.contains(user) {
                continue;
            }
            for (&Rank(_, key), shape) in queue.heads.iter().take(LOOKAHEAD) {
                match acceptable(key, shape) {
                    Fit::Now => return Choice::Job(key),
                    Fit::Reserves => return Choice::Nothing,
                    Fit::Not => (),
                }
            }
            exhausted.insert(user.clone());
        }
        Choice::Nothing
    }

    /// Records that a job of this user was started.
    pub fn served(&mut self, user: &UserName) {
        self.served = Some(user.clone());
    }

    /// How many jobs of the same user come before this one.
    pub fn ahead_of(&self, job: &Job) -> usize {
        let rank = Rank::of(job);
        let Some(queue) = self.users.get(&job.user) else {
            return 0;
        };
        queue
            .shapes
            .values()
            .map(|ranks| ranks.range(..rank).count())
            .sum()
    }

    fn in_turn(&self) -> impl Iterator<Item = (&UserName, &UserQueue)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let (after, until) = match &self.served {
            Some(user) => (
                Some(self.users.range::<UserName, _>((Excluded(user), Unbounded))),
                Some(self.users.range::<UserName, _>(..=user)),
            ),
            None => (Some(self.users.range::<UserName, _>(..)), None),
        };
        after
            .into_iter()
            .flatten()
            .chain(until.into_iter().flatten())
    }
}

/// How a shape relates to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It fits.
    Now,
    /// It does not fit.
    Not,
    /// It does not fit yet, but has waited so long that no other job may take these resources.
    Reserves,
}

/// The result of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This job.
    Job(JobKey),
    /// No job.
    Nothing,
}

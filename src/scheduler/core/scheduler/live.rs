//! What the core knows about unfinished instances in addition to their records: their deadlines, and
//! what they have reported since the last record. It is not stored: a restart creates it from the records,
//! and later reports complete it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::job::{Instance, JobKey, Outcome, Report};
use crate::core::words::{InstanceId, Steady};

/// All unfinished instances, ordered by their next deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lives {
    all: BTreeMap<InstanceId, Live>,
    due: BTreeSet<(Steady, InstanceId)>,
}

/// An unfinished instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Live {
    /// Its job.
    pub key: JobKey,
    /// Whether it was sent to the backend.
    pub sent: Sent,
    /// When to repeat its kill.
    pub kill: Option<Repeat>,
    /// When to ask for its state.
    pub ask: Option<Repeat>,
    /// When its maximum run time ends.
    pub runtime_at: Option<Steady>,
    /// When it is given up because it is unreachable.
    pub write_off_at: Option<Steady>,
    /// The failure that the master has reported without its reason.
    pub unexplained: Option<Unexplained>,
    /// Reports that are not recorded yet.
    pub draft: Option<Draft>,
    /// When a report was last recorded.
    pub drafted_at: Option<Steady>,
    /// The highest sequence number of its progress messages.
    pub sequence: Option<u64>,
    /// Why its end cannot be reported.
    pub stuck: Option<Box<str>>,
}

/// A failure that only the master has reported. The update of the agent, which has the reason and the exit
/// codes, is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unexplained {
    /// When it is taken as it is.
    pub at: Steady,
    /// What is known of it.
    pub outcome: Outcome,
}

/// Whether an instance was sent to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sent {
    /// Its launch waits until its record is on disk. Until then it must not be reconciled: the backend
    /// would report it as unknown just before it starts.
    Held,
    /// It was sent.
    Sent,
}

/// Something that is repeated with growing delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Repeat {
    /// When it was done the first time.
    pub since: Steady,
    /// When it is due again.
    pub at: Steady,
    /// The delay after that.
    pub delay: Duration,
}

/// Reports of an instance that are not recorded yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draft {
    /// When to record them.
    pub at: Steady,
    /// Codes, progress and message.
    pub report: Report,
    /// The path of its sandbox.
    pub sandbox: Option<Box<str>>,
}

impl Repeat {
    /// Done for the first time at `now`, due again after `delay`.
    pub fn starting(now: Steady, delay: Duration) -> Self {
        Self {
            since: now,
            at: now.plus(delay),
            delay,
        }
    }

    /// It was done again: doubles the delay, up to `most`.
    pub fn again(self, now: Steady, most: Duration) -> Self {
        let delay = self.delay.saturating_mul(2).min(most);
        Self {
            since: self.since,
            at: now.plus(delay),
            delay,
        }
    }
}

impl Live {
    /// For an instance that was just recorded or loaded.
    fn new(key: JobKey, sent: Sent) -> Self {
        Self {
            key,
            sent,
            kill: None,
            ask: None,
            runtime_at: None,
            write_off_at: None,
            unexplained: None,
            draft: None,
            drafted_at: None,
            sequence: None,
            stuck: None,
        }
    }

    fn next(&self) -> Option<Steady> {
        [
            self.kill.map(|repeat| repeat.at),
            self.ask.map(|repeat| repeat.at),
            self.runtime_at,
            self.write_off_at,
            self.unexplained.map(|unexplained| unexplained.at),
            self.draft.as_ref().map(|draft| draft.at),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Lives {
    /// An unfinished instance.
    pub fn get(&self, id: InstanceId) -> Option<&Live> {
        self.all.get(&id)
    }

    /// All unfinished instances.
    pub fn iter(&self) -> impl Iterator<Item = (InstanceId, &Live)> {
        self.all.iter().map(|(&id, live)| (id, live))
    }

    /// The number of unfinished instances.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds an instance, unless it is known.
    pub fn insert(&mut self, instance: &Instance, key: JobKey, sent: Sent) {
        self.all
            .entry(instance.id)
            .or_insert_with(|| Live::new(key, sent));
    }

    /// Removes an instance.
    pub fn remove(&mut self, id: InstanceId) {
        if let Some(live) = self.all.remove(&id)
            && let Some(at) = live.next()
        {
            self.due.remove(&(at, id));
        }
    }

    /// Changes an instance, if it is known. Every change must use this method, which keeps the order by
    /// deadline.
    pub fn edit<T>(&mut self, id: InstanceId, change: impl FnOnce(&mut Live) -> T) -> Option<T> {
        let live = self.all.get_mut(&id)?;
        let before = live.next();
        let result = change(live);
        let after = live.next();
        if before != after {
            if let Some(at) = before {
                self.due.remove(&(at, id));
            }
            if let Some(at) = after {
                self.due.insert((at, id));
            }
        }
        Some(result)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Steady> {
        self.due.first().map(|&(at, _)| at)
    }

    /// The instances that are due, at most `most` of them.
    pub fn due(&self, now: Steady, most: usize) -> Vec<InstanceId> {
        self.due
            .iter()
            .take_while(|&&(at, _)| at <= now)
            .take(most)
            .map(|&(_, id)| id)
            .collect()
    }
}

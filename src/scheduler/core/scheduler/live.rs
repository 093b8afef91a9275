//! What is known of instances that have not ended, beside their records: when to look after them again,
//! and what they have said since the last record. Nothing here is stored; after a restart it begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::job::{Instance, JobKey, Report};
use crate::core::words::{InstanceId, Steady};

/// Instances that have not ended, and when each of them is due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lives {
    all: BTreeMap<InstanceId, Live>,
    due: BTreeSet<(Steady, InstanceId)>,
}

/// An instance that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Live {
    /// Its job.
    pub key: JobKey,
    /// Whether the backend may know of it.
    pub sent: Sent,
    /// When to ask it again to end.
    pub kill: Option<Repeat>,
    /// When to ask again how it is.
    pub ask: Option<Repeat>,
    /// When it has run long enough.
    pub runtime_at: Option<Steady>,
    /// When it is written off, since it cannot be reached.
    pub write_off_at: Option<Steady>,
    /// What it has said, and is not recorded yet.
    pub draft: Option<Draft>,
    /// When something it said was recorded last.
    pub drafted_at: Option<Steady>,
    /// The highest sequence of its progress messages.
    pub sequence: Option<u64>,
    /// Why its end cannot be reported.
    pub stuck: Option<Box<str>>,
}

/// Whether the backend may know of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sent {
    /// Its launch waits for its record to be on disk. To ask the backend for it would be told that
    /// there is no such task, just before there is one.
    Held,
    /// It may.
    Sent,
}

/// Something to do again and again, more and more seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Repeat {
    /// When it was done first.
    pub since: Steady,
    /// When it is due.
    pub at: Steady,
    /// How long to wait after that.
    pub delay: Duration,
}

/// What an instance has said, and is not recorded yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draft {
    /// When to record it.
    pub at: Steady,
    /// Progress and message.
    pub report: Report,
    /// Its sandbox.
    pub sandbox: Option<Box<str>>,
}

impl Repeat {
    /// First at `now`, again after `delay`.
    pub fn starting(now: Steady, delay: Duration) -> Self {
        Self {
            since: now,
            at: now.plus(delay),
            delay,
        }
    }

    /// It was done; the next time is twice as far, up to `most`.
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
    /// Of an instance that has just been recorded or loaded.
    fn new(key: JobKey, sent: Sent) -> Self {
        Self {
            key,
            sent,
            kill: None,
            ask: None,
            runtime_at: None,
            write_off_at: None,
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
            self.draft.as_ref().map(|draft| draft.at),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Lives {
    /// The instance, if it has not ended.
    pub fn get(&self, id: InstanceId) -> Option<&Live> {
        self.all.get(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (InstanceId, &Live)> {
        self.all.iter().map(|(&id, live)| (id, live))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds an instance, unless it is there.
    pub fn insert(&mut self, instance: &Instance, key: JobKey, sent: Sent) {
        self.all
            .entry(instance.id)
            .or_insert_with(|| Live::new(key, sent));
    }

    /// Removes one.
    pub fn remove(&mut self, id: InstanceId) {
        if let Some(live) = self.all.remove(&id)
            && let Some(at) = live.next()
        {
            self.due.remove(&(at, id));
        }
    }

    /// Changes one, if it is there. Every change goes through here, so that it is found when it is due.
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

    /// When the first one is due.
    pub fn next(&self) -> Option<Steady> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Those that are due, at most `most` of them.
    pub fn due(&self, now: Steady, most: usize) -> Vec<InstanceId> {
        self.due
            .iter()
            .take_while(|&&(at, _)| at <= now)
            .take(most)
            .map(|&(_, id)| id)
            .collect()
    }
}

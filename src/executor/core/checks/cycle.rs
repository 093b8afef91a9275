//! When a check probes the task: first after its delay, then always one interval after the last probe has
//! ended. A check never has more than one probe in flight.

use super::plan::{Kind, Times};
use crate::words::units::Moment;

/// Identifies one probe: the result of an older one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId {
    /// The check that it belongs to.
    pub kind: Kind,
    /// Counts the probes of that check.
    pub round: u32,
}

/// The probes of one check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cycle {
    kind: Kind,
    times: Times,
    round: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Waiting { due: Moment },
    Probing { give_up_at: Option<Moment> },
}

/// What has become due.
pub(super) enum Due {
    /// Start a probe.
    Start(ProbeId),
    /// A probe has timed out; abandon it.
    GiveUp(ProbeId),
}

// === impl Cycle ===

impl Cycle {
    pub(super) fn begin(kind: Kind, times: Times, now: Moment) -> Self {
        let due = now.plus(times.delay);
        Self {
            kind,
            times,
            round: 0,
            state: State::Waiting { due },
        }
    }

    /// What is due now, if anything; each thing is returned once.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Due> {
        match self.state {
            State::Waiting { due } if due <= now => {
                self.round = self.round.wrapping_add(1);
                let give_up_at = self.times.timeout.map(|timeout| now.plus(timeout));
                self.state = State::Probing { give_up_at };
                Some(Due::Start(self.id()))
            }
            State::Probing {
                give_up_at: Some(end),
            } if end <= now => {
                let id = self.id();
                self.ended(id, now).then_some(Due::GiveUp(id))
            }
            State::Waiting { .. } | State::Probing { .. } => None,
        }
    }

    /// A probe has ended; the next one starts after the interval. False if it is not the current probe.
    pub(super) fn ended(&mut self, id: ProbeId, now: Moment) -> bool {
        let is_current = self.in_flight() == Some(id);
        if is_current {
            let due = now.plus(self.times.interval.get());
            self.state = State::Waiting { due };
        }
        is_current
    }

    /// The probe in flight.
    pub(super) fn in_flight(&self) -> Option<ProbeId> {
        match self.state {
            State::Waiting { .. } => None,
            State::Probing { .. } => Some(self.id()),
        }
    }

    /// When [`Self::take_due`] has something to return.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Waiting { due } => Some(due),
            State::Probing { give_up_at } => give_up_at,
        }
    }

    fn id(&self) -> ProbeId {
        ProbeId {
            kind: self.kind,
            round: self.round,
        }
    }
}

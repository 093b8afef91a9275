//! When a check looks: after its delay, and then again an interval after the last look has ended. One look
//! at a time, whatever happens.

use super::plan::{Kind, Times};
use crate::words::units::Moment;

/// Tells one look of a task's checks from all others: what an older one still finds is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId {
    /// The check that looks.
    pub kind: Kind,
    /// Counts its looks.
    pub round: u32,
}

/// The looks of one check.
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
    Looking { give_up_at: Option<Moment> },
}

/// What the time has made due.
pub(super) enum Due {
    /// A look begins.
    Look(ProbeId),
    /// A look has taken too long.
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

    /// Each thing once.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Due> {
        match self.state {
            State::Waiting { due } if due <= now => {
                self.round = self.round.wrapping_add(1);
                let give_up_at = self.times.timeout.map(|timeout| now.plus(timeout));
                self.state = State::Looking { give_up_at };
                Some(Due::Look(self.id()))
            }
            State::Looking {
                give_up_at: Some(end),
            } if end <= now => {
                let id = self.id();
                self.ended(id, now).then_some(Due::GiveUp(id))
            }
            State::Waiting { .. } | State::Looking { .. } => None,
        }
    }

    /// A look has ended: the next one follows after the interval. False if it is none of this cycle's.
    pub(super) fn ended(&mut self, id: ProbeId, now: Moment) -> bool {
        let is_current = self.looking() == Some(id);
        if is_current {
            let due = now.plus(self.times.interval.get());
            self.state = State::Waiting { due };
        }
        is_current
    }

    /// The look that is under way.
    pub(super) fn looking(&self) -> Option<ProbeId> {
        match self.state {
            State::Waiting { .. } => None,
            State::Looking { .. } => Some(self.id()),
        }
    }

    /// When [`Self::take_due`] has something.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Waiting { due } => Some(due),
            State::Looking { give_up_at } => give_up_at,
        }
    }

    fn id(&self) -> ProbeId {
        ProbeId {
            kind: self.kind,
            round: self.round,
        }
    }
}

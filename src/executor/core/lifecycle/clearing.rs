//! The end of a task: nothing starts any more, and the remaining processes are ended.

use std::time::Duration;

use super::{KILL_AGAIN, Lifecycle, Phase};
use crate::core::effect::{Effect, Note};
use crate::core::step::Step;
use crate::words::sweep::{Left, Sweep};
use crate::words::units::{Moment, StopSignal};

/// The ending of the remaining processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clearing {
    pub(super) kill_at: Moment,
    pub(super) ending: Ending,
    /// When the first after command was started, if after commands may still be running.
    pub(super) after_since: Option<Moment>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    /// Readers may end by themselves until then, because their pipes may contain the last output of the
    /// commands. All other processes got SIGTERM. A process that had just been started may become a reader,
    /// or may have looked like one, so the next sweep follows soon: after this pause, and then after twice
    /// as long each time.
    Reading {
        until: Moment,
        look_again_at: Moment,
        pause: Duration,
    },
    /// All processes got SIGTERM.
    Terminated,
    /// All processes got SIGKILL.
    Killed,
}

/// Maximum time for readers of a command's output, if the grace period is not shorter.
const READING: Duration = Duration::from_secs(5);

/// A new process needs about this long until it executes the program for which it was started.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

// === impl Lifecycle ===

impl Lifecycle {
    /// Stops starting commands. Remaining processes are asked to end, and killed at `kill_at`.
    pub(super) fn clear(&mut self, kill_at: Moment, step: &mut Step<'_>) {
        let now = step.moment();
        let grace = kill_at.since(now);
        let (ending, kill_at) = match (&self.stopped, grace.is_zero()) {
            (_, true) => (Ending::Killed, now.plus(KILL_AGAIN)),
            (Some(_), false) => (Ending::Terminated, kill_at),
            (None, false) => {
                let ending = Ending::Reading {
                    until: now.plus(grace.min(READING)),
                    look_again_at: now.plus(FIRST_PAUSE),
                    pause: FIRST_PAUSE,
                };
                (ending, kill_at)
            }
        };
        self.end_checks(step);
        let after_since = match self.phase {
            Phase::After { since, .. } if self.failed_guard.is_none() => Some(since),
            Phase::Sequence { .. }
            | Phase::After { .. }
            | Phase::Stopping { .. }
            | Phase::Clearing { .. }
            | Phase::Draining { .. } => None,
        };
        self.phase = Phase::Clearing(Clearing {
            kill_at,
            ending,
            after_since,
        });
        self.give_up_delayed(step);
        self.ledger.ask_to_stop(|_| true);
        step.perform(Effect::Sweep(ending.sweep()));
    }

    /// Stops waiting for readers: they are ended like all other processes.
    pub(super) fn stop_reading(&mut self, clearing: Clearing, step: &mut Step<'_>) {
        let ending = Ending::Terminated;
        self.phase = Phase::Clearing(Clearing { ending, ..clearing });
        step.perform(Effect::Sweep(ending.sweep()));
    }

    /// A sweep has found these processes.
    pub(super) fn swept(&mut self, left: Left, clearing: Clearing, step: &mut Step<'_>) {
        // Processes that the kernel does not let us end are waited for until the time of SIGKILL.
        let is_waited_for = left.beyond > 0 && clearing.ending != Ending::Killed;
        if left.in_reach() == 0 && !is_waited_for && !self.ledger.is_any_alive() {
            self.phase = Phase::Draining {
                until: self.drained_by(step.moment()),
            };
            step.perform(Effect::FinishTracking);
        } else if let Ending::Reading { .. } = clearing.ending
            && left.readers == 0
        {
            let ending = Ending::Terminated;
            self.phase = Phase::Clearing(Clearing { ending, ..clearing });
        }
    }

    pub(super) fn tick_clearing(&mut self, clearing: Clearing, step: &mut Step<'_>) {
        let now = step.moment();
        match clearing.ending {
            Ending::Reading { until, .. } if until <= now => {
                let kill_at = clearing.kill_at.max(now.plus(self.limits.grace));
                self.stop_reading(
                    Clearing {
                        kill_at,
                        ..clearing
                    },
                    step,
                );
            }
            Ending::Reading {
                until,
                look_again_at,
                pause,
            } if look_again_at <= now => {
                let pause = pause.saturating_mul(2);
                let ending = Ending::Reading {
                    until,
                    look_again_at: now.plus(pause),
                    pause,
                };
                self.phase = Phase::Clearing(Clearing { ending, ..clearing });
                step.perform(Effect::Sweep(Sweep::Look));
            }
            Ending::Reading { .. } => {}
            Ending::Terminated | Ending::Killed => {
                if clearing.kill_at <= now {
                    if clearing.ending == Ending::Terminated {
                        step.note(Note::KillingNow);
                    }
                    self.phase = Phase::Clearing(Clearing {
                        kill_at: now.plus(KILL_AGAIN),
                        ending: Ending::Killed,
                        ..clearing
                    });
                    // By their ids: commands that cannot be killed are then reported as ended.
                    self.signal_running(StopSignal::Kill, step);
                    step.perform(Effect::Sweep(Sweep::Kill));
                }
            }
        }
    }
}

// === impl Clearing ===

impl Clearing {
    pub(super) fn next_deadline(self) -> Moment {
        match self.ending {
            Ending::Reading {
                until,
                look_again_at,
                ..
            } => look_again_at.min(until),
            Ending::Terminated | Ending::Killed => self.kill_at,
        }
    }
}

// === impl Ending ===

impl Ending {
    /// The next sweep.
    pub(super) fn sweep(self) -> Sweep {
        match self {
            Self::Reading { .. } => Sweep::TerminateOthers,
            Self::Terminated => Sweep::Terminate,
            Self::Killed => Sweep::Kill,
        }
    }

    /// The sweep after a process has ended. SIGKILL goes to new processes too; SIGTERM is not repeated.
    pub(super) fn sweep_again(self) -> Sweep {
        match self {
            Self::Reading { .. } | Self::Terminated => Sweep::Look,
            Self::Killed => Sweep::Kill,
        }
    }
}

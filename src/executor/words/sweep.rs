//! A sweep over the processes that commands leave behind, and its result.

use super::units::StopSignal;

/// One pass over all descendants of the executor, and what to do to those that are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// Reap and count. A process that was spared as a reader and no longer is one gets SIGTERM.
    Look,
    /// SIGTERM to all except readers of what a command has written.
    TerminateOthers,
    /// SIGTERM to all that have not got it yet.
    Terminate,
    /// SIGKILL to all.
    Kill,
}

/// How many processes a sweep has found alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Processes that read from a pipe or FIFO, and their descendants: they may end by themselves after
    /// they have read everything.
    pub readers: usize,
    /// All others that we can end.
    pub others: usize,
    /// Processes that the kernel does not let us end.
    pub beyond: usize,
}

// === impl Sweep ===

impl Sweep {
    /// The signal that is sent, if any.
    pub fn signal(self) -> Option<StopSignal> {
        match self {
            Self::Look => None,
            Self::TerminateOthers | Self::Terminate => Some(StopSignal::Terminate),
            Self::Kill => Some(StopSignal::Kill),
        }
    }
}

// === impl Left ===

impl Left {
    /// Whether nothing is alive.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// The number of processes that we can end.
    pub fn in_reach(self) -> usize {
        self.readers + self.others
    }
}

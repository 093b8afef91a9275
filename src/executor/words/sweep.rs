//! What is asked of the processes that commands leave behind, and what is found of them.

use super::units::StopSignal;

/// One look at everything below us, with what is to be done to what lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// Reap what has ended, and count. Whoever was spared as a reader and is none gets SIGTERM.
    Look,
    /// SIGTERM to all but readers of what a command has written.
    TerminateOthers,
    /// SIGTERM to what had none yet.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What a sweep has found alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Processes that read from a pipe or FIFO, and what these have started: they may end by themselves once
    /// they have read everything.
    pub readers: usize,
    /// All others that can be ended.
    pub others: usize,
    /// Processes that the kernel does not let us end.
    pub beyond: usize,
}

// === impl Sweep ===

impl Sweep {
    /// The signal that it sends.
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
    /// Nothing lives.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// What can be ended.
    pub fn in_reach(self) -> usize {
        self.readers + self.others
    }
}

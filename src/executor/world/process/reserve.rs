//! Reserved descriptors for operations that must not fail. The soft limit of this process is lowered by
//! their number, except during such an operation.
//!
//! A command is started during such an operation, so it inherits the original limit.

use std::cell::Cell;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The search for processes has a folder and a file open, or a pidfd and a file.
const SIZE: u64 = 2;

/// The reserved descriptors.
pub struct Reserve {
    /// The lowered soft limit. If another limit is found later, it was set from outside and replaces the
    /// original one.
    lowered: Cell<Option<u64>>,
}

// === impl Reserve ===

impl Reserve {
    /// Takes the present limit as the original one.
    pub fn new() -> Self {
        let reserve = Self {
            lowered: Cell::new(None),
        };
        reserve.lower(getrlimit(Resource::Nofile));
        reserve
    }

    /// Runs `act` with the original limit.
    pub fn with<T>(&self, act: impl FnOnce() -> T) -> T {
        let found = getrlimit(Resource::Nofile);
        let mut full = found;
        if found.current.is_some() && found.current == self.lowered.get() {
            full.current = found.current.map(|limit| limit + SIZE);
            // Restoring a limit is always allowed.
            let _ = setrlimit(Resource::Nofile, full);
        }
        let result = act();
        self.lower(full);
        result
    }

    fn lower(&self, full: Rlimit) {
        let current = full.current.and_then(|limit| limit.checked_sub(SIZE));
        let lowered = Rlimit { current, ..full };
        let is_set = current.is_some() && setrlimit(Resource::Nofile, lowered).is_ok();
        self.lowered.set(current.filter(|_| is_set));
    }
}

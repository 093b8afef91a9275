//! Descriptors for what must not fail, kept free at no cost: the soft limit of this process is lower by
//! so many, except while something happens that may take them.
//!
//! A command is started meanwhile, and so inherits the limit that we were given.

use std::cell::Cell;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A look at processes has a folder open and a file in it, or a pidfd and a file.
const SIZE: u64 = 2;

/// Some descriptors that others have to leave alone.
pub struct Reserve {
    /// The soft limit that keeps them free. One that is found to be another was set from outside, and
    /// holds from then on.
    lowered: Cell<Option<u64>>,
}

// === impl Reserve ===

impl Reserve {
    /// Takes the limit that holds now as the one that was meant for us.
    pub fn new() -> Self {
        let reserve = Self {
            lowered: Cell::new(None),
        };
        reserve.lower(getrlimit(Resource::Nofile));
        reserve
    }

    /// Does something that may use them.
    pub fn with<T>(&self, act: impl FnOnce() -> T) -> T {
        let found = getrlimit(Resource::Nofile);
        let mut full = found;
        if found.current.is_some() && found.current == self.lowered.get() {
            full.current = found.current.map(|limit| limit + SIZE);
            // Back to what we had, which is always allowed.
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

//! How long to wait before the next attempt: longer after each failure, and never as long as others wait.

use std::time::Duration;

/// The first wait is at most this long.
const FIRST: Duration = Duration::from_millis(500);

/// No wait is longer: a new master should not have to wait for its frameworks.
pub const LONGEST: Duration = Duration::from_secs(15);

/// More doublings than these make no difference.
const MOST_DOUBLINGS: u32 = 16;

/// Waits that grow with failures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    /// No failure yet. Frameworks that lost their master at the same moment come back at different ones: `seed` is
    /// different for each.
    pub fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            // The generator below stays at zero for ever.
            random: seed | 1,
        }
    }

    /// What went wrong is over.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after another failure: between half of the full wait and all of it.
    pub fn failed(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        self.spread(full.min(LONGEST))
    }

    /// How long to wait after a failure that only an operator can mend.
    pub fn refused(&mut self) -> Duration {
        self.spread(LONGEST)
    }

    fn spread(&mut self, full: Duration) -> Duration {
        // Xorshift: nothing depends on its quality.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = u32::try_from(self.random % 1000).unwrap_or_default();
        full / 2 + full / 2 * share / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(7);
        let mut full = FIRST;
        for _ in 0..100 {
            let wait = backoff.failed();
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        assert!(backoff.refused() >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.failed() <= FIRST);
    }

    #[test]
    fn two_frameworks_wait_for_different_times() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.failed()).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(3), waits(3));
    }
}

//! The pause before the next attempt: doubles with each failure, with jitter.

use std::time::Duration;

/// The maximum of the first pause.
const FIRST: Duration = Duration::from_millis(500);

/// The maximum of all pauses: what Mesos recommends for frameworks.
pub const LONGEST: Duration = Duration::from_secs(15);

/// [`LONGEST`] is reached after fewer doublings.
const MAX_DOUBLINGS: u32 = 16;

/// Computes pauses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    /// A backoff without failures. A different `seed` for each framework avoids that all of them subscribe with a new
    /// leader at the same moment.
    pub fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            // Zero is a fixed point of the generator.
            random: seed | 1,
        }
    }

    /// Starts again with the shortest pause.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns the pause after it.
    pub fn failed(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        self.jitter(pause.min(LONGEST))
    }

    /// The pause after a failure that only an operator can repair.
    pub fn refused(&mut self) -> Duration {
        self.jitter(LONGEST)
    }

    /// A random duration between half of the pause and all of it.
    fn jitter(&mut self, pause: Duration) -> Duration {
        // Xorshift: its quality does not matter here.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let thousandths = u32::try_from(self.random % 1000).unwrap_or_default();
        pause / 2 + pause / 2 * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(7);
        let mut most = FIRST;
        for _ in 0..100 {
            let pause = backoff.failed();
            assert!(
                pause >= most / 2 && pause <= most,
                "{pause:?}, not {most:?}"
            );
            most = (most * 2).min(LONGEST);
        }
        assert!(backoff.refused() >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.failed() <= FIRST);
    }

    #[test]
    fn frameworks_with_different_seeds_pause_for_different_times() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.failed()).collect::<Vec<_>>()
        };
        assert_ne!(pauses(1), pauses(2));
        assert_eq!(pauses(3), pauses(3));
    }
}

//! Before and after commands.

use std::time::Duration;

use super::text::Command;

/// A before or after command of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hook {
    /// The command line, run by `sh -c`.
    pub command: Command,
    /// Whether its failure fails the job.
    pub guard: Guard,
    /// Whether the next command waits for it.
    pub timing: Timing,
    /// How long it may run; `None` for no limit.
    pub timeout: Option<HookTimeout>,
}

/// Whether a hook's failure fails the job (`guard`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Its exit code is only recorded.
    #[default]
    Unguarded,
    /// No further command starts, and the job has failed.
    Guarded,
}

/// Whether the next command waits for a hook (`async`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Timing {
    /// The next command waits.
    #[default]
    Synchronous,
    /// The next command starts at once.
    Asynchronous,
}

/// Above zero, at most a year. Kept in microseconds, so that it is shown as it was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookTimeout(u64);

const YEAR: f64 = 365.0 * 24.0 * 60.0 * 60.0;

impl HookTimeout {
    /// From seconds. `None` unless at least a microsecond and at most a year.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        // A year in microseconds fits into a u64; the range also excludes NaN.
        let micros = (0.0..=YEAR)
            .contains(&seconds)
            .then(|| (seconds * 1e6).round() as u64)?;
        Self::from_micros(micros)
    }

    /// From microseconds, as stored.
    pub fn from_micros(micros: u64) -> Option<Self> {
        (micros > 0).then_some(Self(micros))
    }

    /// In microseconds.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// In seconds, for JSON.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As a `Duration`.
    pub fn get(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_above_zero_and_at_most_a_year() {
        for bad in [0.0, -1.0, 1e-9, f64::NAN, f64::INFINITY, YEAR * 1.1] {
            assert_eq!(HookTimeout::from_seconds(bad), None, "{bad}");
        }
        assert_eq!(HookTimeout::from_seconds(0.5).unwrap().seconds(), 0.5);
    }
}

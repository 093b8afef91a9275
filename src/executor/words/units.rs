//! Identifiers, points in time and percentages.
//!
//! Each is a newtype with a checked constructor, so that every value is valid.

use std::fmt;
use std::time::Duration;

/// The framework's id of a task. Mesos guarantees that it is unique within the framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskId(pub String);

/// The id of the agent that runs the task. Every status update must contain it (agents before 1.0.2 do not
/// fill it in, MESOS-6245).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentId(pub String);

/// A point in time on the monotonic clock, counted from the executor's start.
///
/// The core never reads a clock: every event comes with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Duration);

/// A duration from outside, at most [`Self::MAX`]. A sum of a few spans and the time since boot never
/// overflows a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Why a number of seconds is not a [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASpan {
    /// It is not above zero, or rounds to zero nanoseconds.
    NotAboveZero,
    /// It is more than [`Span::MAX`].
    TooLarge,
}

/// The wall clock in milliseconds since the epoch. It is only printed, never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct WallTime(pub u64);

/// Both clocks, read once per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Now {
    /// For deadlines.
    pub moment: Moment,
    /// For the timestamp of a status update.
    pub wall: WallTime,
}

/// The 16 raw bytes of a version 4 UUID. An agent aborts on any other length (MESOS-6917).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

/// Issues UUIDs. The seed makes them different from those of other executors, the counter from each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UuidSource {
    seed: [u8; 16],
    issued: u32,
}

/// A task's progress, 0 to 100.
#[derive(Clone, Copy, Debug)]
pub struct Percent(f64);

/// A process id, only for logs and texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pid(pub u32);

/// A signal that ends processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopSignal {
    /// SIGTERM, followed by SIGCONT, because a stopped process does not handle signals.
    Terminate,
    /// SIGKILL.
    Kill,
}

// === impl Moment ===

impl Moment {
    /// The moment `after` later. Saturates instead of overflowing.
    pub fn plus(self, after: impl Into<Duration>) -> Self {
        Self(self.0.saturating_add(after.into()))
    }

    /// The time from `earlier` until this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

// === impl Span ===

impl Span {
    /// A span of zero.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// 10^9 seconds, more than 31 years: anything longer means "unlimited" or is a mistake.
    pub const MAX: Self = Self(Duration::from_secs(1_000_000_000));

    /// `None` if it is longer than [`Self::MAX`].
    pub fn new(length: Duration) -> Option<Self> {
        (length <= Self::MAX.0).then_some(Self(length))
    }

    /// The same length, but at most [`Self::MAX`].
    pub const fn saturating(length: Duration) -> Self {
        // `Ord::min` is not const.
        if length.as_secs() < Self::MAX.0.as_secs() {
            Self(length)
        } else {
            Self::MAX
        }
    }

    /// A span of this many seconds, above zero.
    ///
    /// # Errors
    ///
    /// The number is out of range. NaN counts as not above zero.
    pub fn from_seconds(seconds: f64) -> Result<Self, NotASpan> {
        if seconds > Self::MAX.0.as_secs_f64() {
            return Err(NotASpan::TooLarge);
        }
        match Duration::try_from_secs_f64(seconds) {
            Ok(length) if !length.is_zero() => Ok(Self(length)),
            Ok(_) | Err(_) => Err(NotASpan::NotAboveZero),
        }
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

// === impl Uuid ===

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

// === impl UuidSource ===

impl UuidSource {
    /// A source whose UUIDs differ from those of sources with another seed.
    pub fn new(seed: [u8; 16]) -> Self {
        Self { seed, issued: 0 }
    }

    /// The next UUID. The counter changes only bytes without version bits.
    pub fn issue(&mut self) -> Uuid {
        let mut bytes = self.seed;
        for (byte, count) in bytes[12..].iter_mut().zip(self.issued.to_be_bytes()) {
            *byte ^= count;
        }
        self.issued = self.issued.wrapping_add(1);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }
}

// === impl Percent ===

impl Percent {
    /// `None` unless `value` is in 0..=100 (NaN is not).
    pub fn new(value: f64) -> Option<Self> {
        // Adding zero turns -0.0 into 0.0, so that equal percentages have equal bits.
        (0.0..=100.0).contains(&value).then_some(Self(value + 0.0))
    }

    /// The value as reported.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The integer that Cook's scheduler stores. Rounds half to even, as Python does.
    pub fn rounded(self) -> u8 {
        // The range is known.
        self.0.round_ties_even() as u8
    }
}

impl PartialEq for Percent {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Percent {}

impl std::hash::Hash for Percent {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Shortens `text` to at most `limit` characters. A shortened text ends in `...`, without blanks before it,
/// as in the Python executor.
pub fn truncate(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_version_4_and_never_repeat() {
        let mut source = UuidSource::new([0xff; 16]);
        let uuids: Vec<Uuid> = (0..1000).map(|_| source.issue()).collect();
        let distinct: std::collections::HashSet<_> = uuids.iter().collect();
        assert_eq!(distinct.len(), uuids.len());
        assert_eq!(uuids[0].to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_span_has_a_maximum() {
        let nearly = Span::MAX.get() - Duration::from_nanos(1);
        assert_eq!(Span::new(nearly).map(Span::get), Some(nearly));
        assert_eq!(Span::new(Span::MAX.get()), Some(Span::MAX));
        for longer in [Span::MAX.get() + Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(Span::new(longer), None);
            assert_eq!(Span::saturating(longer), Span::MAX);
        }
        assert_eq!(Span::saturating(nearly).get(), nearly);
    }

    #[test]
    fn seconds_of_a_span_are_above_zero_and_at_most_a_billion() {
        use NotASpan::{NotAboveZero, TooLarge};
        for (seconds, wanted) in [
            (0.5, Ok(Duration::from_millis(500))),
            (1e9, Ok(Duration::from_secs(1_000_000_000))),
            (1e-9, Ok(Duration::from_nanos(1))),
            (1e-300, Err(NotAboveZero)),
            (0.0, Err(NotAboveZero)),
            (-0.0, Err(NotAboveZero)),
            (-1e300, Err(NotAboveZero)),
            (f64::NAN, Err(NotAboveZero)),
            (1_000_000_000.5, Err(TooLarge)),
            (1e19, Err(TooLarge)),
            (f64::INFINITY, Err(TooLarge)),
        ] {
            assert_eq!(Span::from_seconds(seconds).map(Span::get), wanted);
        }
    }

    #[test]
    fn a_percentage_is_between_0_and_100_and_rounds_half_to_even() {
        for wrong in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::new(wrong), None);
        }
        let rounded = |value| Percent::new(value).map(Percent::rounded);
        for (value, whole) in [
            (0.5, 0),
            (1.5, 2),
            (54.5, 54),
            (99.5, 100),
            (-0.0, 0),
            (100.0, 100),
        ] {
            assert_eq!(rounded(value), Some(whole), "{value}");
        }
    }

    #[test]
    fn a_long_text_is_shortened_by_characters_and_ends_in_dots() {
        assert_eq!(truncate("12345678", 8), "12345678");
        assert_eq!(truncate("123456789", 8), "12345...");
        assert_eq!(truncate("1234 6789", 8), "1234...");
        assert_eq!(truncate("ääääääääää", 5), "ää...");
    }
}

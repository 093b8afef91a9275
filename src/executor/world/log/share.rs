//! How much of the log each kind of line may use.
//!
//! The log counts against the disk quota of the task's sandbox, so its size is limited. Lines that others
//! can cause in any number must not use up the space for lines that explain the end of the task. So each
//! kind of line has its own share. Lines that other users or clients can cause also have a rate limit.

use std::time::{Duration, Instant};

use tracing::{Level, Metadata};

/// The target of lines that other users, clients or processes can cause.
pub const UNTRUSTED: &str = "untrusted";

/// The target of lines that explain the end of the task. There are few, and there is always space for them.
pub const ENDING: &str = "ending";

/// The target of lines about results of checks. There can be many as long as the task runs.
pub const CHECK: &str = "check";

/// Kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// About the end of the task.
    Ending,
    /// Caused by others, at any level.
    Untrusted,
    /// About results of checks.
    Check,
    /// DEBUG and below.
    Debug,
    /// Everything else.
    Usual,
}

const ALL: [Kind; 5] = [
    Kind::Ending,
    Kind::Untrusted,
    Kind::Check,
    Kind::Debug,
    Kind::Usual,
];

/// The shares in bytes, together 2 MiB. A line has at most 2 kB, so there is space for 128 lines about the
/// end.
const ENDING_LIMIT: u64 = 256 << 10;
const UNTRUSTED_LIMIT: u64 = 128 << 10;
const DEBUG_LIMIT: u64 = 1 << 20;
const CHECK_LIMIT: u64 = 128 << 10;
const USUAL_LIMIT: u64 = 512 << 10;

/// The first lines are all written. After that there is one per second, so that a flood does not use up the
/// share.
const UNTRUSTED_BURST: u32 = 20;
const UNTRUSTED_INTERVAL: Duration = Duration::from_secs(1);

/// What is left of each share.
pub struct Shares {
    ending: Share,
    untrusted: Share,
    check: Share,
    debug: Share,
    usual: Share,
}

struct Share {
    /// How many bytes may still be written.
    left: u64,
    rate: Option<Rate>,
    /// How many lines were left out since the last one that was written.
    lost: u64,
}

/// This number of lines immediately, and one more after each interval.
struct Rate {
    lines: u32,
    /// The start of the current interval.
    since: Instant,
}

// === impl Kind ===

impl Kind {
    /// From the line's target, or else its level.
    pub fn of(metadata: &Metadata<'_>) -> Self {
        match metadata.target() {
            UNTRUSTED => Self::Untrusted,
            _ if *metadata.level() > Level::INFO => Self::Debug,
            ENDING => Self::Ending,
            CHECK => Self::Check,
            _ => Self::Usual,
        }
    }
}

// === impl Shares ===

impl Shares {
    /// The shares of an empty log.
    pub fn new(now: Instant) -> Self {
        let share = |left| Share {
            left,
            rate: None,
            lost: 0,
        };
        let rate = Rate {
            lines: UNTRUSTED_BURST,
            since: now,
        };
        Self {
            ending: share(ENDING_LIMIT),
            untrusted: Share {
                rate: Some(rate),
                ..share(UNTRUSTED_LIMIT)
            },
            check: share(CHECK_LIMIT),
            debug: share(DEBUG_LIMIT),
            usual: share(USUAL_LIMIT),
        }
    }

    /// Takes space for a line. False if there is none.
    pub fn take(&mut self, kind: Kind, length: usize, now: Instant) -> bool {
        let share = self.share(kind);
        let rest = share.left.checked_sub(length as u64);
        match rest {
            Some(rest) if share.rate.as_mut().is_none_or(|rate| rate.take(now)) => {
                share.left = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Counts a line that was left out.
    pub fn lose(&mut self, kind: Kind) {
        self.share(kind).lost += 1;
    }

    /// How many lines were left out and are to be mentioned in the next line of this kind. A line about the
    /// end mentions those of all kinds.
    pub fn lost(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Ending => {
                let others = self.check.lost + self.debug.lost + self.usual.lost;
                self.ending.lost + self.untrusted.lost + others
            }
            Kind::Untrusted => self.untrusted.lost,
            Kind::Check => self.check.lost,
            Kind::Debug => self.debug.lost,
            Kind::Usual => self.usual.lost,
        }
    }

    /// The number that [`Self::lost`] returned was written.
    pub fn reported(&mut self, kind: Kind) {
        let kinds = match kind {
            Kind::Ending => &ALL[..],
            Kind::Untrusted | Kind::Check | Kind::Debug | Kind::Usual => &[kind],
        };
        for kind in kinds {
            self.share(*kind).lost = 0;
        }
    }

    fn share(&mut self, kind: Kind) -> &mut Share {
        match kind {
            Kind::Ending => &mut self.ending,
            Kind::Untrusted => &mut self.untrusted,
            Kind::Check => &mut self.check,
            Kind::Debug => &mut self.debug,
            Kind::Usual => &mut self.usual,
        }
    }
}

// === impl Rate ===

impl Rate {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        let more = passed.as_millis() / UNTRUSTED_INTERVAL.as_millis();
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.lines = self.lines.saturating_add(more).min(UNTRUSTED_BURST);
            // At most one interval is carried over, so no line is written early.
            self.since = now;
        }
        let is_allowed = self.lines > 0;
        self.lines = self.lines.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_uses_no_space_of_another() {
        let now = Instant::now();
        for flood in [Kind::Untrusted, Kind::Check, Kind::Debug, Kind::Usual] {
            let mut shares = Shares::new(now);
            let mut later = now;
            for _ in 0..100_000 {
                later += UNTRUSTED_INTERVAL;
                shares.take(flood, 100, later);
            }
            assert!(!shares.take(flood, 100, later), "{flood:?}");
            for other in ALL {
                assert_eq!(
                    shares.take(other, 2000, later),
                    other != flood,
                    "{flood:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn lines_caused_by_others_have_a_rate_limit() {
        let now = Instant::now();
        let mut shares = Shares::new(now);
        let mut count = |at| {
            let lines = 0..1000;
            let take = |_: &u32| shares.take(Kind::Untrusted, 50, now + at);
            lines.filter(take).count()
        };
        assert_eq!(count(Duration::ZERO), 20);
        assert_eq!(count(Duration::from_millis(999)), 0);
        assert_eq!(count(Duration::from_secs(3)), 3);
        assert_eq!(count(Duration::from_secs(3600)), 20);
    }

    #[test]
    fn left_out_lines_are_mentioned_by_their_own_kind_or_at_the_end() {
        let mut shares = Shares::new(Instant::now());
        shares.lose(Kind::Untrusted);
        shares.lose(Kind::Debug);
        assert_eq!(shares.lost(Kind::Usual), 0);
        assert_eq!(shares.lost(Kind::Ending), 2);
        shares.reported(Kind::Debug);
        assert_eq!(shares.lost(Kind::Ending), 1);
        shares.reported(Kind::Ending);
        assert_eq!(shares.lost(Kind::Untrusted), 0);
    }
}

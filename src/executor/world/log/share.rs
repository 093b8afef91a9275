//! How much of the log each kind of line may take.
//!
//! The sandbox's disk quota is the task's, so the log is bounded. Whoever can cause lines without end must
//! not take the room of those that explain the task's end: each kind of line has a share of its own, and what
//! strangers cause has a rate as well.

use std::time::{Duration, Instant};

use tracing::{Level, Metadata};

/// The target of lines that somebody without a part in the task can cause.
pub const STRANGER: &str = "stranger";

/// The target of lines that explain how the task ended: there are few, and there is always room for them.
pub const ENDING: &str = "ending";

/// The target of lines about what the task's checks find, which they do for as long as the task runs.
pub const CHECK: &str = "check";

/// Kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How the task ended.
    Ending,
    /// What strangers cause, at any level.
    Stranger,
    /// What checks find.
    Check,
    /// DEBUG and below.
    Chatter,
    /// Everything else.
    Usual,
}

const ALL: [Kind; 5] = [
    Kind::Ending,
    Kind::Stranger,
    Kind::Check,
    Kind::Chatter,
    Kind::Usual,
];

/// The shares, in bytes: 2 MiB together. A line has at most 2 kB, so there is room for 128 about the end.
const ENDING_LIMIT: u64 = 256 << 10;
const STRANGER_LIMIT: u64 = 128 << 10;
const CHATTER_LIMIT: u64 = 1 << 20;
const CHECK_LIMIT: u64 = 128 << 10;
const USUAL_LIMIT: u64 = 512 << 10;

/// A few strangers are all named; a flood is told by a line a second, so that its share lasts.
const STRANGER_BURST: u32 = 20;
const STRANGER_INTERVAL: Duration = Duration::from_secs(1);

/// What is left of each share.
pub struct Shares {
    ending: Share,
    stranger: Share,
    check: Share,
    chatter: Share,
    usual: Share,
}

struct Share {
    /// Bytes that may still be written.
    left: u64,
    rate: Option<Rate>,
    /// Lines that were left out since the last one that was written.
    lost: u64,
}

/// So many lines at once, and one more with each interval.
struct Rate {
    lines: u32,
    /// Since when intervals count.
    since: Instant,
}

// === impl Kind ===

impl Kind {
    /// By the line's target, then by its level.
    pub fn of(metadata: &Metadata<'_>) -> Self {
        match metadata.target() {
            STRANGER => Self::Stranger,
            _ if *metadata.level() > Level::INFO => Self::Chatter,
            ENDING => Self::Ending,
            CHECK => Self::Check,
            _ => Self::Usual,
        }
    }
}

// === impl Shares ===

impl Shares {
    /// Nothing was written yet.
    pub fn new(now: Instant) -> Self {
        let share = |left| Share {
            left,
            rate: None,
            lost: 0,
        };
        let rate = Rate {
            lines: STRANGER_BURST,
            since: now,
        };
        Self {
            ending: share(ENDING_LIMIT),
            stranger: Share {
                rate: Some(rate),
                ..share(STRANGER_LIMIT)
            },
            check: share(CHECK_LIMIT),
            chatter: share(CHATTER_LIMIT),
            usual: share(USUAL_LIMIT),
        }
    }

    /// Takes room for a line; false if there is none.
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

    /// A line was left out.
    pub fn lose(&mut self, kind: Kind) {
        self.share(kind).lost += 1;
    }

    /// Lines that were left out and are told with the next line of this kind; of all kinds if that is about
    /// the end.
    pub fn lost(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Ending => {
                let others = self.check.lost + self.chatter.lost + self.usual.lost;
                self.ending.lost + self.stranger.lost + others
            }
            Kind::Stranger => self.stranger.lost,
            Kind::Check => self.check.lost,
            Kind::Chatter => self.chatter.lost,
            Kind::Usual => self.usual.lost,
        }
    }

    /// What [`Self::lost`] says was told.
    pub fn told(&mut self, kind: Kind) {
        let kinds = match kind {
            Kind::Ending => &ALL[..],
            Kind::Stranger | Kind::Check | Kind::Chatter | Kind::Usual => &[kind],
        };
        for kind in kinds {
            self.share(*kind).lost = 0;
        }
    }

    fn share(&mut self, kind: Kind) -> &mut Share {
        match kind {
            Kind::Ending => &mut self.ending,
            Kind::Stranger => &mut self.stranger,
            Kind::Check => &mut self.check,
            Kind::Chatter => &mut self.chatter,
            Kind::Usual => &mut self.usual,
        }
    }
}

// === impl Rate ===

impl Rate {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        let more = passed.as_millis() / STRANGER_INTERVAL.as_millis();
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.lines = self.lines.saturating_add(more).min(STRANGER_BURST);
            // What is left of an interval is at most one: no line comes earlier than it may.
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
    fn a_flood_of_one_kind_takes_no_room_of_another() {
        let now = Instant::now();
        for flood in [Kind::Stranger, Kind::Check, Kind::Chatter, Kind::Usual] {
            let mut shares = Shares::new(now);
            let mut later = now;
            for _ in 0..100_000 {
                later += STRANGER_INTERVAL;
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
    fn strangers_have_a_rate() {
        let now = Instant::now();
        let mut shares = Shares::new(now);
        let mut count = |at| {
            let lines = 0..1000;
            let take = |_: &u32| shares.take(Kind::Stranger, 50, now + at);
            lines.filter(take).count()
        };
        assert_eq!(count(Duration::ZERO), 20);
        assert_eq!(count(Duration::from_millis(999)), 0);
        assert_eq!(count(Duration::from_secs(3)), 3);
        assert_eq!(count(Duration::from_secs(3600)), 20);
    }

    #[test]
    fn what_was_left_out_is_told_by_its_own_kind_or_at_the_end() {
        let mut shares = Shares::new(Instant::now());
        shares.lose(Kind::Stranger);
        shares.lose(Kind::Chatter);
        assert_eq!(shares.lost(Kind::Usual), 0);
        assert_eq!(shares.lost(Kind::Ending), 2);
        shares.told(Kind::Chatter);
        assert_eq!(shares.lost(Kind::Ending), 1);
        shares.told(Kind::Ending);
        assert_eq!(shares.lost(Kind::Stranger), 0);
    }
}

//! Two kinds of time.
//!
//! The wall clock is for people: it is shown, and asked for by `start` and `end`. It may jump, by a day
//! and in either direction, so nothing is decided by it. Decisions (limits, retention, repetitions) use
//! *steady* time, a time line of the store's own that begins when the store is made and only runs forward.
//! Order needs no time at all: jobs are numbered as they come.
//!
//! Within one boot of the machine, steady time runs with the kernel's `CLOCK_BOOTTIME`, which nobody can
//! set, counts sleep too, and goes on while the scheduler is stopped. Over a reboot there is only the wall
//! clock to say how long the machine was off. It may be wrong there (no battery, not yet synchronised), so
//! it is believed up to [`MOST_BETWEEN_BOOTS`]: a wrong year must not delete all results.

use std::time::Duration;

/// Steady time: milliseconds of the store's own time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steady(pub u64);

/// The wall clock: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

/// A moment in both times: the steady one decides, the other one is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// For decisions.
    pub steady: Steady,
    /// For people.
    pub wall: Wall,
}

/// Names one boot of the machine (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

/// Time since the machine was booted, sleep included (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(pub Duration);

/// What the store remembers of the last commit's time, for [`Clock::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// The boot that it was in.
    pub boot: BootId,
    /// The time since then.
    pub uptime: Uptime,
    /// The same moment in the two others.
    pub moment: Moment,
}

/// Makes steady time of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock {
    boot: BootId,
    /// These two are the same moment.
    base: (Uptime, Steady),
}

/// How long a machine is believed to have been off. Less than any retention, so that a wrong clock at boot
/// deletes nothing; longer pauses only make records live longer.
pub const MOST_BETWEEN_BOOTS: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Steady ===

impl Steady {
    /// The moment `span` later; saturates, since a job may ask for a limit of centuries.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(span)))
    }

    /// How long it is from `earlier` until this moment; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds, rounded up: what waits for a span must not wake just before its end.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

// === impl Clock ===

impl Clock {
    /// Goes on where the store's last commit was. `uptime` and `wall` are now.
    pub fn resume(last: Option<Anchor>, boot: BootId, uptime: Uptime, wall: Wall) -> Self {
        let steady = match last {
            None => Steady(0),
            Some(last) if last.boot == boot && last.uptime <= uptime => last
                .moment
                .steady
                .plus(uptime.0.saturating_sub(last.uptime.0)),
            Some(last) => {
                let off = Duration::from_millis(wall.0.saturating_sub(last.moment.wall.0));
                last.moment.steady.plus(off.min(MOST_BETWEEN_BOOTS))
            }
        };
        Self {
            boot,
            base: (uptime, steady),
        }
    }

    /// The steady time at `uptime`.
    pub fn steady(&self, uptime: Uptime) -> Steady {
        let (base_uptime, base_steady) = self.base;
        // Whole milliseconds down: nothing may be seen before it is due.
        let since = uptime.0.saturating_sub(base_uptime.0).as_millis();
        Steady(
            base_steady
                .0
                .saturating_add(u64::try_from(since).unwrap_or(u64::MAX)),
        )
    }

    /// When `steady` will be, in the kernel's time.
    pub fn uptime(&self, steady: Steady) -> Uptime {
        let (base_uptime, base_steady) = self.base;
        Uptime(base_uptime.0.saturating_add(steady.since(base_steady)))
    }

    /// What the store has to remember of `moment`.
    pub fn anchor(&self, moment: Moment) -> Anchor {
        Anchor {
            boot: self.boot,
            uptime: self.uptime(moment.steady),
            moment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1000;
    const BOOT: BootId = BootId([1; 16]);
    const OTHER_BOOT: BootId = BootId([2; 16]);

    fn uptime(milliseconds: u64) -> Uptime {
        Uptime(Duration::from_millis(milliseconds))
    }

    fn anchor() -> Anchor {
        let moment = Moment {
            steady: Steady(1_000),
            wall: Wall(50 * DAY),
        };
        Anchor {
            boot: BOOT,
            uptime: uptime(5_000),
            moment,
        }
    }

    #[test]
    fn within_a_boot_the_wall_clock_says_nothing() {
        for wall in [Wall(0), Wall(50 * DAY), Wall(51 * DAY), Wall(u64::MAX)] {
            let clock = Clock::resume(Some(anchor()), BOOT, uptime(7_500), wall);
            assert_eq!(clock.steady(uptime(7_500)), Steady(3_500));
            assert_eq!(clock.steady(uptime(8_000)), Steady(4_000));
        }
    }

    #[test]
    fn over_a_reboot_the_wall_clock_is_believed_for_a_day() {
        let steady = |wall| {
            let clock = Clock::resume(Some(anchor()), OTHER_BOOT, uptime(10), Wall(wall));
            clock.steady(uptime(10)).0
        };
        assert_eq!(steady(50 * DAY + 60_000), 61_000);
        assert_eq!(steady(50 * DAY - 60_000), 1_000, "backwards is no time");
        assert_eq!(steady(900 * DAY), 1_000 + DAY, "a wrong year is a day");
    }

    #[test]
    fn an_anchor_leads_back_to_the_same_time() {
        let clock = Clock::resume(None, BOOT, uptime(5_000), Wall(7));
        let moment = Moment {
            steady: clock.steady(uptime(6_234)),
            wall: Wall(9),
        };
        let again = Clock::resume(Some(clock.anchor(moment)), BOOT, uptime(7_000), Wall(0));
        assert_eq!(again.steady(uptime(8_000)), clock.steady(uptime(8_000)));
    }
}

//! Two kinds of time.
//!
//! The wall clock is for people: it is displayed, and `start` and `end` of a query refer to it. It may
//! jump, by a day or a year and in either direction, so no decision depends on it. Decisions (time
//! limits, retention, repetitions) use *steady* time, which begins when the store is created and only
//! runs forward. The order of jobs depends on no clock: jobs are numbered as they are accepted.
//!
//! Within one boot of the machine, steady time follows the kernel's `CLOCK_BOOTTIME`, which cannot be
//! set, includes sleep, and continues while the scheduler is stopped. After a reboot, only the wall
//! clock can tell how long the machine was off. It may be wrong then (no battery, not yet
//! synchronised), so that steady time advances by at most [`MOST_BETWEEN_BOOTS`]: a wrong year must not
//! delete all results.

use std::time::Duration;

/// Steady time: milliseconds since the store was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steady(pub u64);

/// Wall clock time: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

/// A moment in both times: decisions use the steady one, clients see the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// For decisions.
    pub steady: Steady,
    /// For people.
    pub wall: Wall,
}

/// Identifies one boot of the machine (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

/// Time since the machine was booted, including sleep (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(pub Duration);

/// The time of the last commit as the store keeps it, for [`Clock::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// The boot that it belongs to.
    pub boot: BootId,
    /// The time since that boot.
    pub uptime: Uptime,
    /// The same moment as steady and wall clock time.
    pub moment: Moment,
}

/// Converts the kernel's time to steady time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock {
    boot: BootId,
    /// The same moment in both times.
    base: (Uptime, Steady),
}

/// The longest time that a machine is assumed to have been off. It is shorter than any retention, so
/// that a wrong clock at boot deletes nothing. After a longer pause, records are only kept longer.
pub const MOST_BETWEEN_BOOTS: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Steady ===

impl Steady {
    /// The moment `span` later; saturates, because a job may ask for a limit of centuries.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(span)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds, rounded up, so that a wait does not end before its span has passed.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

// === impl Clock ===

impl Clock {
    /// Continues from the last commit. `uptime` and `wall` are the present time.
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
        // Rounded down, so that nothing is done before it is due.
        let since = uptime.0.saturating_sub(base_uptime.0).as_millis();
        Steady(
            base_steady
                .0
                .saturating_add(u64::try_from(since).unwrap_or(u64::MAX)),
        )
    }

    /// The kernel's time at `steady`.
    pub fn uptime(&self, steady: Steady) -> Uptime {
        let (base_uptime, base_steady) = self.base;
        Uptime(base_uptime.0.saturating_add(steady.since(base_steady)))
    }

    /// The form of `moment` that the store keeps.
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
    fn within_a_boot_the_wall_clock_is_ignored() {
        for wall in [Wall(0), Wall(50 * DAY), Wall(51 * DAY), Wall(u64::MAX)] {
            let clock = Clock::resume(Some(anchor()), BOOT, uptime(7_500), wall);
            assert_eq!(clock.steady(uptime(7_500)), Steady(3_500));
            assert_eq!(clock.steady(uptime(8_000)), Steady(4_000));
        }
    }

    #[test]
    fn after_a_reboot_the_wall_clock_counts_up_to_a_day() {
        let steady = |wall| {
            let clock = Clock::resume(Some(anchor()), OTHER_BOOT, uptime(10), Wall(wall));
            clock.steady(uptime(10)).0
        };
        assert_eq!(steady(50 * DAY + 60_000), 61_000);
        assert_eq!(
            steady(50 * DAY - 60_000),
            1_000,
            "a clock that went back adds nothing"
        );
        assert_eq!(steady(900 * DAY), 1_000 + DAY, "a wrong year adds one day");
    }

    #[test]
    fn an_anchor_restores_the_same_time() {
        let clock = Clock::resume(None, BOOT, uptime(5_000), Wall(7));
        let moment = Moment {
            steady: clock.steady(uptime(6_234)),
            wall: Wall(9),
        };
        let again = Clock::resume(Some(clock.anchor(moment)), BOOT, uptime(7_000), Wall(0));
        assert_eq!(again.steady(uptime(8_000)), clock.steady(uptime(8_000)));
    }
}

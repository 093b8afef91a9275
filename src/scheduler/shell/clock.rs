//! The kernel's clocks.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::core::words::{Anchor, BootId, Clock, Moment, Uptime, Wall};

/// Time since the machine was booted, including sleep.
pub fn uptime() -> Uptime {
    let time = clock_gettime(ClockId::Boottime);
    Uptime(Duration::try_from(time).unwrap_or_default())
}

/// The wall clock.
pub fn wall() -> Wall {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The present moment, in both times.
pub fn moment(clock: &Clock) -> Moment {
    Moment {
        steady: clock.steady(uptime()),
        wall: wall(),
    }
}

/// Continues the clock of the store.
///
/// # Errors
///
/// The boot id in `/proc` cannot be read.
pub fn resume(last: Option<Anchor>) -> io::Result<Clock> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot = crate::core::words::Uuid::parse(text.trim())
        .ok_or_else(|| io::Error::other("/proc/sys/kernel/random/boot_id has no uuid"))?;
    let boot = BootId(*boot.as_bytes());
    Ok(Clock::resume(last, boot, uptime(), wall()))
}

//! A single deadline, on a clock that includes time in which the machine sleeps.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use async_io::Async;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::core::words::Uptime;

/// Expires at the deadline that was set last.
pub struct Alarm {
    timer: Async<OwnedFd>,
    set: Cell<Option<Uptime>>,
}

impl Alarm {
    /// An alarm without a deadline.
    ///
    /// # Errors
    ///
    /// No file descriptor is available.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self {
            timer: Async::new_nonblocking(timer)?,
            set: Cell::new(None),
        })
    }

    /// Sets the deadline; does nothing if it has not changed.
    pub fn set(&self, deadline: Option<Uptime>) {
        if self.set.replace(deadline) == deadline {
            return;
        }
        let at = deadline.map_or(Duration::ZERO, |Uptime(at)| at.max(Duration::from_nanos(1)));
        let time = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(at),
        };
        // Zero disarms the timer. An error is possible only for an invalid time, which a `Duration`
        // cannot be.
        let _ = timerfd_settime(self.timer.as_fd(), TimerfdTimerFlags::ABSTIME, &time);
    }

    /// Waits until it expires.
    pub async fn wait(&self) -> io::Result<()> {
        let read = |timer: &OwnedFd| Ok(rustix::io::read(timer, &mut [0_u8; 8])?);
        self.timer.read_with(read).await?;
        self.set.set(None);
        Ok(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::clock::uptime;

    #[test]
    fn it_expires_at_the_deadline_that_was_set_last() {
        let alarm = Alarm::new().expect("a timer");
        let start = uptime();
        alarm.set(Some(Uptime(start.0 + Duration::from_secs(600))));
        alarm.set(Some(Uptime(start.0 + Duration::from_millis(20))));
        async_io::block_on(alarm.wait()).expect("expired");
        assert!(uptime().0 - start.0 >= Duration::from_millis(20));
        alarm.set(Some(Uptime(Duration::ZERO)));
        async_io::block_on(alarm.wait()).expect("a deadline in the past expires at once");
    }
}

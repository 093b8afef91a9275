//! One timer for all that one task waits for, one after the other.
//!
//! Hardly any of these times ever comes, and each setting of a timer costs six system calls: so it
//! stays as it was set for an earlier wait, and is set anew only if it goes off too early. What it was
//! set for last may so wake its task once when nobody waits for that any more.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use async_io::Timer;
use smol::future::or;

/// The timer.
#[derive(Debug)]
pub struct Alarm {
    timer: Timer,
    set_for: Option<Instant>,
    /// An old setting that is at least so much too early is not left alone.
    too_early: Duration,
}

/// A wait that follows another of the same length begins a little later: this much is no other kind of wait.
const A_LITTLE: Duration = Duration::from_millis(500);

// === impl Alarm ===

impl Alarm {
    /// One that is not set.
    pub fn new() -> Self {
        Self {
            timer: Timer::never(),
            set_for: None,
            too_early: Duration::MAX,
        }
    }

    /// One that is not set, for a task that must not wake up in vain: where short waits and long ones take
    /// turns, it is set anew for the long ones too.
    pub fn punctual() -> Self {
        Self {
            too_early: A_LITTLE,
            ..Self::new()
        }
    }

    /// Waits for the moment; for ever if there is none.
    pub async fn until(&mut self, moment: Option<Instant>) {
        let Some(moment) = moment else {
            return pending().await;
        };
        while Instant::now() < moment {
            let is_good = |set_for: Instant| set_for <= moment && moment - set_for < self.too_early;
            if !self.set_for.is_some_and(is_good) {
                self.timer.set_at(moment);
                self.set_for = Some(moment);
            }
            (&mut self.timer).await;
            self.set_for = None;
        }
    }

    /// What the future comes to, unless the time is up before.
    pub async fn within<T>(
        &mut self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let end = Instant::now().checked_add(limit);
        let time_is_up = async {
            self.until(end).await;
            None
        };
        or(async { Some(future.await) }, time_is_up).await
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::{block_on, future::yield_now};

    const SOON: Duration = Duration::from_millis(10);
    const LATE: Duration = Duration::from_secs(600);

    #[test]
    fn what_takes_longer_than_its_time_is_given_up() {
        let mut alarm = Alarm::new();
        let start = Instant::now();
        for _ in 0..2 {
            assert_eq!(block_on(alarm.within(SOON, pending::<()>())), None);
        }
        assert!(start.elapsed() >= 2 * SOON);
        assert_eq!(block_on(alarm.within(SOON, async { 1 })), Some(1));
    }

    #[test]
    fn an_earlier_wait_neither_shortens_nor_prolongs_the_next() {
        let pause = async || {
            yield_now().await;
            yield_now().await;
        };
        block_on(async {
            let mut alarm = Alarm::new();
            assert_eq!(alarm.within(LATE, pause()).await, Some(()));
            let start = Instant::now();
            assert_eq!(alarm.within(SOON, pending::<()>()).await, None);
            assert_eq!(alarm.within(SOON, pause()).await, Some(()));
            assert_eq!(alarm.within(5 * SOON, pending::<()>()).await, None);
            assert!(start.elapsed() >= 6 * SOON && start.elapsed() < LATE);
        });
    }
}

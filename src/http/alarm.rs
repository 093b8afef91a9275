//! One timer for all the waits of one task, which follow each other.
//!
//! Almost every wait ends before its deadline, and setting a timer costs six system calls. So the timer
//! keeps an earlier setting and is set again only if that one fires too early. An old setting may cause one
//! spurious wake-up of its task.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use async_io::Timer;
use smol::future::or;

/// A timer that is set as rarely as possible.
#[derive(Debug)]
pub struct Alarm {
    timer: Timer,
    set_for: Option<Instant>,
    /// Set the timer again if the old setting is this much too early, or more.
    too_early: Duration,
}

/// Two waits of the same length whose deadlines differ by less than this may share one setting.
const A_LITTLE: Duration = Duration::from_millis(500);

// === impl Alarm ===

impl Alarm {
    /// A timer that is not set.
    pub fn new() -> Self {
        Self {
            timer: Timer::never(),
            set_for: None,
            too_early: Duration::MAX,
        }
    }

    /// A timer that is not set, for a task whose spurious wake-ups would be expensive. If short and long
    /// waits alternate, it is set again for each long one.
    pub fn punctual() -> Self {
        Self {
            too_early: A_LITTLE,
            ..Self::new()
        }
    }

    /// Waits until `moment`, or for ever if there is none.
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

    /// The output of `future`, or `None` if it takes longer than `limit`.
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
    fn a_future_that_takes_too_long_is_given_up() {
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

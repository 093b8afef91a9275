//! The memory that all connections of a server may use together.
//!
//! Each connection has a share of its own, as large as the largest head. It serves for the head, and for a
//! body that fits into it. The rest is the pool. A larger body waits until the pool has room for all of it.
//! No connection holds a part of what it needs and waits for more, so there is no deadlock: every
//! connection that got memory finishes and returns it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The memory for large bodies.
#[derive(Clone)]
pub(super) struct Pool(Rc<RefCell<State>>);

/// A part of the pool; returned when dropped.
pub(super) struct Lease {
    pool: Pool,
    amount: usize,
}

struct State {
    /// Below 0 if responses, which never wait, have taken more than there was.
    free: isize,
    /// First come, first served: small bodies do not delay a large one for ever.
    waiting: VecDeque<(u64, Waker)>,
    /// The number of the next one to wait.
    tickets: u64,
}

/// A place in the queue; removed from it when dropped.
struct Place {
    pool: Pool,
    ticket: u64,
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self(Rc::new(RefCell::new(State {
            free: signed(size),
            waiting: VecDeque::new(),
            tickets: 0,
        })))
    }

    /// Waits for a part of the pool. `amount` must not be larger than the whole pool, or it would wait for
    /// ever.
    pub(super) async fn take(&self, amount: usize) -> Lease {
        let place = self.queue_up();
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            let is_first = state.waiting.front().is_some_and(|it| it.0 == place.ticket);
            if is_first && signed(amount) <= state.free {
                return Poll::Ready(());
            }
            let own = state.waiting.iter_mut().find(|it| it.0 == place.ticket);
            if let Some((_, waker)) = own {
                waker.clone_from(context.waker());
            }
            Poll::Pending
        })
        .await;
        // Before the place is dropped, which wakes the next one.
        self.take_now(amount)
    }

    /// Takes a part without waiting, even if the pool is empty: a response already exists and can only be
    /// counted.
    pub(super) fn take_now(&self, amount: usize) -> Lease {
        self.0.borrow_mut().free -= signed(amount);
        let pool = self.clone();
        Lease { pool, amount }
    }

    fn queue_up(&self) -> Place {
        let mut state = self.0.borrow_mut();
        state.tickets += 1;
        let ticket = state.tickets;
        state.waiting.push_back((ticket, Waker::noop().clone()));
        let pool = self.clone();
        Place { pool, ticket }
    }

    fn wake_first(&self) {
        if let Some((_, waker)) = self.0.borrow().waiting.front() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pool
            .0
            .borrow_mut()
            .waiting
            .retain(|it| it.0 != self.ticket);
        self.pool.wake_first();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.0.borrow_mut().free += signed(self.amount);
        self.pool.wake_first();
    }
}

fn signed(amount: usize) -> isize {
    isize::try_from(amount).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{or, poll_once};
    use smol::{block_on, pin};

    #[test]
    fn parts_are_given_in_the_order_of_waiting() {
        block_on(async {
            let pool = Pool::new(10);
            let first = pool.take(6).await;
            let second = pool.take(5);
            pin!(second);
            assert!(poll_once(&mut second).await.is_none());
            let third = pool.take(1);
            pin!(third);
            assert!(poll_once(&mut third).await.is_none(), "it is not its turn");
            drop(first);
            let second = second.await;
            let _third = third.await;
            assert!(poll_once(pool.take(5)).await.is_none());
            drop(second);
            let _all = pool.take(9).await;
        });
    }

    #[test]
    fn a_waiter_that_gives_up_leaves_the_queue() {
        block_on(async {
            let pool = Pool::new(10);
            let all = pool.take(10).await;
            for _ in 0..3 {
                or(async { drop(pool.take(10).await) }, async {}).await;
            }
            drop(all);
            let _all = pool.take(10).await;
            assert_eq!(pool.0.borrow().free, 0);
        });
    }

    #[test]
    fn memory_taken_without_waiting_is_returned_before_others_get_any() {
        block_on(async {
            let pool = Pool::new(10);
            let owed = pool.take_now(25);
            assert!(poll_once(pool.take(0)).await.is_none());
            drop(owed);
            let _all = pool.take(10).await;
        });
    }
}

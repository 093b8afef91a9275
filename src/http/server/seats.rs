//! How many connections there may be at once, and which one has to go for a new one.
//!
//! A seat is held by a connection until it ends. When all are taken, the connection that has been
//! idle for longest loses its seat and is closed, which is what its client has to expect of an idle
//! connection anyway; while none is idle, there is no seat.

use std::cell::RefCell;
use std::rc::Rc;

use smol::Task;

/// All seats.
#[derive(Clone)]
pub(super) struct Seats(Rc<RefCell<Table>>);

/// One connection's seat; freed when it is dropped.
pub(super) struct Seat {
    table: Rc<RefCell<Table>>,
    number: u64,
}

struct Table {
    limit: usize,
    /// Counts seats given and connections gone idle, and so puts both in order.
    count: u64,
    taken: Vec<Taken>,
}

struct Taken {
    number: u64,
    /// When it went idle, by the table's count.
    idle_since: Option<u64>,
    /// The connection at work; dropping it closes the connection.
    task: Option<Task<()>>,
}

// === impl Seats ===

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        Self(Rc::new(RefCell::new(Table {
            limit,
            count: 0,
            taken: Vec::new(),
        })))
    }

    /// A free seat; nothing if all are taken and no holder is idle.
    pub(super) fn take(&self) -> Option<Seat> {
        // Dropped after the table is let go: the connection that it closes gives back its seat.
        let _closed = self.0.borrow_mut().make_room()?;
        let number = self.0.borrow_mut().take();
        let table = self.0.clone();
        Some(Seat { table, number })
    }

    /// Says which connection is on a seat. A task that is not held so is cancelled.
    pub(super) fn hold(&self, number: u64, task: Task<()>) {
        self.0.borrow_mut().hold(number, task);
    }
}

// === impl Seat ===

impl Seat {
    /// What [`Seats::hold`] knows it by.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Between two requests: the seat may be taken away from now on.
    pub(super) fn idle(&self) {
        let mut table = self.table.borrow_mut();
        let now = table.tick();
        table.set_idle(self.number, Some(now));
    }

    /// At work: the seat is kept.
    pub(super) fn busy(&self) {
        self.table.borrow_mut().set_idle(self.number, None);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let left = self.table.borrow_mut().leave(self.number);
        // A connection that ends by itself is not to be cancelled on its last step.
        if let Some(task) = left.and_then(|taken| taken.task) {
            task.detach();
        }
    }
}

// === impl Table ===

impl Table {
    /// A free seat, if need be the one of the connection that has been idle for longest, which is
    /// handed out to be dropped; nothing if there is none.
    fn make_room(&mut self) -> Option<Option<Taken>> {
        if self.taken.len() < self.limit {
            return Some(None);
        }
        let oldest = self
            .taken
            .iter()
            .filter_map(|taken| taken.idle_since.map(|since| (since, taken.number)))
            .min()?;
        Some(self.leave(oldest.1))
    }

    /// A new connection is idle until its first byte.
    fn take(&mut self) -> u64 {
        let number = self.tick();
        self.taken.push(Taken {
            number,
            idle_since: Some(number),
            task: None,
        });
        number
    }

    fn hold(&mut self, number: u64, task: Task<()>) {
        if let Some(taken) = self.find(number) {
            taken.task = Some(task);
        }
    }

    fn leave(&mut self, number: u64) -> Option<Taken> {
        let index = self.taken.iter().position(|it| it.number == number)?;
        let taken = self.taken.swap_remove(index);
        // What a crowd needed is not kept for ever.
        if self.taken.is_empty() {
            self.taken = Vec::new();
        }
        Some(taken)
    }

    fn set_idle(&mut self, number: u64, since: Option<u64>) {
        if let Some(taken) = self.find(number) {
            taken.idle_since = since;
        }
    }

    fn find(&mut self, number: u64) -> Option<&mut Taken> {
        self.taken.iter_mut().find(|it| it.number == number)
    }

    fn tick(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::LocalExecutor;

    /// Starts a connection that lasts until it is closed, and shows its seat.
    fn place(seats: &Seats, executor: &LocalExecutor<'static>) -> Option<Rc<Seat>> {
        let seat = Rc::new(seats.take()?);
        let held = seat.clone();
        let task = executor.spawn(async move {
            let _held = held;
            std::future::pending().await
        });
        seats.hold(seat.number(), task);
        Some(seat)
    }

    #[test]
    fn the_connection_that_was_idle_for_longest_makes_room() {
        let executor = LocalExecutor::new();
        let seats = Seats::new(2);
        let first = place(&seats, &executor).expect("free");
        let second = place(&seats, &executor).expect("free");
        first.busy();
        first.idle();
        let third = place(&seats, &executor).expect("the second was idle for longer");
        while executor.try_tick() {}
        assert_eq!(Rc::strong_count(&first), 2);
        assert_eq!(Rc::strong_count(&second), 1, "its connection is closed");
        first.busy();
        third.busy();
        assert!(place(&seats, &executor).is_none(), "nobody is idle");
    }

    #[test]
    fn a_connection_that_ends_frees_its_seat() {
        let executor = LocalExecutor::new();
        let seats = Seats::new(1);
        for _ in 0..3 {
            let seat = seats.take().expect("free");
            let number = seat.number();
            seats.hold(number, executor.spawn(async move { seat.busy() }));
            while executor.try_tick() {}
        }
        assert!(seats.0.borrow().taken.is_empty());
    }
}

//! How many connections there may be at the same time, and which one is closed for a new one.
//!
//! A connection holds a slot until it ends. If no slot is free, the connection that has been idle longest
//! is closed for the new one; clients have to expect that of an idle connection. If no connection is idle,
//! the new one gets no slot.

use std::cell::RefCell;
use std::rc::Rc;

use smol::Task;

/// All slots.
#[derive(Clone)]
pub(super) struct Slots(Rc<RefCell<Table>>);

/// The slot of one connection; freed when dropped.
pub(super) struct Slot {
    table: Rc<RefCell<Table>>,
    number: u64,
}

struct Table {
    limit: usize,
    /// Counts slots taken and connections becoming idle, to order both.
    count: u64,
    taken: Vec<Taken>,
}

struct Taken {
    number: u64,
    /// The count when it became idle.
    idle_since: Option<u64>,
    /// The task that serves the connection; dropping it closes the connection.
    task: Option<Task<()>>,
}

// === impl Slots ===

impl Slots {
    pub(super) fn new(limit: usize) -> Self {
        Self(Rc::new(RefCell::new(Table {
            limit,
            count: 0,
            taken: Vec::new(),
        })))
    }

    /// Takes a slot; `None` if all are taken and no connection is idle.
    pub(super) fn take(&self) -> Option<Slot> {
        // Dropped after the borrow has ended, because closing that connection frees its slot.
        let _closed = self.0.borrow_mut().make_room()?;
        let number = self.0.borrow_mut().take();
        let table = self.0.clone();
        Some(Slot { table, number })
    }

    /// Sets the task that serves the connection of a slot. If the slot was freed meanwhile, the task is
    /// dropped and so cancelled.
    pub(super) fn hold(&self, number: u64, task: Task<()>) {
        self.0.borrow_mut().hold(number, task);
    }
}

// === impl Slot ===

impl Slot {
    /// The number for [`Slots::hold`].
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The connection waits for a request: from now on the slot may be taken away.
    pub(super) fn idle(&self) {
        let mut table = self.table.borrow_mut();
        let now = table.tick();
        table.set_idle(self.number, Some(now));
    }

    /// The connection has work to do: the slot is kept.
    pub(super) fn busy(&self) {
        self.table.borrow_mut().set_idle(self.number, None);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let left = self.table.borrow_mut().leave(self.number);
        // A connection that ends by itself must not be cancelled during its last step.
        if let Some(task) = left.and_then(|taken| taken.task) {
            task.detach();
        }
    }
}

// === impl Table ===

impl Table {
    /// Makes a free slot, if necessary by removing the connection that has been idle longest, which is
    /// returned to be dropped. `None` if no slot can be freed.
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

    /// A new connection is idle until its first byte arrives.
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
        // Free the memory that many connections have needed.
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

    /// Starts a connection that lasts until it is closed, and returns its slot.
    fn place(slots: &Slots, executor: &LocalExecutor<'static>) -> Option<Rc<Slot>> {
        let slot = Rc::new(slots.take()?);
        let held = slot.clone();
        let task = executor.spawn(async move {
            let _held = held;
            std::future::pending().await
        });
        slots.hold(slot.number(), task);
        Some(slot)
    }

    #[test]
    fn the_connection_that_was_idle_longest_is_closed_for_a_new_one() {
        let executor = LocalExecutor::new();
        let slots = Slots::new(2);
        let first = place(&slots, &executor).expect("free");
        let second = place(&slots, &executor).expect("free");
        first.busy();
        first.idle();
        let third = place(&slots, &executor).expect("the second was idle for longer");
        while executor.try_tick() {}
        assert_eq!(Rc::strong_count(&first), 2);
        assert_eq!(Rc::strong_count(&second), 1, "its connection is closed");
        first.busy();
        third.busy();
        assert!(place(&slots, &executor).is_none(), "no connection is idle");
    }

    #[test]
    fn a_connection_that_ends_frees_its_slot() {
        let executor = LocalExecutor::new();
        let slots = Slots::new(1);
        for _ in 0..3 {
            let slot = slots.take().expect("free");
            let number = slot.number();
            slots.hold(number, executor.spawn(async move { slot.busy() }));
            while executor.try_tick() {}
        }
        assert!(slots.0.borrow().taken.is_empty());
    }
}

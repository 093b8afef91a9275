//! The thread that writes.
//!
//! While one transaction is written, batches wait; those that wait together become the next one. So a
//! lone submission pays one sync, and a thousand ends at once do not pay a thousand.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{Folder, RESERVE, Store};
use crate::core::effect::Batch;
use crate::core::event::{Event, Room, StoreFault};
use crate::core::words::Clock;

/// The thread that writes. Dropping it waits until all is written that it was given.
#[derive(Debug)]
pub struct Writer {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Store(Box<Batch>),
    Reopen,
}

/// How many batches make one transaction at most: the first of them should not wait long for the last.
const TOGETHER: usize = 4096;

/// How often to look whether there is room again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the thread is.
struct Thread<S, R> {
    store: S,
    clock: Clock,
    /// The reserve; a store without a disk has none.
    folder: Option<Folder>,
    report: R,
    has_failed: bool,
    room: Room,
}

impl Writer {
    /// Starts it. `report` is called on the thread, with [`Event::Stored`], [`Event::StoreFailed`],
    /// [`Event::StoreReopened`] and [`Event::RoomChanged`]; a text comes with what is not good.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start<S, R>(
        store: S,
        folder: Option<Folder>,
        clock: Clock,
        report: R,
    ) -> io::Result<Self>
    where
        S: Store + 'static,
        R: FnMut(Event, Option<String>) + Send + 'static,
    {
        let (orders, inbox) = channel();
        let room = folder.as_ref().map_or(Room::Ample, Folder::room);
        let mut thread = Thread {
            store,
            clock,
            folder,
            report,
            has_failed: false,
            room,
        };
        let thread = Builder::new()
            .name("store".to_owned())
            .spawn(move || thread.run(&inbox))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Writes a batch ([`Effect::Store`](crate::core::effect::Effect::Store)).
    pub fn store(&self, batch: Batch) {
        self.order(Order::Store(Box::new(batch)));
    }

    /// Opens the store again ([`Effect::ReopenStore`](crate::core::effect::Effect::ReopenStore)).
    pub fn reopen(&self) {
        self.order(Order::Reopen);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread is there as long as the sender: it ends only when there is none.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl<S: Store, R: FnMut(Event, Option<String>)> Thread<S, R> {
    fn run(&mut self, inbox: &Receiver<Order>) {
        let mut held = None;
        self.claim_if_full();
        loop {
            let order = match held.take() {
                Some(order) => order,
                None => match self.wait(inbox) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) => {
                        self.look_for_room();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                },
            };
            match order {
                Order::Reopen => self.reopen(),
                Order::Store(batch) => {
                    let mut batches = vec![*batch];
                    while batches.len() < TOGETHER {
                        match inbox.try_recv() {
                            Ok(Order::Store(batch)) => batches.push(*batch),
                            Ok(Order::Reopen) => {
                                held = Some(Order::Reopen);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(&batches);
                }
            }
        }
    }

    fn wait(&self, inbox: &Receiver<Order>) -> Result<Order, RecvTimeoutError> {
        match self.room {
            Room::Ample => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Room::ReserveOnly => inbox.recv_timeout(LOOK_EVERY),
        }
    }

    fn commit(&mut self, batches: &[Batch]) {
        // What was on its way when a commit failed is lost: the core knows, or is about to.
        if self.has_failed {
            return;
        }
        let Some(last) = batches.last() else { return };
        let anchor = self.clock.anchor(last.moment);
        match self.store.commit(batches, &anchor) {
            Ok(()) => (self.report)(Event::Stored(last.number), None),
            Err(error) => {
                self.has_failed = true;
                self.release_reserve(error.0);
                (self.report)(Event::StoreFailed(error.0), Some(error.to_string()));
            }
        }
    }

    /// The store gets the reserve, if that is what it lacks.
    fn release_reserve(&mut self, fault: StoreFault) {
        match (fault, &mut self.folder) {
            (StoreFault::DiskFull, Some(folder)) => {
                folder.release_reserve(|bytes| self.store.claim(bytes));
                self.room = folder.room();
            }
            (StoreFault::DiskFull | StoreFault::Failed, _) => (),
        }
    }

    fn reopen(&mut self) {
        match self.store.reopen() {
            Ok(last) => {
                self.has_failed = false;
                // To be opened, the file may have been made shorter.
                self.claim_if_full();
                let room = self.room;
                (self.report)(Event::StoreReopened { last, room }, None);
            }
            Err(error) => {
                let fault = match error {
                    super::OpenError::DiskFull { .. } => StoreFault::DiskFull,
                    super::OpenError::Io { .. }
                    | super::OpenError::InUse { .. }
                    | super::OpenError::Newer { .. }
                    | super::OpenError::Damaged { .. } => StoreFault::Failed,
                };
                self.release_reserve(fault);
                (self.report)(Event::StoreFailed(fault), Some(error.to_string()));
            }
        }
    }

    fn claim_if_full(&mut self) {
        match self.room {
            // A process that was killed on a full disk has left what it had claimed.
            Room::Ample => self.store.unclaim(),
            Room::ReserveOnly => self.store.claim(RESERVE),
        }
    }

    fn look_for_room(&mut self) {
        let Some(folder) = &mut self.folder else {
            return;
        };
        folder.make_reserve(self.store.unused());
        if folder.room() != self.room {
            self.room = folder.room();
            self.store.unclaim();
            (self.report)(Event::RoomChanged(self.room), None);
        }
    }
}

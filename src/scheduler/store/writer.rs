//! The thread that writes to the store.
//!
//! Batches that arrive during a transaction wait and are written together in the next one. So a single
//! submission needs one sync, and a thousand ends at the same time do not need a thousand.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{Folder, RESERVE, Store};
use crate::core::effect::Batch;
use crate::core::event::{DiskSpace, Event, StoreFault};
use crate::core::words::Clock;

/// The thread that writes. Dropping it waits until all its batches are written.
#[derive(Debug)]
pub struct Writer {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Store(Box<Batch>),
    Reopen,
}

/// Maximum number of batches in one transaction. A transaction with more would delay the first batch in it.
const TOGETHER: usize = 4096;

/// How often to check whether the disk has space again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The state of the thread.
struct Thread<S, R> {
    store: S,
    clock: Clock,
    /// The folder with the reserve; `None` for a store without a disk.
    folder: Option<Folder>,
    report: R,
    has_failed: bool,
    disk_space: DiskSpace,
}

impl Writer {
    /// Starts the thread. It calls `report` with [`Event::Stored`], [`Event::StoreFailed`],
    /// [`Event::StoreReopened`] and [`Event::DiskSpaceChanged`]; an error is accompanied by a text for the
    /// log.
    ///
    /// # Errors
    /// The thread cannot be started.
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
        let disk_space = folder.as_ref().map_or(DiskSpace::Ample, Folder::disk_space);
        let mut thread = Thread {
            store,
            clock,
            folder,
            report,
            has_failed: false,
            disk_space,
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
            // The thread cannot have ended, because it runs until this sender is dropped.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has reported this itself.
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
        match self.disk_space {
            DiskSpace::Ample => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            DiskSpace::ReserveOnly => inbox.recv_timeout(LOOK_EVERY),
        }
    }

    fn commit(&mut self, batches: &[Batch]) {
        // Batches that arrive after a failed commit are lost. The core knows this, or will know when it
        // handles the report.
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

    /// Releases the reserve if the disk is full.
    fn release_reserve(&mut self, fault: StoreFault) {
        match (fault, &mut self.folder) {
            (StoreFault::DiskFull, Some(folder)) => {
                folder.release_reserve(|bytes| self.store.claim(bytes));
                self.disk_space = folder.disk_space();
            }
            (StoreFault::DiskFull | StoreFault::Failed, _) => (),
        }
    }

    fn reopen(&mut self) {
        match self.store.reopen() {
            Ok(last) => {
                self.has_failed = false;
                // Opening the file may have truncated it.
                self.claim_if_full();
                let disk_space = self.disk_space;
                (self.report)(Event::StoreReopened { last, disk_space }, None);
            }
            Err(error) => {
                let fault = match error {
                    super::OpenError::DiskFull { .. } => StoreFault::DiskFull,
                    super::OpenError::Io { .. }
                    | super::OpenError::InUse { .. }
                    | super::OpenError::Newer { .. }
                    | super::OpenError::Damaged { .. }
                    | super::OpenError::NoStore { .. }
                    | super::OpenError::OtherOwner { .. }
                    | super::OpenError::WritableByOthers { .. } => StoreFault::Failed,
                };
                self.release_reserve(fault);
                (self.report)(Event::StoreFailed(fault), Some(error.to_string()));
            }
        }
    }

    fn claim_if_full(&mut self) {
        match self.disk_space {
            // A process that was killed on a full disk has left what it had claimed.
            DiskSpace::Ample => self.store.unclaim(),
            DiskSpace::ReserveOnly => self.store.claim(RESERVE),
        }
    }

    fn look_for_room(&mut self) {
        let Some(folder) = &mut self.folder else {
            return;
        };
        folder.make_reserve(self.store.unused());
        if folder.disk_space() != self.disk_space {
            self.disk_space = folder.disk_space();
            self.store.unclaim();
            (self.report)(Event::DiskSpaceChanged(self.disk_space), None);
        }
    }
}

//! Connects the core with the store's thread, the backend, and the clients that wait for replies.
//!
//! Everything here runs on one thread. [`Driver::feed`] takes one event at a time and starts all its
//! effects before the next one. Nothing here waits for the disk or the network.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use smol::channel::{Receiver, Sender, bounded, unbounded};

use super::alarm::Alarm;
use super::worker::Worker;
use super::{clock, log};
use crate::backend::Backend;
use crate::core::effect::{Effect, LeaveReason};
use crate::core::event::{Event, LoadAnswer};
use crate::core::job::{Job, JobKey};
use crate::core::request::{ApiRequest, Refusal, Reply, RequestId, Unavailable};
use crate::core::settings::Settings;
use crate::core::view::{Found, View};
use crate::core::words::Clock;
use crate::core::{Scheduler, Start};
use crate::store::{Archive, Folder, ReadError, Store, Writer};

/// A running scheduler.
pub struct Driver {
    scheduler: RefCell<Scheduler>,
    clock: Clock,
    writer: Writer,
    archive: Arc<dyn Archive>,
    /// The thread that reads archived jobs.
    worker: Worker,
    backend: Box<dyn Backend>,
    alarm: Alarm,
    /// Clients that wait for the core's reply.
    waiting: RefCell<HashMap<RequestId, Sender<Reply>>>,
    last_request: Cell<u64>,
    inbox: Receiver<StoreReport>,
    outbox: Sender<StoreReport>,
    leave: (Sender<LeaveReason>, Receiver<LeaveReason>),
    changed: (Sender<()>, Receiver<()>),
}

/// An event from the store's thread, with a text for the log.
struct StoreReport(Event, Option<String>);

/// Archived jobs cannot be read at the moment; the text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl Driver {
    /// Starts the store's thread and connects all parts.
    ///
    /// # Errors
    ///
    /// A thread cannot be started, or no file descriptor is available.
    pub fn new(
        settings: Settings,
        start: Start,
        store: impl Store + 'static,
        folder: Option<Folder>,
        clock: Clock,
        backend: Box<dyn Backend>,
    ) -> std::io::Result<Rc<Self>> {
        let archive = store.archive();
        let (outbox, inbox) = unbounded();
        let report = {
            let outbox = outbox.clone();
            // This object lives until the process exits.
            move |event, text| drop(outbox.try_send(StoreReport(event, text)))
        };
        let writer = Writer::start(store, folder, clock, report)?;
        Ok(Rc::new(Self {
            scheduler: RefCell::new(Scheduler::new(settings, start)),
            clock,
            writer,
            archive,
            worker: Worker::start("archive")?,
            backend,
            alarm: Alarm::new()?,
            waiting: RefCell::new(HashMap::new()),
            last_request: Cell::new(0),
            inbox,
            outbox,
            leave: bounded(1),
            changed: bounded(1),
        }))
    }

    /// Handles an event and starts all its effects.
    pub fn feed(&self, event: Event) {
        let now = clock::moment(&self.clock);
        let effects = self.scheduler.borrow_mut().step(event, now);
        for effect in effects {
            self.perform(effect);
        }
        let deadline = self.scheduler.borrow().next_deadline();
        self.alarm
            .set(deadline.map(|steady| self.clock.uptime(steady)));
        // Waiting tasks check once after any number of changes.
        let _ = self.changed.0.try_send(());
    }

    /// Reads the state that is on disk.
    pub fn read<T>(&self, read: impl FnOnce(View<'_>) -> T) -> T {
        read(self.scheduler.borrow().view())
    }

    /// Asks the core for a change, and waits until the reply may be sent.
    pub async fn ask(&self, request: ApiRequest) -> Reply {
        let id = RequestId(self.last_request.get() + 1);
        self.last_request.set(id.0);
        let (sender, receiver) = bounded(1);
        self.waiting.borrow_mut().insert(id, sender);
        self.feed(Event::Request(id, request));
        match receiver.recv().await {
            Ok(reply) => reply,
            // The core replies to every request exactly once; if the reply is missing, the result is
            // unknown.
            Err(_) => Reply::Refused(Refusal::Unavailable(Unavailable::Undecided)),
        }
    }

    /// These jobs in full, loaded from the archive if necessary. Jobs that were removed meanwhile are
    /// left out.
    ///
    /// # Errors
    ///
    /// The store cannot be read at the moment.
    pub async fn load(&self, found: &[Found]) -> Result<Vec<Arc<Job>>, Unreadable> {
        let archived: Vec<JobKey> = found
            .iter()
            .filter_map(|found| match found {
                Found::Job(_) => None,
                Found::Archived(archived) => Some(archived.key),
            })
            .collect();
        let mut loaded = match archived.is_empty() {
            true => Vec::new(),
            false => {
                let archive = Arc::clone(&self.archive);
                let read = move || archive.jobs(&archived);
                let read: Receiver<Result<Vec<Option<Job>>, ReadError>> = self.worker.begin(read);
                let read = read.recv().await;
                let read =
                    read.map_err(|_| Unreadable("the reading thread has ended".to_owned()))?;
                read.map_err(|error| Unreadable(error.to_string()))?
            }
        }
        .into_iter();
        let whole = found.iter().filter_map(|found| match found {
            Found::Job(job) => Some(Arc::clone(job)),
            Found::Archived(_) => loaded.next().flatten().map(Arc::new),
        });
        Ok(whole.collect())
    }

    /// Handles the events of the store's thread, until the program exits.
    pub async fn store_events(&self) {
        while let Ok(StoreReport(event, text)) = self.inbox.recv().await {
            if let Some(text) = text {
                log::line(text);
            }
            self.feed(event);
        }
    }

    /// Handles the events of the backend until its channel is closed.
    pub async fn backend_events(&self, events: Receiver<crate::core::backend::BackendEvent>) {
        while let Ok(event) = events.recv().await {
            self.feed(Event::Backend(event));
        }
    }

    /// Sends `Tick` at the core's deadlines, until the program exits.
    pub async fn deadlines(&self) {
        while self.alarm.wait().await.is_ok() {
            self.feed(Event::Tick);
        }
    }

    /// Waits until the core asks the program to exit.
    pub async fn leaving(&self) -> LeaveReason {
        match self.leave.1.recv().await {
            Ok(reason) => reason,
            // This object owns both ends of the channel.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until `is_so` is true; it is evaluated after each event.
    pub async fn until(&self, is_so: impl Fn(View<'_>) -> bool) {
        while !self.read(&is_so) {
            if self.changed.1.recv().await.is_err() {
                return;
            }
        }
    }

    /// Whether all jobs and their executors have ended.
    pub fn is_empty(&self) -> bool {
        self.backend.is_empty()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Store(batch) => self.writer.store(batch),
            Effect::ReopenStore => self.writer.reopen(),
            Effect::Load(key) => self.load_for_core(key),
            Effect::Reply(id, reply) => {
                if let Some(waiting) = self.waiting.borrow_mut().remove(&id) {
                    // The client may have disconnected.
                    let _ = waiting.try_send(reply);
                }
            }
            Effect::Call(call) => self.backend.call(call),
            Effect::Leave(reason) => drop(self.leave.0.try_send(reason)),
            Effect::Log(line) => log::line(line),
        }
    }

    fn load_for_core(&self, key: JobKey) {
        let (archive, outbox) = (Arc::clone(&self.archive), self.outbox.clone());
        let load = move || {
            let (answer, text) = match archive.job(key) {
                Ok(Some(job)) => (LoadAnswer::Found(Box::new(job)), None),
                Ok(None) => (LoadAnswer::Missing, None),
                Err(error) => (LoadAnswer::Failed, Some(error.to_string())),
            };
            drop(outbox.try_send(StoreReport(Event::Loaded(key, answer), text)));
        };
        drop(self.worker.begin(load));
    }
}

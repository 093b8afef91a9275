//! Where everything meets: the core, the store's thread, the backend, and whoever waits for an answer.
//!
//! One thread runs all of this. Events come in through [`Hub::feed`], one at a time, and their effects are
//! begun before the next one: nothing here waits for a disk or a network.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use smol::channel::{Receiver, Sender, bounded, unbounded};

use super::alarm::Alarm;
use super::aside::Aside;
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

/// The scheduler at work.
pub struct Hub {
    scheduler: RefCell<Scheduler>,
    clock: Clock,
    writer: Writer,
    archive: Arc<dyn Archive>,
    /// Reads the archive.
    aside: Aside,
    backend: Box<dyn Backend>,
    alarm: Alarm,
    /// Whoever waits for the core's decision.
    waiting: RefCell<HashMap<RequestId, Sender<Reply>>>,
    last_request: Cell<u64>,
    inbox: Receiver<Told>,
    outbox: Sender<Told>,
    leave: (Sender<LeaveReason>, Receiver<LeaveReason>),
    changed: (Sender<()>, Receiver<()>),
}

/// An event from another thread, and a text for the log.
struct Told(Event, Option<String>);

/// Archived jobs that cannot be read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl Hub {
    /// Starts the store's thread and puts everything together.
    ///
    /// # Errors
    ///
    /// There is no thread or no descriptor to be had.
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
            // The hub lives until the process ends.
            move |event, text| drop(outbox.try_send(Told(event, text)))
        };
        let writer = Writer::start(store, folder, clock, report)?;
        Ok(Rc::new(Self {
            scheduler: RefCell::new(Scheduler::new(settings, start)),
            clock,
            writer,
            archive,
            aside: Aside::start("archive")?,
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

    /// Takes an event, and begins everything that follows from it.
    pub fn feed(&self, event: Event) {
        let now = clock::moment(&self.clock);
        let effects = self.scheduler.borrow_mut().step(event, now);
        for effect in effects {
            self.perform(effect);
        }
        let deadline = self.scheduler.borrow().next_deadline();
        self.alarm
            .set(deadline.map(|steady| self.clock.uptime(steady)));
        // Somebody who waits for changes looks once, however many there were.
        let _ = self.changed.0.try_send(());
    }

    /// Shows what is on disk.
    pub fn read<T>(&self, read: impl FnOnce(View<'_>) -> T) -> T {
        read(self.scheduler.borrow().view())
    }

    /// Asks the core for a change, and waits until the answer is on disk.
    pub async fn ask(&self, request: ApiRequest) -> Reply {
        let id = RequestId(self.last_request.get() + 1);
        self.last_request.set(id.0);
        let (sender, receiver) = bounded(1);
        self.waiting.borrow_mut().insert(id, sender);
        self.feed(Event::Request(id, request));
        match receiver.recv().await {
            Ok(reply) => reply,
            // The core answers every request once; without an answer, nobody knows.
            Err(_) => Reply::Refused(Refusal::Unavailable(Unavailable::Undecided)),
        }
    }

    /// The whole of these jobs, those of the archive included. Jobs that were dropped meanwhile are left out.
    ///
    /// # Errors
    ///
    /// The store cannot be read now.
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
                let read: Receiver<Result<Vec<Option<Job>>, ReadError>> = self.aside.begin(read);
                let read = read.recv().await;
                let read = read.map_err(|_| Unreadable("its thread is gone".to_owned()))?;
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

    /// Takes what the store's thread reports, for ever.
    pub async fn store_events(&self) {
        while let Ok(Told(event, text)) = self.inbox.recv().await {
            if let Some(text) = text {
                log::line(text);
            }
            self.feed(event);
        }
    }

    /// Takes what the backend tells, for as long as it does.
    pub async fn backend_events(&self, events: Receiver<crate::core::face::BackendEvent>) {
        while let Ok(event) = events.recv().await {
            self.feed(Event::Backend(event));
        }
    }

    /// Ticks at the core's deadlines, for ever.
    pub async fn deadlines(&self) {
        while self.alarm.wait().await.is_ok() {
            self.feed(Event::Tick);
        }
    }

    /// Waits until the core wants to leave.
    pub async fn leaving(&self) -> LeaveReason {
        match self.leave.1.recv().await {
            Ok(reason) => reason,
            // Both ends are ours.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until `is_so`, which is asked after each event.
    pub async fn until(&self, is_so: impl Fn(View<'_>) -> bool) {
        while !self.read(&is_so) {
            if self.changed.1.recv().await.is_err() {
                return;
            }
        }
    }

    /// Whether nothing of this program's jobs is left, executors included.
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
                    // A client that has gone needs no answer.
                    let _ = waiting.try_send(reply);
                }
            }
            Effect::Call(call) => self.backend.call(call),
            Effect::Leave(reason) => drop(self.leave.0.try_send(reason)),
            Effect::Note(note) => log::line(note),
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
            drop(outbox.try_send(Told(Event::Loaded(key, answer), text)));
        };
        drop(self.aside.begin(load));
    }
}

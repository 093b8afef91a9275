//! The handle of the test master.
//!
//! Methods of the handle take effect at once and never wait for the scheduler. Only [`Master::wait_until`]
//! waits, with a deadline. The master ends when the handle is dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cook_mesos::scheduler::{
    Call, CallType, Event, Offer, Reason, TaskInfo, TaskState, TaskStatus,
};
use cook_test_agent::connection::{Listener, Port};
use cook_test_agent::stream::EventStream;

use crate::cluster::{Agent, Cluster, Standing};
use crate::events;
use crate::journal::{Called, Journal, What};
use crate::script::{Leader, Script, Splitting, Trouble};
use crate::server::{Shared, beat, serve};
use crate::session::Session;

/// How long [`Master::wait_until`] waits: longer than any wait between two attempts of a scheduler, even on
/// a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// Whether and how often heartbeats are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heartbeats {
    /// Every 15 seconds, as a real master does.
    Usual,
    /// With this interval in seconds.
    Every(f64),
    /// Announced with this interval in seconds, and never sent.
    Never(f64),
}

/// A running master.
#[derive(Debug)]
pub struct Master {
    shared: Arc<Shared>,
    port: Port,
    listener: Mutex<Option<Listener>>,
}

impl Master {
    /// Starts a leading master without agents, on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// A socket could not be opened.
    pub fn start(heartbeats: Heartbeats) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("master-{}-{number}", std::process::id());
        let (interval, is_silent) = match heartbeats {
            Heartbeats::Usual => (15.0, false),
            Heartbeats::Every(seconds) => (seconds, false),
            Heartbeats::Never(seconds) => (seconds, true),
        };
        let mut session = Session::new(name, interval);
        session.script.is_silent = is_silent;
        let master = Self {
            shared: Arc::new(Shared::new(session)),
            port: Port::reserve()?,
            listener: Mutex::default(),
        };
        let shared = Arc::clone(&master.shared);
        thread::spawn(move || beat(&shared));
        master.come_back()?;
        Ok(master)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    // Agents and offers.

    /// Registers an agent, or registers it again with its tasks.
    pub fn add_agent(&self, id: &str, agent: Agent) {
        self.with_cluster(|cluster| cluster.agents.insert(id.to_owned(), agent));
    }

    /// Changes the status of an agent. No event is sent.
    pub fn set_standing(&self, id: &str, standing: Standing) {
        self.with_cluster(|cluster| {
            if let Some(agent) = cluster.agents.get_mut(id) {
                agent.standing = standing;
            }
        });
    }

    /// Offers all resources of these agents in one event. Returns the offers.
    pub fn offer(&self, agents: &[&str]) -> Vec<Offer> {
        self.change(|session| {
            let framework = session.framework().unwrap_or_default().to_owned();
            let issue = |agent: &&str| session.cluster.issue(&framework, agent);
            let offers: Vec<_> = agents.iter().map(issue).collect();
            session.send(&events::offers(offers.clone()));
            offers
        })
    }

    /// Withdraws an offer, and sends RESCIND.
    pub fn rescind(&self, offer: &Offer) {
        self.change(|session| {
            let _ = session.cluster.take(&offer.id.value);
            session.send(&events::rescind(&offer.id.value));
        });
    }

    /// Withdraws an offer without an event, so that the scheduler learns of it too late.
    pub fn void(&self, offer: &Offer) {
        self.change(|session| session.cluster.take(&offer.id.value).map(drop))
            .unwrap_or_default();
    }

    /// The offers that were not answered.
    pub fn outstanding_offers(&self) -> Vec<String> {
        self.shared.lock().session.cluster.outstanding()
    }

    // Updates.

    /// Sends an update of an agent. It is repeated until it is acknowledged.
    pub fn update(&self, status: TaskStatus) {
        self.change(|session| session.update(status));
    }

    /// Sends an update with this state of a launched task.
    pub fn report(&self, task: &TaskInfo, state: TaskState) {
        self.update(events::status(
            &task.task_id.value,
            &task.agent_id.value,
            state,
        ));
    }

    /// Sends the terminal update of a task with its `data`.
    pub fn report_end(&self, task: &TaskInfo, state: TaskState, data: &str) {
        let status = events::status(&task.task_id.value, &task.agent_id.value, state);
        self.update(TaskStatus {
            data: Some(data.into()),
            ..status
        });
    }

    /// Sends a status that the master has created: without a uuid, and only once.
    pub fn say(&self, task: &TaskInfo, state: TaskState, reason: Reason) {
        let (task, agent) = (&task.task_id.value, &task.agent_id.value);
        self.send(&events::update(events::masters_status(
            task,
            Some(agent),
            state,
            reason,
        )));
    }

    /// Sends unacknowledged updates again.
    pub fn repeat_updates(&self) {
        self.change(|session| {
            for status in session.cluster.unacknowledged() {
                session.send(&events::update(status));
            }
        });
    }

    /// Whether all updates of a task are acknowledged.
    pub fn is_acknowledged(&self, task: &str) -> bool {
        let state = self.shared.lock();
        let task = state.session.cluster.tasks.get(task);
        task.is_none_or(|task| task.pending.is_empty())
    }

    /// Sends a message of a task's executor.
    pub fn message(&self, task: &TaskInfo, data: &str) {
        let (id, agent) = (&task.task_id.value, &task.agent_id.value);
        self.send(&events::message(agent, id, data.as_bytes()));
    }

    /// Sends any event.
    pub fn send(&self, event: &Event) {
        self.change(|session| session.send(event));
    }

    /// Sends bytes in one chunk that need not be a record.
    pub fn send_raw_bytes(&self, bytes: &[u8]) {
        self.change(|session| {
            let name = format!("{} raw bytes", bytes.len());
            session.write(&name, |stream, _| stream.send_chunk(bytes));
        });
    }

    // Faults.

    /// Injects a fault into the next call of this kind. Several faults happen in the order in which they
    /// were added.
    pub fn trouble(&self, kind: CallType, trouble: Trouble) {
        self.with_script(|script| script.add(kind, trouble));
    }

    /// Cancels all faults that have not happened yet.
    pub fn forget_troubles(&self) {
        self.with_script(Script::forget);
    }

    /// Handles all calls that were held.
    pub fn release(&self) {
        self.with_script(|script| script.releases += 1);
    }

    /// Makes another master the leader, or none.
    pub fn set_leader(&self, leader: Leader) {
        self.with_script(|script| script.leader = leader);
    }

    /// Requires Basic authentication from now on.
    pub fn demand_login(&self, user: &str, secret: &str) {
        self.with_script(|script| script.login = Some((user.to_owned(), secret.to_owned())));
    }

    /// Changes how the event stream is split into chunks.
    pub fn split(&self, splitting: Splitting) {
        self.with_script(|script| script.splitting = splitting);
    }

    /// Removes the framework, as after its failover timeout: its id is not accepted any more, and its tasks are gone.
    pub fn remove_framework(&self) {
        self.change(Session::remove_framework);
    }

    /// Closes the event stream in an orderly way: last chunk, then end of file.
    pub fn close_stream(&self) {
        self.change(|session| session.end_stream(EventStream::finish));
    }

    /// Resets the event stream.
    pub fn reset_stream(&self) {
        self.change(|session| session.end_stream(EventStream::reset));
    }

    /// Sends the first bytes of a record, then end of file.
    pub fn cut_stream(&self) {
        self.send_raw_bytes(b"100\nthis record never");
        self.change(|session| session.end_stream(EventStream::cut));
    }

    /// Stops or restarts heartbeats.
    pub fn set_beating(&self, beats: bool) {
        self.with_script(|script| script.is_silent = !beats);
    }

    /// Stops like a machine that lost power: connections stay open, and there is no response.
    pub fn freeze(&self) {
        self.note("master is frozen");
        self.with_script(|script| script.is_frozen = true);
    }

    /// Ends [`Master::freeze`].
    pub fn thaw(&self) {
        self.with_script(|script| script.is_frozen = false);
        self.note("master is thawed");
    }

    /// Disappears like a master that was killed: connections end, and new ones are refused.
    pub fn go_away(&self) {
        if let Some(listener) = self.lock_listener().take() {
            listener.close();
        }
        let mut state = self.shared.lock();
        state.session.end_stream(EventStream::cut);
        for connection in state.connections.values() {
            connection.close();
        }
        drop(state);
        self.note("master is away");
    }

    /// Listens again at the same address as before.
    ///
    /// # Errors
    ///
    /// A socket could not be opened.
    pub fn come_back(&self) -> io::Result<()> {
        let listener = self.port.listen()?;
        *self.lock_listener() = Some(listener.clone());
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || shared.accept_connections(&listener, serve));
        self.note("master is listening");
        Ok(())
    }

    /// Changes its agents and tasks.
    pub fn with_cluster<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        self.change(|session| change(&mut session.cluster))
    }

    // Inspection.

    /// Inspects the journal.
    pub fn inspect<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.shared.lock().session.journal)
    }

    /// The number of the next entry, for [`Master::called_after`].
    pub fn mark(&self) -> usize {
        self.inspect(|journal| journal.entries().len())
    }

    /// Adds a note to the journal.
    pub fn note(&self, text: &str) {
        self.change(|session| session.journal.record(What::Note(text.to_owned())));
    }

    /// The framework that has subscribed last.
    pub fn framework(&self) -> Option<String> {
        self.shared.lock().session.framework().map(str::to_owned)
    }

    /// Whether an event stream is open, as far as this master knows.
    pub fn is_subscribed(&self) -> bool {
        self.shared.lock().session.is_subscribed()
    }

    /// Waits until `look` returns something.
    ///
    /// # Panics
    ///
    /// It has not within [`PATIENCE`]. The message has `what` and the journal.
    pub fn wait_until<T>(&self, what: &str, mut look: impl FnMut(&Journal) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            let journal = &state.session.journal;
            if let Some(found) = look(journal) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for {what}; what happened instead:\n{journal}"
            );
            state = self.shared.wait(state, left);
        }
    }

    /// Waits for a call of this kind after this entry that meets a condition.
    pub fn called_after(
        &self,
        mark: usize,
        kind: CallType,
        is_so: impl Fn(&Call) -> bool,
    ) -> Called {
        self.wait_until(&format!("{kind:?}"), |journal| {
            let mut calls = journal.calls(kind, mark);
            calls.find(|called| is_so(&called.call)).cloned()
        })
    }

    /// Waits for a call of this kind.
    pub fn called(&self, kind: CallType) -> Called {
        self.called_after(0, kind, |_| true)
    }

    /// Waits until there were this many SUBSCRIBE calls. Returns the last one.
    pub fn subscribed(&self, count: usize) -> Called {
        self.wait_until(&format!("{count} SUBSCRIBE calls"), |journal| {
            let mut calls = journal.calls(CallType::Subscribe, 0);
            calls.nth(count - 1).cloned()
        })
    }

    /// Waits until this many tasks were launched. Returns all of them.
    pub fn launched(&self, count: usize) -> Vec<TaskInfo> {
        self.wait_until(&format!("{count} launched tasks"), |journal| {
            let tasks = journal.tasks();
            (tasks.len() >= count).then_some(tasks)
        })
    }

    /// Waits until every update of a task is acknowledged.
    pub fn acknowledged(&self, task: &TaskInfo) {
        let deadline = Instant::now() + PATIENCE;
        let id = &task.task_id.value;
        let mut state = self.shared.lock();
        loop {
            let known = state.session.cluster.tasks.get(id);
            if known.is_none_or(|task| task.pending.is_empty()) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let journal = &state.session.journal;
            assert!(
                !left.is_zero(),
                "{id} was never acknowledged; what happened:\n{journal}"
            );
            state = self.shared.wait(state, left);
        }
    }

    fn with_script(&self, change: impl FnOnce(&mut Script)) {
        self.change(|session| change(&mut session.script));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Session) -> T) -> T {
        let result = change(&mut self.shared.lock().session);
        self.shared.changed.notify_all();
        result
    }

    fn lock_listener(&self) -> std::sync::MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.go_away();
        self.shared.changed.notify_all();
    }
}

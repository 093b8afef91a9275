//! The handle to a scripted master.
//!
//! Calls on the handle take effect at once and never wait for the scheduler; [`Master::wait_until`] does the
//! waiting, with a deadline. The master ends with its handle.

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
use crate::server::{Shared, accept_connections, beat};
use crate::session::Session;

/// How long [`Master::wait_until`] waits: longer than any pause of a scheduler that tries again, even on a loaded
/// machine.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// How this master keeps its streams alive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heartbeats {
    /// Every 15 seconds, as a real one.
    Usual,
    /// Every so many seconds.
    Every(f64),
    /// Said to come every so many seconds, and never sent.
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
    /// Those of the sockets.
    pub fn start(heartbeats: Heartbeats) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("master-{}-{number}", std::process::id());
        let (interval, beats) = match heartbeats {
            Heartbeats::Usual => (15.0, true),
            Heartbeats::Every(seconds) => (seconds, true),
            Heartbeats::Never(seconds) => (seconds, false),
        };
        let master = Self {
            shared: Arc::new(Shared::new(Session::new(name, interval), beats)),
            port: Port::reserve()?,
            listener: Mutex::default(),
        };
        let shared = Arc::clone(&master.shared);
        thread::spawn(move || beat(&shared));
        master.come_back()?;
        Ok(master)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    // Agents and offers.

    /// An agent registers, or comes back with its tasks.
    pub fn add_agent(&self, id: &str, agent: Agent) {
        self.with_cluster(|cluster| cluster.agents.insert(id.to_owned(), agent));
    }

    /// The master thinks otherwise of an agent from now on. It says nothing by itself.
    pub fn set_standing(&self, id: &str, standing: Standing) {
        self.with_cluster(|cluster| {
            if let Some(agent) = cluster.agents.get_mut(id) {
                agent.standing = standing;
            }
        });
    }

    /// Offers all that these agents have, in one event; the offers as they were made.
    pub fn offer(&self, agents: &[&str]) -> Vec<Offer> {
        self.change(|session| {
            let framework = session.framework().unwrap_or_default().to_owned();
            let issue = |agent: &&str| session.cluster.issue(&framework, agent);
            let offers: Vec<_> = agents.iter().map(issue).collect();
            session.send(&events::offers(offers.clone()));
            offers
        })
    }

    /// Takes an offer back, and says so.
    pub fn rescind(&self, offer: &Offer) {
        self.change(|session| {
            let _ = session.cluster.take(&offer.id.value);
            session.send(&events::rescind(&offer.id.value));
        });
    }

    /// Takes an offer back; the scheduler hears of it too late.
    pub fn void(&self, offer: &Offer) {
        self.change(|session| session.cluster.take(&offer.id.value).map(drop))
            .unwrap_or_default();
    }

    /// Offers that nobody has answered.
    pub fn outstanding_offers(&self) -> Vec<String> {
        self.shared.lock().session.cluster.outstanding()
    }

    // Updates.

    /// An agent has an update, repeated until it is acknowledged.
    pub fn update(&self, status: TaskStatus) {
        self.change(|session| session.update(status));
    }

    /// A state of a task that was launched, without anything else.
    pub fn report(&self, task: &TaskInfo, state: TaskState) {
        self.update(events::status(
            &task.task_id.value,
            &task.agent_id.value,
            state,
        ));
    }

    /// The end of a task with its `data`.
    pub fn report_end(&self, task: &TaskInfo, state: TaskState, data: &str) {
        let status = events::status(&task.task_id.value, &task.agent_id.value, state);
        self.update(TaskStatus {
            data: Some(data.into()),
            ..status
        });
    }

    /// A status that the master makes: without a uuid, and said once.
    pub fn say(&self, task: &TaskInfo, state: TaskState, reason: Reason) {
        let (task, agent) = (&task.task_id.value, &task.agent_id.value);
        self.send(&events::update(events::masters_status(
            task,
            Some(agent),
            state,
            reason,
        )));
    }

    /// Agents repeat what is not acknowledged.
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

    /// A message of a task's executor.
    pub fn message(&self, task: &TaskInfo, data: &str) {
        let (id, agent) = (&task.task_id.value, &task.agent_id.value);
        self.send(&events::message(agent, id, data.as_bytes()));
    }

    /// Any event at all.
    pub fn send(&self, event: &Event) {
        self.change(|session| session.send(event));
    }

    /// Bytes in one chunk of the stream, that need not be a record.
    pub fn send_raw_bytes(&self, bytes: &[u8]) {
        self.change(|session| {
            let name = format!("{} raw bytes", bytes.len());
            session.write(&name, |stream, _| stream.send_chunk(bytes));
        });
    }

    // Faults.

    /// The next call of this kind gets into trouble; several in the order in which they are given.
    pub fn trouble(&self, kind: CallType, trouble: Trouble) {
        self.with_script(|script| script.add(kind, trouble));
    }

    /// Forgets all troubles that are still to come.
    pub fn forget_troubles(&self) {
        self.with_script(Script::forget);
    }

    /// Looks at all calls that are held.
    pub fn release(&self) {
        self.with_script(|script| script.releases += 1);
    }

    /// Another one leads, or nobody.
    pub fn set_leader(&self, leader: Leader) {
        self.with_script(|script| script.leader = leader);
    }

    /// Wants Basic authentication from now on.
    pub fn demand_login(&self, user: &str, secret: &str) {
        self.with_script(|script| script.login = Some((user.to_owned(), secret.to_owned())));
    }

    /// Cuts events into chunks in another way.
    pub fn split(&self, splitting: Splitting) {
        self.with_script(|script| script.splitting = splitting);
    }

    /// The framework's timeout has passed: its id is dead, and its tasks are gone.
    pub fn remove_framework(&self) {
        self.change(Session::remove_framework);
    }

    /// Ends the event stream in order.
    pub fn close_stream(&self) {
        self.change(|session| session.end_stream(EventStream::finish));
    }

    /// Ends the event stream by a reset.
    pub fn reset_stream(&self) {
        self.change(|session| session.end_stream(EventStream::reset));
    }

    /// Sends the first bytes of a record, then end of file.
    pub fn cut_stream(&self) {
        self.send_raw_bytes(b"100\nthis record never");
        self.change(|session| session.end_stream(EventStream::cut));
    }

    /// Stops heartbeats, or sends them again.
    pub fn set_beating(&self, beats: bool) {
        self.shared.lock().beats = beats;
    }

    /// Stops as a machine does that lost its power: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.note("master is frozen");
        self.shared.lock().is_frozen = true;
    }

    /// Ends [`Master::freeze`].
    pub fn thaw(&self) {
        self.shared.lock().is_frozen = false;
        self.note("master is thawed");
    }

    /// Goes away as a master that was killed: connections end, new ones are refused.
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

    /// Listens again where it listened before.
    ///
    /// # Errors
    ///
    /// Those of the sockets.
    pub fn come_back(&self) -> io::Result<()> {
        let listener = self.port.listen()?;
        *self.lock_listener() = Some(listener.clone());
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || accept_connections(&shared, &listener));
        self.note("master is listening");
        Ok(())
    }

    /// Changes what it knows of agents and tasks.
    pub fn with_cluster<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        self.change(|session| change(&mut session.cluster))
    }

    // Questions.

    /// Looks at the journal as it is now.
    pub fn inspect<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.shared.lock().session.journal)
    }

    /// The number of the next entry: for [`Master::called_after`].
    pub fn mark(&self) -> usize {
        self.inspect(|journal| journal.entries().len())
    }

    /// Writes a remark into the journal.
    pub fn note(&self, text: &str) {
        self.change(|session| session.journal.record(What::Note(text.to_owned())));
    }

    /// The framework that has subscribed last.
    pub fn framework(&self) -> Option<String> {
        self.shared.lock().session.framework().map(str::to_owned)
    }

    /// Whether an event stream is open, as far as this master can tell.
    pub fn is_subscribed(&self) -> bool {
        self.shared.lock().session.is_subscribed()
    }

    /// Waits until the journal has what is looked for.
    ///
    /// # Panics
    ///
    /// It has not within [`PATIENCE`]: what was waited for, and the journal.
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

    /// Waits for a call of this kind that is so, after this entry.
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

    /// Waits until there were so many subscriptions, or attempts at them; the last one.
    pub fn subscribed(&self, count: usize) -> Called {
        self.wait_until(&format!("{count} SUBSCRIBE calls"), |journal| {
            let mut calls = journal.calls(CallType::Subscribe, 0);
            calls.nth(count - 1).cloned()
        })
    }

    /// Waits until so many tasks were launched; all of them.
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

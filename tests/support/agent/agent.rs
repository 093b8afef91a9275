//! The test agent: a Mesos agent for one executor, on loopback, with a handle to control and inspect it.
//!
//! Methods of the handle take effect at once and never wait for the executor. Only [`Agent::wait_until`]
//! waits, for a condition and with a deadline. The agent ends when the handle is dropped.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Listener, Port, SocketPath};
use crate::events;
use crate::journal::{Entry, Journal, What};
use crate::script::{Splitting, Trouble};
use crate::server::{Shared, serve};
use crate::session::Session;
use crate::stream::EventStream;
use cook_mesos::messages::{Event, TaskInfo, TaskState};

/// How long [`Agent::wait_until`] waits: far longer than anything takes, even on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Identity of the agent and of its executor.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The id of the framework.
    pub framework_id: String,
    /// The id of the executor.
    pub executor_id: String,
    /// The id of this agent.
    pub agent_id: String,
    /// The bearer token that every call must have, if any.
    pub token: Option<String>,
    /// The unix domain socket to listen on in addition, if any.
    pub socket: Option<PathBuf>,
    /// The framework's capabilities, as numbers of `FrameworkInfo.Capability.Type`.
    pub capabilities: Vec<i32>,
    /// `ExecutorInfo.data`.
    pub executor_data: Option<Vec<u8>>,
    /// `ExecutorInfo.command.environment`.
    pub executor_environment: Vec<(String, String)>,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    port: Port,
    socket: Option<SocketPath>,
    listeners: Mutex<Vec<Listener>>,
}

/// A condition was not met in time.
#[derive(Debug)]
pub struct Unmet {
    what: String,
    journal: String,
}

// === impl AgentConfig ===

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            framework_id: "framework-1".to_owned(),
            executor_id: "executor-1".to_owned(),
            agent_id: "agent-1".to_owned(),
            token: None,
            socket: None,
            capabilities: Vec::new(),
            executor_data: None,
            executor_environment: Vec::new(),
        }
    }
}

// === impl Agent ===

impl Agent {
    /// Starts an agent on a free port of 127.0.0.1, and on the unix socket if one is configured.
    ///
    /// # Errors
    ///
    /// A socket could not be opened.
    pub fn start(config: AgentConfig) -> io::Result<Self> {
        let agent = Self {
            port: Port::reserve()?,
            socket: config.socket.clone().map(SocketPath),
            listeners: Mutex::default(),
            shared: Arc::new(Shared::new(Session::new(config))),
        };
        agent.come_back()?;
        Ok(agent)
    }

    /// The value of `MESOS_AGENT_ENDPOINT`.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The path of the unix socket, if there is one.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(|socket| socket.0.as_path())
    }

    /// The agent's configuration.
    pub fn config(&self) -> AgentConfig {
        self.shared.lock().session.config.clone()
    }

    // Events.

    /// Sends LAUNCH as soon as the executor has subscribed.
    pub fn launch(&self, task: TaskInfo) {
        self.change(|session| session.launch(events::launch(task)));
    }

    /// Sends LAUNCH_GROUP as soon as the executor has subscribed.
    pub fn launch_group(&self, tasks: Vec<TaskInfo>) {
        self.change(|session| session.launch(events::launch_group(tasks)));
    }

    /// Sends KILL, with a kill policy if a grace period is given.
    pub fn kill(&self, task_id: &str, grace: Option<Duration>) {
        self.send(&events::kill(task_id, grace));
    }

    /// Sends SHUTDOWN. If the executor has not subscribed yet, it is its first and only event.
    pub fn shutdown(&self) {
        self.change(Session::shutdown);
    }

    /// Sends MESSAGE.
    pub fn message(&self, data: &[u8]) {
        self.send(&events::message(data));
    }

    /// Sends ERROR.
    pub fn error(&self, text: &str) {
        self.send(&events::error(text));
    }

    /// Sends HEARTBEAT.
    pub fn heartbeat(&self) {
        self.send(&events::heartbeat());
    }

    /// Sends any event.
    pub fn send(&self, event: &Event) {
        self.change(|session| session.send(event));
    }

    /// Sends a record that need not be an event.
    pub fn send_record(&self, record: &[u8]) {
        self.change(|session| {
            let name = format!("record of {} bytes", record.len());
            session.write(&name, |stream, splitting| stream.send(record, splitting));
        });
    }

    /// Sends bytes in one chunk that need not be a record.
    pub fn send_raw_bytes(&self, bytes: &[u8]) {
        self.change(|session| {
            let name = format!("{} raw bytes", bytes.len());
            session.write(&name, |stream, _| stream.send_chunk(bytes));
        });
    }

    /// Sends ACKNOWLEDGED for an update, whether or not there is such an update.
    pub fn acknowledge(&self, task_id: &str, uuid: &[u8]) {
        self.send(&events::acknowledged(task_id, uuid));
    }

    /// From now on, acknowledgements are not sent.
    pub fn hold_acknowledgements(&self) {
        self.change(|session| session.script.hold_acknowledgements = true);
    }

    /// Sends the acknowledgements that were held back, and all later ones immediately.
    pub fn release_acknowledgements(&self) {
        self.change(|session| {
            session.script.hold_acknowledgements = false;
            session.send_due();
        });
    }

    /// From now on, an acknowledgement is sent before the response to its call, which Mesos allows.
    pub fn acknowledge_first(&self) {
        self.change(|session| session.script.acknowledge_first = true);
    }

    // Faults.

    /// Changes how the event stream is split into chunks.
    pub fn split(&self, splitting: Splitting) {
        self.change(|session| session.script.splitting = splitting);
    }

    /// Refuses the next `count` calls other than SUBSCRIBE.
    pub fn refuse_calls(&self, status: u16, count: usize) {
        self.trouble_calls(Trouble::Status(status), count);
    }

    /// Injects a fault into the next `count` calls other than SUBSCRIBE.
    pub fn trouble_calls(&self, trouble: Trouble, count: usize) {
        let troubles = std::iter::repeat_n(trouble, count);
        self.change(|session| session.script.calls.extend(troubles));
    }

    /// Refuses the next `count` SUBSCRIBE calls.
    pub fn refuse_subscribes(&self, status: u16, count: usize) {
        self.trouble_subscribes(Trouble::Status(status), count);
    }

    /// Injects a fault into the next `count` SUBSCRIBE calls.
    pub fn trouble_subscribes(&self, trouble: Trouble, count: usize) {
        let troubles = std::iter::repeat_n(trouble, count);
        self.change(|session| session.script.subscribes.extend(troubles));
    }

    /// Cancels all faults that have not happened yet.
    pub fn accept_all(&self) {
        self.change(|session| {
            session.script.calls.clear();
            session.script.subscribes.clear();
        });
    }

    /// Responds to nothing until [`Agent::resume`].
    pub fn hang(&self) {
        self.change(|session| session.script.hang = true);
    }

    /// Responds to everything that has waited since [`Agent::hang`].
    pub fn resume(&self) {
        self.change(|session| session.script.hang = false);
    }

    /// Forgets that the executor has subscribed, but keeps its stream: calls are refused with 403 until it
    /// subscribes again.
    pub fn forget_subscription(&self) {
        self.change(|session| session.registered = false);
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

    /// Disappears like an agent that was killed: connections end, and new ones are refused.
    pub fn go_away(&self) {
        for listener in self.lock_listeners().drain(..) {
            listener.close();
        }
        let mut state = self.shared.lock();
        state.session.stop();
        for connection in state.connections.values() {
            connection.close();
        }
        drop(state);
        self.note("agent is away");
        self.shared.changed.notify_all();
    }

    /// Listens again at the same address as before [`Agent::go_away`]. Like a restarted agent, it expects a
    /// new SUBSCRIBE before any other call.
    ///
    /// # Errors
    ///
    /// A socket could not be opened.
    pub fn come_back(&self) -> io::Result<()> {
        let mut listeners = vec![self.port.listen()?];
        if let Some(path) = self.socket() {
            listeners.push(Listener::unix(path)?);
        }
        for listener in listeners {
            self.lock_listeners().push(listener.clone());
            let shared = self.shared.clone();
            let transport = listener.transport();
            thread::spawn(move || {
                shared.accept_connections(&listener, move |shared, connection, _| {
                    serve(shared, connection, transport);
                });
            });
        }
        self.note("agent is listening");
        Ok(())
    }

    // Inspection.

    /// Inspects the journal.
    pub fn inspect<R>(&self, look: impl FnOnce(&Journal) -> R) -> R {
        look(&self.shared.lock().session.journal)
    }

    /// Adds a note to the journal.
    pub fn note(&self, text: &str) {
        self.change(|session| session.journal.record(What::Note(text.to_owned())));
    }

    /// A function to call, on any thread, when the executor's process has ended.
    pub fn exit_recorder(&self) -> impl FnOnce(Option<i32>) + Send + 'static {
        let shared = self.shared.clone();
        move |code| {
            shared.lock().session.journal.record(What::Exited(code));
            shared.changed.notify_all();
        }
    }

    /// Waits until the journal meets a condition.
    ///
    /// # Errors
    ///
    /// It was not met within [`PATIENCE`], or the executor has ended and nothing more can happen.
    pub fn wait_until(
        &self,
        what: &str,
        mut ready: impl FnMut(&Journal) -> bool,
    ) -> Result<(), Unmet> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            let journal = &state.session.journal;
            if ready(journal) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let nothing_can_come = journal.exit().is_some() && state.connections.is_empty();
            if left.is_zero() || nothing_can_come {
                return Err(Unmet {
                    what: what.to_owned(),
                    journal: journal.to_string(),
                });
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Waits until a task has been reported in this state.
    ///
    /// # Errors
    ///
    /// See [`Agent::wait_until`].
    pub fn wait_for_state(&self, state: TaskState) -> Result<(), Unmet> {
        self.wait_until(&format!("{state:?}"), |journal| {
            journal.states().contains(&state)
        })
    }

    /// The entries after the first `seen`, as soon as there are any; empty if there are none in time.
    pub fn entries_after(&self, seen: usize, patience: Duration) -> Vec<Entry> {
        let mut state = self.shared.lock();
        if state.session.journal.entries().len() <= seen {
            state = self.shared.wait(state, patience);
        }
        let entries = state.session.journal.entries();
        entries.get(seen..).unwrap_or_default().to_vec()
    }

    fn change(&self, change: impl FnOnce(&mut Session)) {
        change(&mut self.shared.lock().session);
        self.shared.changed.notify_all();
    }

    fn lock_listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.go_away();
    }
}

// === impl Unmet ===

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "waited in vain for: {}", self.what)?;
        write!(f, "what happened instead:\n{}", self.journal)
    }
}

impl std::error::Error for Unmet {}

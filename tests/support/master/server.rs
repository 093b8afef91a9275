//! The master's threads: one for each listening socket, one for each connection, and one for heartbeats.
//! They pass requests to the session and responses back, and decide nothing.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cook_mesos::scheduler::EventType;
use cook_test_agent::agent::PATIENCE;
use cook_test_agent::connection::{Connection, Listener};
use cook_test_agent::http::{self, ReadError, Request};

use crate::events;
use crate::session::{Answer, Session};

/// State that the handle and the threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Notified after every change.
    pub changed: Condvar,
}

/// The part of it that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub session: Session,
    /// The open connections, which are closed with the master.
    pub connections: BTreeMap<u64, Connection>,
    opened: u64,
    /// Requests are read and not handled, as on a machine that has stopped.
    pub is_frozen: bool,
    /// Whether heartbeats are sent.
    pub beats: bool,
    /// Whether the handle was dropped.
    pub is_closing: bool,
}

// === impl Shared ===

impl Shared {
    pub fn new(session: Session, beats: bool) -> Self {
        Self {
            state: Mutex::new(State {
                session,
                connections: BTreeMap::new(),
                opened: 0,
                is_frozen: false,
                beats,
                is_closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// A panic in one test thread must not hide what the other threads have recorded.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, with a limit.
    pub fn wait<'a>(
        &self,
        guard: MutexGuard<'a, State>,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(guard, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Accepts connections until the listener is closed, and starts a thread for each.
pub(crate) fn accept_connections(shared: &Arc<Shared>, listener: &Listener) {
    while let Ok(connection) = listener.accept() {
        let mut state = shared.lock();
        let number = state.opened;
        state.opened += 1;
        state.connections.insert(number, connection.clone());
        drop(state);
        let shared = shared.clone();
        thread::spawn(move || {
            serve(&shared, &connection, number);
            shared.lock().connections.remove(&number);
            shared.changed.notify_all();
        });
    }
}

/// Sends heartbeats until the handle is dropped.
pub(crate) fn beat(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_closing {
        let interval = Duration::from_secs_f64(state.session.heartbeat);
        let (waited, timeout) = shared
            .changed
            .wait_timeout_while(state, interval, |state| !state.is_closing)
            .unwrap_or_else(PoisonError::into_inner);
        state = waited;
        if timeout.timed_out() && state.beats && !state.is_frozen && state.session.is_subscribed() {
            state.session.send(&events::of_kind(EventType::Heartbeat));
            shared.changed.notify_all();
        }
    }
}

/// Serves the requests of one connection until it ends.
fn serve(shared: &Shared, connection: &Connection, number: u64) {
    let mut reader = BufReader::new(connection.clone());
    loop {
        let request = match Request::read(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) | Err(ReadError::Broken(_)) => return,
            Err(ReadError::Malformed(what)) => {
                shared.lock().session.violation(what.clone());
                shared.changed.notify_all();
                // The client may be gone.
                let _ = connection.send(&http::reply(400, &what));
                return connection.close();
            }
        };
        let answer = match answer(shared, &request, connection, number) {
            Some(answer) => answer,
            None => return,
        };
        let sent = match answer {
            Answer::Reply(bytes) => connection.send(&bytes),
            Answer::Stream(generation) => return watch(shared, &mut reader, generation),
            Answer::Reset | Answer::Hold(_) => return connection.reset(),
            Answer::End(bytes) => {
                let _ = connection.send(&bytes);
                return connection.close();
            }
            Answer::Silence(bytes) => {
                let _ = connection.send(&bytes);
                // Until the peer closes the connection.
                let _ = Request::read(&mut reader);
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The session's response, when the master is not frozen and does not hold the call; `None` if the client
/// has disconnected before.
fn answer(
    shared: &Shared,
    request: &Request,
    connection: &Connection,
    number: u64,
) -> Option<Answer> {
    let mut state = shared.lock();
    let mut held = None;
    let mut has_waited = false;
    loop {
        let is_released = held.is_none_or(|held| held < state.session.script.releases);
        if state.is_closing {
            return None;
        }
        if state.is_frozen || !is_released {
            state = shared.wait(state, PATIENCE);
            has_waited = true;
            continue;
        }
        if has_waited && !connection.is_open() {
            // A client that gave up may have called again, and that call may have been handled before this
            // one. A real master handles calls in the order of their arrival.
            return None;
        }
        let answer = state
            .session
            .answer(request, connection, number, held.is_some());
        shared.changed.notify_all();
        match answer {
            Answer::Hold(releases) => held = Some(releases),
            answer => return Some(answer),
        }
    }
}

/// Waits for the end of a connection with an event stream.
fn watch(shared: &Shared, reader: &mut BufReader<Connection>, generation: u64) {
    let next = Request::read(reader);
    let mut state = shared.lock();
    if !matches!(next, Ok(None) | Err(ReadError::Broken(_))) {
        // It would wait for the end of the stream.
        state.session.violation("a call on the stream's connection");
    }
    state.session.stream_ended(generation);
    drop(state);
    shared.changed.notify_all();
}

//! The agent's threads: one for each listening socket and each connection. They pass requests to the
//! session and responses back, and decide nothing.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::agent::PATIENCE;
use crate::connection::{Connection, Listener, Transport};
use crate::http::{self, ReadError, Request};
use crate::journal::{UNANSWERED, What};
use crate::session::{Answer, Session};

/// State that the handle and the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notified after every change.
    pub(super) changed: Condvar,
}

/// The part of it that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    /// The open connections, which are closed with the agent.
    pub(super) connections: BTreeMap<u64, Connection>,
    opened: u64,
    /// Whether the handle was dropped.
    pub(super) closing: bool,
}

// === impl Shared ===

impl Shared {
    /// The state at the agent's start.
    pub(super) fn new(session: Session) -> Self {
        Self {
            state: Mutex::new(State {
                session,
                connections: BTreeMap::new(),
                opened: 0,
                closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// A panic in one test thread must not hide what the other threads have recorded.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, with a limit.
    pub(super) fn wait<'a>(
        &self,
        guard: MutexGuard<'a, State>,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(guard, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits while the script makes the agent hang. True if it did.
    fn lock_when_responsive(&self) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.lock();
        let hangs = state.session.script.hang;
        if hangs {
            let note = What::Note(UNANSWERED.to_owned());
            state.session.journal.record(note);
            self.changed.notify_all();
        }
        while state.session.script.hang && !state.closing {
            state = self.wait(state, PATIENCE);
        }
        (state, hangs)
    }
}

/// Accepts connections until the listener is closed, and starts a thread for each.
pub(super) fn accept_connections(shared: &Arc<Shared>, listener: &Listener) {
    while let Ok(connection) = listener.accept() {
        let mut state = shared.lock();
        let number = state.opened;
        state.opened += 1;
        state.connections.insert(number, connection.clone());
        drop(state);
        let shared = shared.clone();
        let transport = listener.transport();
        thread::spawn(move || {
            serve(&shared, connection, transport);
            shared.lock().connections.remove(&number);
            shared.changed.notify_all();
        });
    }
}

/// Serves the requests of one connection until it ends.
fn serve(shared: &Shared, connection: Connection, transport: Transport) {
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
        let (mut state, has_waited) = shared.lock_when_responsive();
        if has_waited && !connection.is_open() {
            // A client that gave up may have called again, and that call may have been handled before this
            // one. A real agent handles calls in the order of their arrival.
            return;
        }
        let answer = state.session.answer(&request, transport, &connection);
        if state.session.script.acknowledge_first {
            state.session.send_due();
        }
        drop(state);
        shared.changed.notify_all();
        match answer {
            Answer::Reply(status, text) => {
                if connection.send(&http::reply(status, &text)).is_err() {
                    return;
                }
                shared.lock().session.send_due();
                shared.changed.notify_all();
            }
            Answer::Stream(generation) => return watch(shared, &mut reader, generation),
            Answer::Reset => return connection.reset(),
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

//! What the threads of a scripted server share: one session behind a lock, and the open connections. The test master
//! uses this, too.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::connection::{Connection, Listener};
use crate::http::{self, ReadError, Request};

/// The session of a scripted server, which decides on everything.
pub trait Session: Send + 'static {
    /// The peer has violated the protocol.
    fn violation(&mut self, text: String);

    /// The connection of an event stream has ended.
    fn stream_ended(&mut self, generation: u64);
}

/// State that the handle and the threads share.
#[derive(Debug)]
pub struct Shared<S> {
    state: Mutex<State<S>>,
    /// Notified after every change.
    pub changed: Condvar,
}

/// The part of it that changes.
#[derive(Debug)]
pub struct State<S> {
    /// The session.
    pub session: S,
    /// The open connections, which are closed with the server.
    pub connections: BTreeMap<u64, Connection>,
    opened: u64,
    /// Whether the handle was dropped.
    pub is_closing: bool,
}

// === impl Shared ===

impl<S: Session> Shared<S> {
    /// The state at the server's start.
    pub fn new(session: S) -> Self {
        Self {
            state: Mutex::new(State {
                session,
                connections: BTreeMap::new(),
                opened: 0,
                is_closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// A panic in one test thread must not hide what the other threads have recorded.
    pub fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, with a limit.
    pub fn wait<'a>(
        &self,
        guard: MutexGuard<'a, State<S>>,
        patience: Duration,
    ) -> MutexGuard<'a, State<S>> {
        let waited = self.changed.wait_timeout(guard, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Accepts connections until the listener is closed. `serve` gets each one, with its number, on a thread of its own.
    pub fn accept_connections(
        self: &Arc<Self>,
        listener: &Listener,
        serve: impl Fn(&Self, &Connection, u64) + Copy + Send + 'static,
    ) {
        while let Ok(connection) = listener.accept() {
            let mut state = self.lock();
            let number = state.opened;
            state.opened += 1;
            state.connections.insert(number, connection.clone());
            drop(state);
            let shared = Arc::clone(self);
            thread::spawn(move || {
                serve(&shared, &connection, number);
                shared.lock().connections.remove(&number);
                shared.changed.notify_all();
            });
        }
    }

    /// The next request of a connection. `None` at its end, and after a malformed request, which gets 400.
    pub fn read_request(
        &self,
        connection: &Connection,
        reader: &mut BufReader<Connection>,
    ) -> Option<Request> {
        match Request::read(reader) {
            Ok(request) => request,
            Err(ReadError::Broken(_)) => None,
            Err(ReadError::Malformed(what)) => {
                self.lock().session.violation(what.clone());
                self.changed.notify_all();
                // The client may be gone.
                let _ = connection.send(&http::reply(400, &what));
                connection.close();
                None
            }
        }
    }

    /// Waits for the end of a connection with an event stream.
    pub fn watch(&self, reader: &mut BufReader<Connection>, generation: u64) {
        let next = Request::read(reader);
        let mut state = self.lock();
        if !matches!(next, Ok(None) | Err(ReadError::Broken(_))) {
            // It would wait for the end of the stream.
            let text = "a call on the stream's connection";
            state.session.violation(text.to_owned());
        }
        state.session.stream_ended(generation);
        drop(state);
        self.changed.notify_all();
    }
}

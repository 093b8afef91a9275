//! The agent's threads: one for each connection. They pass requests to the session and responses back, and decide
//! nothing.

use std::io::BufReader;
use std::sync::MutexGuard;

use crate::agent::PATIENCE;
use crate::connection::{Connection, Transport};
use crate::http;
use crate::journal::{UNANSWERED, What};
use crate::session::{Answer, Session};
use crate::shared::{self, State};

/// State that the handle and the threads share.
pub(super) type Shared = shared::Shared<Session>;

impl shared::Session for Session {
    fn violation(&mut self, text: String) {
        Session::violation(self, text);
    }

    fn stream_ended(&mut self, generation: u64) {
        Session::stream_ended(self, generation);
    }
}

/// Serves the requests of one connection until it ends.
pub(super) fn serve(shared: &Shared, connection: &Connection, transport: Transport) {
    let mut reader = BufReader::new(connection.clone());
    while let Some(request) = shared.read_request(connection, &mut reader) {
        let (mut state, has_waited) = lock_when_responsive(shared);
        if has_waited && !connection.is_open() {
            // A client that gave up may have called again, and that call may have been handled before this
            // one. A real agent handles calls in the order of their arrival.
            return;
        }
        let answer = state.session.answer(&request, transport, connection);
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
            Answer::Stream(generation) => return shared.watch(&mut reader, generation),
            Answer::Reset => return connection.reset(),
        }
    }
}

/// Waits while the script makes the agent hang. True if it did.
fn lock_when_responsive(shared: &Shared) -> (MutexGuard<'_, State<Session>>, bool) {
    let mut state = shared.lock();
    let hangs = state.session.script.hang;
    if hangs {
        let note = What::Note(UNANSWERED.to_owned());
        state.session.journal.record(note);
        shared.changed.notify_all();
    }
    while state.session.script.hang && !state.is_closing {
        state = shared.wait(state, PATIENCE);
    }
    (state, hangs)
}

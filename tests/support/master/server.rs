//! The master's threads: one for each connection, and one for heartbeats. They pass requests to the session and responses
//! back, and decide nothing.

use std::io::BufReader;
use std::sync::PoisonError;
use std::time::Duration;

use cook_mesos::scheduler::EventType;
use cook_test_agent::agent::PATIENCE;
use cook_test_agent::connection::Connection;
use cook_test_agent::http::Request;
use cook_test_agent::shared;

use crate::events;
use crate::session::{Answer, Session};

/// State that the handle and the threads share.
pub(crate) type Shared = shared::Shared<Session>;

impl shared::Session for Session {
    fn violation(&mut self, text: String) {
        Session::violation(self, text);
    }

    fn stream_ended(&mut self, generation: u64) {
        Session::stream_ended(self, generation);
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
        if timeout.timed_out()
            && !state.session.script.is_silent
            && !state.session.script.is_frozen
            && state.session.is_subscribed()
        {
            state.session.send(&events::of_kind(EventType::Heartbeat));
            shared.changed.notify_all();
        }
    }
}

/// Serves the requests of one connection until it ends.
pub(crate) fn serve(shared: &Shared, connection: &Connection, number: u64) {
    let mut reader = BufReader::new(connection.clone());
    while let Some(request) = shared.read_request(connection, &mut reader) {
        let answer = match answer(shared, &request, connection, number) {
            Some(answer) => answer,
            None => return,
        };
        let sent = match answer {
            Answer::Reply(bytes) => connection.send(&bytes),
            Answer::Stream(generation) => return shared.watch(&mut reader, generation),
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
        if state.session.script.is_frozen || !is_released {
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

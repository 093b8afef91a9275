//! The calls of one subscription, one at a time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use cook_http::alarm::Alarm;
use cook_http::client::{Connection, Error, Outgoing};
use smol::channel::{Receiver, Sender, unbounded};
use smol::{LocalExecutor, Task};

use super::connection::{connect_at, leader, read_body, text};
use crate::backend::mesos::framework::Input;
use crate::backend::mesos::session::{Attempt, CallError};

/// The maximum time of a call. A busy master may need half a minute.
const CALL_TIME: Duration = Duration::from_secs(45);

/// The maximum size of all waiting calls: more than a busy cluster needs in a minute.
const MAX_QUEUE: usize = 64 << 20;

/// The calls of one subscription.
#[derive(Debug)]
pub struct Calls {
    queue: Sender<Waiting>,
    load: Rc<Cell<Load>>,
    _task: Task<()>,
}

/// The queue is full. No later call is accepted: it must not overtake the one that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// A call that waits for earlier ones.
#[derive(Debug)]
struct Waiting {
    request: Outgoing,
    size: usize,
}

/// The calls that are not yet accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    bytes: usize,
}

// === impl Calls ===

impl Calls {
    /// Sends calls to this address. The first one that is not accepted is reported and ends it.
    pub fn start(
        attempt: Attempt,
        place: Option<SocketAddr>,
        inbox: Sender<Input>,
        executor: &LocalExecutor<'static>,
    ) -> Self {
        let (queue, waiting) = unbounded();
        let load = Rc::new(Cell::new(Load::default()));
        let work = send_all(attempt, waiting, Rc::clone(&load), place, inbox);
        Self {
            queue,
            load,
            _task: executor.spawn(work),
        }
    }

    /// Sends a call after all earlier ones.
    ///
    /// # Errors
    ///
    /// The queue is full; returned once.
    pub fn push(&self, request: Outgoing, size: usize) -> Result<(), QueueFull> {
        let load = self.load.get();
        if load.bytes.saturating_add(size) > MAX_QUEUE {
            return match self.queue.close() {
                true => Err(QueueFull),
                false => Ok(()),
            };
        }
        self.load.set(Load {
            calls: load.calls + 1,
            bytes: load.bytes + size,
        });
        // Fails only after an error, which is reported.
        let _ = self.queue.try_send(Waiting { request, size });
        Ok(())
    }

    /// The number of calls that are not yet accepted.
    pub fn waiting(&self) -> usize {
        self.load.get().calls
    }
}

/// Sends one call after the other, until one is not accepted.
async fn send_all(
    attempt: Attempt,
    queue: Receiver<Waiting>,
    load: Rc<Cell<Load>>,
    place: Option<SocketAddr>,
    inbox: Sender<Input>,
) {
    let mut idle = None;
    let mut alarm = Alarm::new();
    while let Ok(Waiting { request, size }) = queue.recv().await {
        let sent = alarm.within(CALL_TIME, send(&request, place, &mut idle));
        let error = match sent.await {
            Some(Ok(())) => {
                let Load { calls, bytes } = load.get();
                load.set(Load {
                    calls: calls.saturating_sub(1),
                    bytes: bytes.saturating_sub(size),
                });
                continue;
            }
            Some(Err(error)) => error,
            None => CallError::NoResponse(format!("none within {} s", CALL_TIME.as_secs())),
        };
        // The receiver exists as long as the program.
        let _ = inbox.send(Input::CallFailed(attempt, error)).await;
        return;
    }
}

/// Sends a call on the idle connection, or on a new one if there is none, or if the master has closed it.
async fn send(
    request: &Outgoing,
    place: Option<SocketAddr>,
    idle: &mut Option<Connection>,
) -> Result<(), CallError> {
    let no_response = |error: Error| CallError::NoResponse(error.to_string());
    let mut connection = match (idle.take().filter(Connection::is_idle), place) {
        (Some(connection), _) => connection,
        (None, Some(address)) => connect_at(address)
            .await
            .map_err(|error| no_response(error.into()))?,
        // The subscription has an address.
        (None, None) => return Err(CallError::NoResponse("its address is not known".to_owned())),
    };
    // The master may refuse a request before it has read all of it: the refusal says more than the broken pipe.
    let sent = connection.send(request).await;
    let (head, fields) = match (sent, connection.receive_with_fields().await) {
        (_, Ok(response)) => response,
        (Err(error), Err(_)) | (Ok(()), Err(error)) => return Err(no_response(error)),
    };
    let body = read_body(&mut connection, &head).await;
    match head.status {
        200..=299 => {
            let can_reuse = body.is_ok_and(|answer| answer.can_reuse);
            *idle = can_reuse.then_some(connection);
            Ok(())
        }
        307 => Err(CallError::NotLeading(leader(&fields))),
        status => Err(CallError::Refused(status, text(body))),
    }
}

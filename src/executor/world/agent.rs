//! The two connections to the agent: one for the subscription, whose response never ends, and one for all
//! other calls. Calls are made one at a time, because otherwise their order could change.
//!
//! Nothing is decided here, and there are no timeouts: the core gives up a subscription by ordering a new
//! one, and a call by abandoning it. Dropping a task closes its connection.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use smol::channel::Sender;
use smol::{LocalExecutor, Task};
use tracing::{debug, info, warn};

use crate::core::event::Event;
use crate::core::outbox::{CallAnswer, Serial};
use crate::core::session::{Generation, StreamEnd};
use crate::world::address::Address;
use crate::world::inbox::Incoming;
use crate::world::recognition::Recognition;
use cook_http::client::{self as http, Connection, Error, Outgoing};
use cook_http::head::{Framing, ResponseHead};
use cook_http::message::Method;
use cook_http::task::spawn;
use cook_mesos::recordio;

/// The agent uses protobuf only if both media types are exactly this.
const PROTOBUF: &str = "application/x-protobuf";

/// Maximum size of a response body: agents respond to calls with a sentence.
const MAX_SENTENCE: usize = 4 << 10;

/// The connections to the agent.
pub struct Agent {
    way: Rc<Way>,
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    /// Dropping it ends the subscription.
    subscription: Option<Task<()>>,
    /// Dropping it abandons the call.
    call: Option<Task<()>>,
    /// The connection for calls, while it is not in use.
    idle: Rc<RefCell<Option<Connection>>>,
}

/// The agent to call, and the credentials.
pub struct Target {
    /// The agent's address.
    pub address: Address,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`.
    pub token: Option<String>,
}

/// The target, and the check that the agent still listens there.
struct Way {
    target: Target,
    recognition: Recognition,
}

// === impl Agent ===

impl Agent {
    /// Events and results go to `inbox`.
    pub fn new(
        target: Target,
        executor: Rc<LocalExecutor<'static>>,
        inbox: Sender<Incoming>,
    ) -> Self {
        Self {
            way: Rc::new(Way {
                target,
                recognition: Recognition::default(),
            }),
            executor,
            inbox,
            subscription: None,
            call: None,
            idle: Rc::default(),
        }
    }

    /// Closes the old subscription, and opens a new one with this SUBSCRIBE call.
    pub fn subscribe(&mut self, generation: Generation, call: Vec<u8>) {
        // The old stream must be closed first: agents crashed if they had to close it when the new one
        // arrived (MESOS-7622). After a restart of the agent, the connection for calls is dead as well.
        self.subscription = None;
        self.idle.replace(None);
        let (way, inbox) = (Rc::clone(&self.way), self.inbox.clone());
        let stream = async move {
            let end = match stream_events(&way, call, generation, &inbox).await {
                Ok(end) => end,
                Err(error) => {
                    info!("disconnected: {error}");
                    StreamEnd::Disconnected
                }
            };
            // The receiver lives as long as the runtime.
            let _ = inbox
                .send(Incoming::Event(Event::StreamEnded(generation, end)))
                .await;
        };
        self.subscription = Some(spawn(&self.executor, stream));
    }

    /// Makes a call. Its result comes with the same serial.
    pub fn call(&mut self, serial: Serial, call: Vec<u8>) {
        let (way, inbox) = (Rc::clone(&self.way), self.inbox.clone());
        let idle = Rc::clone(&self.idle);
        let exchange = async move {
            let answer = exchange(&way, call, &idle).await.unwrap_or_else(|error| {
                info!("failed to call the agent: {error}");
                CallAnswer::TryAgain
            });
            // The receiver lives as long as the runtime.
            let _ = inbox
                .send(Incoming::Event(Event::CallAnswered(serial, answer)))
                .await;
        };
        self.call = Some(spawn(&self.executor, exchange));
    }

    /// Abandons the last call and closes its connection.
    pub fn abandon_call(&mut self) {
        self.call = None;
        self.idle.replace(None);
    }
}

/// Subscribes, and reads events until the stream ends.
async fn stream_events(
    way: &Way,
    call: Vec<u8>,
    generation: Generation,
    inbox: &Sender<Incoming>,
) -> Result<StreamEnd, Error> {
    let mut connection = way.connect().await?;
    connection.send(&way.target.request(call)).await?;
    let head = connection.receive().await?;
    if head.status != 200 {
        let answer = read_sentence(&mut connection, &head).await?;
        let sentence = answer.text();
        info!(
            status = head.status,
            "SUBSCRIBE refused: {}",
            sentence.trim()
        );
        return Ok(subscription_end(head.status, &sentence));
    }
    let mut records = recordio::Decoder::default();
    let mut body = connection.body(&head);
    while let Some(mut data) = body.next().await? {
        while let Some(record) = records.next(&mut data).map_err(invalid)? {
            // The receiver lives as long as the runtime.
            let _ = inbox.send(Incoming::Record(generation, record)).await;
        }
    }
    info!("disconnected: the agent ended the event stream");
    Ok(StreamEnd::Disconnected)
}

/// Makes a call on the idle connection, or on a new one if there is none or it is dead.
async fn exchange(
    way: &Way,
    call: Vec<u8>,
    idle: &RefCell<Option<Connection>>,
) -> Result<CallAnswer, Error> {
    let request = way.target.request(call);
    let reused = idle.take();
    if let Some(mut connection) = reused {
        match exchange_on(&mut connection, &request).await {
            Ok((answer, keep)) => {
                idle.replace(Some(connection).filter(|_| keep));
                return Ok(answer);
            }
            Err(error) => debug!("failed to reuse a connection: {error}"),
        }
    }
    let mut connection = way.connect().await?;
    let (answer, keep) = exchange_on(&mut connection, &request).await?;
    idle.replace(Some(connection).filter(|_| keep));
    Ok(answer)
}

/// One request and its response. True if the connection can be used again.
async fn exchange_on(
    connection: &mut Connection,
    request: &Outgoing,
) -> Result<(CallAnswer, bool), Error> {
    connection.send(request).await?;
    let head = connection.receive().await?;
    let response = read_sentence(connection, &head).await?;
    let sentence = response.text();
    let answer = call_answer(head.status, &sentence);
    if answer != CallAnswer::Accepted {
        info!(
            status = head.status,
            "call not accepted: {}",
            sentence.trim()
        );
    }
    Ok((answer, response.can_reuse))
}

/// Reads the sentence in the body of a response.
async fn read_sentence(
    connection: &mut Connection,
    head: &ResponseHead,
) -> Result<http::Answer, Error> {
    // If the end of the body is the end of the connection, do not wait for it: the status is enough.
    let limit = match head.framing {
        Framing::UntilClose => 0,
        Framing::Length(_) | Framing::Chunked => MAX_SENTENCE,
    };
    connection.finish(head, limit).await
}

// === impl Way ===

impl Way {
    /// Connects to the agent, and makes sure that it is the agent.
    async fn connect(&self) -> io::Result<Connection> {
        let check = |address| self.recognition.check_listener(address);
        let connection = Connection::new(self.target.address.connect(check)?);
        connection.established().await?;
        self.recognition.check_connection(connection.socket())?;
        Ok(connection)
    }
}

// === impl Target ===

impl Target {
    /// The HTTP request for a call.
    fn request(&self, call: Vec<u8>) -> Outgoing {
        let request = Outgoing::new(Method::Post, self.address.url())
            .with_body(PROTOBUF, call)
            .with_field("accept", PROTOBUF)
            .with_field("connection", "keep-alive");
        match &self.token {
            Some(token) => request.with_field("authorization", format!("Bearer {token}")),
            None => request,
        }
    }
}

/// The meaning of an error response to SUBSCRIBE (`src/slave/http.cpp`, `executor`).
fn subscription_end(status: u16, sentence: &str) -> StreamEnd {
    match status {
        404 | 500 | 503 => StreamEnd::NotReady,
        400 if sentence.contains("cannot be found") => StreamEnd::Unknown,
        401 | 403 => {
            warn!("the agent does not accept this executor's authentication token");
            StreamEnd::Refused
        }
        _ => StreamEnd::Refused,
    }
}

/// The meaning of the response to another call (the same function).
fn call_answer(status: u16, sentence: &str) -> CallAnswer {
    match status {
        200..=299 => CallAnswer::Accepted,
        400 if sentence.contains("cannot be found") => CallAnswer::NotSubscribed,
        // "Executor is not subscribed", or an invalid token: the next subscription will show which.
        401 | 403 => CallAnswer::NotSubscribed,
        400 | 405 | 406 | 415 | 501 => CallAnswer::Refused,
        _ => CallAnswer::TryAgain,
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_response_of_the_agent_has_its_meaning() {
        let unknown = "Framework cannot be found";
        for (status, sentence, end, answer) in [
            (404, "", StreamEnd::NotReady, CallAnswer::TryAgain),
            (
                503,
                "Agent has not finished recovery",
                StreamEnd::NotReady,
                CallAnswer::TryAgain,
            ),
            (
                500,
                "discarded future",
                StreamEnd::NotReady,
                CallAnswer::TryAgain,
            ),
            (400, unknown, StreamEnd::Unknown, CallAnswer::NotSubscribed),
            (
                400,
                "Expecting 'uuid' to be present",
                StreamEnd::Refused,
                CallAnswer::Refused,
            ),
            (401, "", StreamEnd::Refused, CallAnswer::NotSubscribed),
            (
                403,
                "Executor is not subscribed",
                StreamEnd::Refused,
                CallAnswer::NotSubscribed,
            ),
            (415, "", StreamEnd::Refused, CallAnswer::Refused),
            (307, "", StreamEnd::Refused, CallAnswer::TryAgain),
        ] {
            assert_eq!(
                subscription_end(status, sentence),
                end,
                "{status} {sentence}"
            );
            assert_eq!(call_answer(status, sentence), answer, "{status} {sentence}");
        }
        assert_eq!(call_answer(202, ""), CallAnswer::Accepted);
    }
}

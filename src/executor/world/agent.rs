//! The two connections to the agent: one for the subscription, whose response never ends, and one for
//! all other calls, one at a time, since only that keeps their order.
//!
//! It decides nothing and waits for as long as the agent lets it: the core gives up on a subscription
//! by asking for a new one, and on a call by abandoning it. Dropping a task closes its socket.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use smol::channel::Sender;
use smol::future::FutureExt;
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
use cook_mesos::recordio;

/// The agent reads and writes protobuf only if it is asked for exactly this.
const PROTOBUF: &str = "application/x-protobuf";

/// What is read of the body of a response: agents answer a call with a sentence.
const MAX_SENTENCE: usize = 4 << 10;

/// The agent, as far as it is to be reached.
pub struct Agent {
    way: Rc<Way>,
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    /// Held to keep the subscription; replaced by the next one.
    subscription: Option<Task<()>>,
    /// Held to keep waiting for the answer to the last call.
    call: Option<Task<()>>,
    /// The connection for calls, while no call uses it.
    idle: Rc<RefCell<Option<Connection>>>,
}

/// Where to call, and as whom.
pub struct Target {
    /// Where the agent listens.
    pub address: Address,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`.
    pub token: Option<String>,
}

/// The target, and whether it is still the agent.
struct Way {
    target: Target,
    recognition: Recognition,
}

// === impl Agent ===

impl Agent {
    /// What the agent says goes to `inbox`.
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

    /// Closes the older subscription and opens a new one with this SUBSCRIBE call.
    pub fn subscribe(&mut self, generation: Generation, call: Vec<u8>) {
        // An agent that closes the older stream only when the new one comes has been seen to crash
        // (MESOS-7622); and after a restart the connection for calls is dead as well.
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
            // The receiver lives as long as the runtime does.
            let _ = inbox
                .send(Incoming::Event(Event::StreamEnded(generation, end)))
                .await;
        };
        self.subscription = Some(self.executor.spawn(stream.boxed_local()));
    }

    /// Makes one call; its answer comes with the same serial.
    pub fn call(&mut self, serial: Serial, call: Vec<u8>) {
        let (way, inbox) = (Rc::clone(&self.way), self.inbox.clone());
        let idle = Rc::clone(&self.idle);
        let exchange = async move {
            let answer = exchange(&way, call, &idle).await.unwrap_or_else(|error| {
                info!("failed to call the agent: {error}");
                CallAnswer::TryAgain
            });
            // The receiver lives as long as the runtime does.
            let _ = inbox
                .send(Incoming::Event(Event::CallAnswered(serial, answer)))
                .await;
        };
        self.call = Some(self.executor.spawn(exchange.boxed_local()));
    }

    /// Closes the connection of the last call.
    pub fn abandon_call(&mut self) {
        self.call = None;
        self.idle.replace(None);
    }
}

/// Subscribes, and reads events until there are no more.
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
            // The receiver lives as long as the runtime does.
            let _ = inbox.send(Incoming::Record(generation, record)).await;
        }
    }
    info!("disconnected: the agent ended the event stream");
    Ok(StreamEnd::Disconnected)
}

/// Makes one call on the idle connection, or on a new one if there is none or it has gone stale.
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

/// One request and its response; true if the connection can be used again.
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

/// Reads what an agent has to say beside its status.
async fn read_sentence(
    connection: &mut Connection,
    head: &ResponseHead,
) -> Result<http::Answer, Error> {
    // An agent that says neither how long it is nor closes is not waited for: its status is enough.
    let limit = match head.framing {
        Framing::UntilClose => 0,
        Framing::Length(_) | Framing::Chunked => MAX_SENTENCE,
    };
    connection.finish(head, limit).await
}

// === impl Way ===

impl Way {
    /// A connection to the agent, and to nobody else.
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
    /// The whole request of one call.
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

/// What a refused SUBSCRIBE means (`src/slave/http.cpp`, `executor`).
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

/// What the answer to another call means (the same function).
fn call_answer(status: u16, sentence: &str) -> CallAnswer {
    match status {
        200..=299 => CallAnswer::Accepted,
        400 if sentence.contains("cannot be found") => CallAnswer::NotSubscribed,
        // "Executor is not subscribed", or a token that is not valid (any more): a subscription will
        // say which.
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
    fn every_answer_of_the_agent_has_its_meaning() {
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

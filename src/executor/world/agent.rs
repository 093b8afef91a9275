//! The two connections to the agent: one for the subscription, whose response never ends, and one for
//! all other calls, one at a time, since only that keeps their order.
//!
//! It decides nothing and waits for as long as the agent lets it: the core gives up on a subscription
//! by asking for a new one, and on a call by abandoning it. Dropping a task closes its socket.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use http_types::{Method, Request, Url};
use smol::channel::Sender;
use smol::io::AsyncWriteExt;
use smol::{LocalExecutor, Task};
use tracing::{debug, info, warn};

use crate::core::event::Event;
use crate::core::outbox::{Answer, Serial};
use crate::core::session::{Generation, StreamEnd};
use crate::world::address::{Address, Socket};
use crate::world::inbox::Incoming;
use cook_http::body::{Chunked, Piece};
use cook_http::h1;
use cook_http::head::{Framing, ResponseHead, Scanner};
use cook_http::stream::read_some;
use cook_mesos::recordio;

/// The agent reads and writes protobuf only if it is asked for exactly this.
const PROTOBUF: &str = "application/x-protobuf";

/// What is read of the body of a response: agents answer a call with a sentence.
const MAX_SENTENCE: usize = 4 << 10;

/// The agent, as far as it is to be reached.
pub struct Agent {
    target: Rc<Target>,
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    /// Held to keep the subscription; replaced by the next one.
    subscription: Option<Task<()>>,
    /// Held to keep waiting for the answer to the last call.
    call: Option<Task<()>>,
    /// The connection for calls, while no call uses it.
    idle: Rc<RefCell<Option<Socket>>>,
}

/// Where to call, and as whom.
pub struct Target {
    /// Where the agent listens.
    pub address: Address,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`.
    pub token: Option<String>,
}

/// A response up to its body.
struct Response {
    head: ResponseHead,
    /// What came with the head and belongs to the body.
    rest: Vec<u8>,
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
            target: Rc::new(target),
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
        let (target, inbox) = (Rc::clone(&self.target), self.inbox.clone());
        self.subscription = Some(self.executor.spawn(async move {
            let end = match stream_events(&target, &call, generation, &inbox).await {
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
        }));
    }

    /// Makes one call; its answer comes with the same serial.
    pub fn call(&mut self, serial: Serial, call: Vec<u8>) {
        let (target, inbox) = (Rc::clone(&self.target), self.inbox.clone());
        let idle = Rc::clone(&self.idle);
        self.call = Some(self.executor.spawn(async move {
            let answer = exchange(&target, &call, &idle)
                .await
                .unwrap_or_else(|error| {
                    info!("failed to call the agent: {error}");
                    Answer::TryAgain
                });
            // The receiver lives as long as the runtime does.
            let _ = inbox
                .send(Incoming::Event(Event::CallAnswered(serial, answer)))
                .await;
        }));
    }

    /// Closes the connection of the last call.
    pub fn abandon_call(&mut self) {
        self.call = None;
        self.idle.replace(None);
    }
}

/// Subscribes, and reads events until there are no more.
async fn stream_events(
    target: &Target,
    call: &[u8],
    generation: Generation,
    inbox: &Sender<Incoming>,
) -> io::Result<StreamEnd> {
    let mut socket = target.address.connect()?;
    socket.write_all(&target.request(call)?).await?;
    let Response { head, rest } = read_head(&mut socket).await?;
    if head.status != 200 {
        let (sentence, _) = read_sentence(&mut socket, head, rest).await?;
        info!(
            status = head.status,
            "SUBSCRIBE refused: {}",
            sentence.trim()
        );
        return Ok(subscription_end(head.status, &sentence));
    }
    let mut body = EventBody::new(head.framing);
    let mut buffer = rest;
    loop {
        if !body.read(&buffer, generation, inbox).await? {
            info!("disconnected: the agent ended the event stream");
            return Ok(StreamEnd::Disconnected);
        }
        buffer = Vec::new();
        if read_some(&socket, &mut buffer).await? == 0 {
            info!("disconnected: the agent closed the connection");
            return Ok(StreamEnd::Disconnected);
        }
    }
}

/// Makes one call on the idle connection, or on a new one if there is none or it has gone stale.
async fn exchange(
    target: &Target,
    call: &[u8],
    idle: &RefCell<Option<Socket>>,
) -> io::Result<Answer> {
    let request = target.request(call)?;
    let reused = idle.take();
    if let Some(mut socket) = reused {
        match exchange_on(&mut socket, &request).await {
            Ok((answer, keep)) => {
                idle.replace(Some(socket).filter(|_| keep));
                return Ok(answer);
            }
            Err(error) => debug!("failed to reuse a connection: {error}"),
        }
    }
    let mut socket = target.address.connect()?;
    let (answer, keep) = exchange_on(&mut socket, &request).await?;
    idle.replace(Some(socket).filter(|_| keep));
    Ok(answer)
}

/// One request and its response; true if the connection can be used again.
async fn exchange_on(socket: &mut Socket, request: &[u8]) -> io::Result<(Answer, bool)> {
    socket.write_all(request).await?;
    let Response { head, rest } = read_head(socket).await?;
    let (sentence, is_whole) = read_sentence(socket, head, rest).await?;
    let answer = call_answer(head.status, &sentence);
    if answer != Answer::Accepted {
        info!(
            status = head.status,
            "call not accepted: {}",
            sentence.trim()
        );
    }
    Ok((answer, is_whole && !head.close))
}

/// Reads the head of the final response.
async fn read_head(socket: &mut Socket) -> io::Result<Response> {
    let mut buffer = Vec::new();
    let mut scanner = Scanner::default();
    loop {
        match scanner.end(&buffer).map_err(invalid)? {
            Some(end) => {
                let head = ResponseHead::parse(&buffer[..end]).map_err(invalid)?;
                buffer.drain(..end);
                if head.status >= 200 {
                    return Ok(Response { head, rest: buffer });
                }
                scanner = Scanner::default();
            }
            None => read_more(socket, &mut buffer).await?,
        }
    }
}

/// Reads a short body as text; false if it was not read to its end.
async fn read_sentence(
    socket: &mut Socket,
    head: ResponseHead,
    mut rest: Vec<u8>,
) -> io::Result<(String, bool)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match head.framing {
        Framing::Length(length) => {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            while rest.len() < wanted.min(MAX_SENTENCE) {
                read_more(socket, &mut rest).await?;
            }
            Ok((text(&rest), rest.len() == wanted))
        }
        Framing::Chunked => {
            let mut chunked = Chunked::default();
            let mut sentence = Vec::new();
            loop {
                let mut input = &rest[..];
                loop {
                    match chunked.next(&mut input).map_err(invalid)? {
                        Piece::Data(data) => sentence.extend_from_slice(data),
                        Piece::NeedMore => break,
                        Piece::Finished => return Ok((text(&sentence), input.is_empty())),
                    }
                }
                if sentence.len() > MAX_SENTENCE {
                    return Ok((text(&sentence), false));
                }
                rest.clear();
                read_more(socket, &mut rest).await?;
            }
        }
        // Nothing more will come than what the agent has said by closing; its status is enough.
        Framing::UntilClose => Ok((text(&rest), false)),
    }
}

async fn read_more(socket: &mut Socket, buffer: &mut Vec<u8>) -> io::Result<()> {
    match read_some(socket, buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// From the bytes of the response's body to records.
struct EventBody {
    framing: Framing,
    chunked: Chunked,
    records: recordio::Decoder,
}

// === impl EventBody ===

impl EventBody {
    fn new(framing: Framing) -> Self {
        Self {
            framing,
            chunked: Chunked::default(),
            records: recordio::Decoder::default(),
        }
    }

    /// Sends every record that `bytes` completes; false if the body is over.
    async fn read(
        &mut self,
        bytes: &[u8],
        generation: Generation,
        inbox: &Sender<Incoming>,
    ) -> io::Result<bool> {
        let mut input = bytes;
        match self.framing {
            Framing::Chunked => loop {
                match self.chunked.next(&mut input).map_err(invalid)? {
                    Piece::Data(data) => self.send_records(data, generation, inbox).await?,
                    Piece::NeedMore => return Ok(true),
                    Piece::Finished => return Ok(false),
                }
            },
            // No agent answers so; but the records would be the same.
            Framing::Length(_) | Framing::UntilClose => {
                self.send_records(input, generation, inbox).await?;
                Ok(true)
            }
        }
    }

    async fn send_records(
        &mut self,
        mut data: &[u8],
        generation: Generation,
        inbox: &Sender<Incoming>,
    ) -> io::Result<()> {
        while let Some(record) = self.records.next(&mut data).map_err(invalid)? {
            // The receiver lives as long as the runtime does.
            let _ = inbox.send(Incoming::Record(generation, record)).await;
        }
        Ok(())
    }
}

// === impl Target ===

impl Target {
    /// The whole request of one call.
    fn request(&self, call: &[u8]) -> io::Result<Vec<u8>> {
        let url = Url::parse(&self.address.url()).map_err(invalid)?;
        let mut request = Request::new(Method::Post, url);
        request.set_body(call);
        request.insert_header("content-type", PROTOBUF);
        request.insert_header("accept", PROTOBUF);
        request.insert_header("connection", "keep-alive");
        if let Some(token) = &self.token {
            request.insert_header("authorization", format!("Bearer {token}"));
        }
        Ok(h1::encode_request(request))
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
fn call_answer(status: u16, sentence: &str) -> Answer {
    match status {
        200..=299 => Answer::Accepted,
        400 if sentence.contains("cannot be found") => Answer::NotSubscribed,
        // "Executor is not subscribed", or a token that is not valid (any more): a subscription will
        // say which.
        401 | 403 => Answer::NotSubscribed,
        400 | 405 | 406 | 415 | 501 => Answer::Refused,
        _ => Answer::TryAgain,
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
            (404, "", StreamEnd::NotReady, Answer::TryAgain),
            (
                503,
                "Agent has not finished recovery",
                StreamEnd::NotReady,
                Answer::TryAgain,
            ),
            (
                500,
                "discarded future",
                StreamEnd::NotReady,
                Answer::TryAgain,
            ),
            (400, unknown, StreamEnd::Unknown, Answer::NotSubscribed),
            (
                400,
                "Expecting 'uuid' to be present",
                StreamEnd::Refused,
                Answer::Refused,
            ),
            (401, "", StreamEnd::Refused, Answer::NotSubscribed),
            (
                403,
                "Executor is not subscribed",
                StreamEnd::Refused,
                Answer::NotSubscribed,
            ),
            (415, "", StreamEnd::Refused, Answer::Refused),
            (307, "", StreamEnd::Refused, Answer::TryAgain),
        ] {
            assert_eq!(
                subscription_end(status, sentence),
                end,
                "{status} {sentence}"
            );
            assert_eq!(call_answer(status, sentence), answer, "{status} {sentence}");
        }
        assert_eq!(call_answer(202, ""), Answer::Accepted);
    }
}

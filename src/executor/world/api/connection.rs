//! One connection: requests off it one after the other, and an answer to each.
//!
//! Whatever comes is bounded in size and in time, and gives the other connections their turn. A request
//! that cannot be framed is answered and ends the connection, since nobody knows where the next one
//! begins; any other is answered and the connection goes on.

use std::cell::OnceCell;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use http_types::{Method, Response, StatusCode};
use smol::channel::{Sender, bounded};
use smol::future::yield_now;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::seats::Seat;
use crate::codec::api::refusal::Refusal;
use crate::codec::api::request::{self, Asked};
use crate::codec::api::response;
use crate::core::request::{Reply, Request};
use crate::words::units::TaskId;
use cook_http::alarm::Alarm;
use cook_http::body::{ChunkError, Chunked, Piece};
use cook_http::h1::{self, Message};
use cook_http::head::{Framing, HeadError, RequestHead, Scanner};
use cook_http::stream::read_some;

/// Longer bodies are refused. A message is cut to some hundred characters, and an environment that is
/// much larger than this could not be given to a command (execve(2): 128 KiB for one variable).
const MAX_BODY: usize = 256 << 10;

/// How much of a refused request is read and thrown away, so that the client gets to see the answer
/// (unread bytes make the kernel reset the connection).
const MAX_DRAIN: usize = 1 << 20;

/// The interim response to `Expect: 100-continue`.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long a client may take, and how many may come; tests are less patient.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// From the end of the head to the end of the body.
    pub body: Duration,
    /// Until a client takes its answer.
    pub answer: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// From the last answer until the client hangs up.
    pub linger: Duration,
    /// Connections at once.
    pub connections: usize,
}

/// A request for the core, with the way back for its answer.
#[derive(Debug)]
pub struct Incoming {
    /// What is asked.
    pub request: Request,
    /// Takes one reply. Dropping it without one is answered with 503.
    pub reply: Sender<Reply>,
}

/// What all connections share.
pub(super) struct Context {
    /// The task, once there is one.
    pub(super) task: Rc<OnceCell<TaskId>>,
    /// Where requests for the core go.
    pub(super) inbox: Sender<Incoming>,
    /// How patient to be.
    pub(super) limits: Limits,
}

/// One connection.
pub(super) struct Connection {
    stream: Async<TcpStream>,
    seat: Seat,
    context: Rc<Context>,
    /// What was read and not used; it begins where the next request begins.
    buffer: Vec<u8>,
}

/// How the exchange of one request and its answer ended.
enum Ending {
    /// The next request may come.
    KeepAlive,
    /// No further request is answered.
    Close,
    /// The client is gone.
    Gone,
}

/// Why there is no request.
enum Fault {
    /// The client is gone.
    Gone,
    /// It cannot be framed, or takes too long.
    Refused(Refusal),
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The client is on the same host: ten seconds is a stopped process, not a slow one.
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            linger: Duration::from_secs(1),
            // Far below the usual limit of 1024 descriptors, which commands and the agent need too.
            connections: 64,
        }
    }
}

// === impl Fault ===

impl Fault {
    fn refused(status: StatusCode, text: &'static str) -> Self {
        Self::Refused(Refusal::new(status, text))
    }

    fn too_large() -> Self {
        Self::refused(
            StatusCode::PayloadTooLarge,
            "a body of more than 262144 bytes is not read",
        )
    }
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Self {
        Self::Refused(Refusal::failed(error.status(), error.text()))
    }
}

impl From<ChunkError> for Fault {
    fn from(error: ChunkError) -> Self {
        Self::Refused(Refusal::failed(StatusCode::BadRequest, error.text()))
    }
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(stream: Async<TcpStream>, seat: Seat, context: Rc<Context>) -> Self {
        Self {
            stream,
            seat,
            context,
            buffer: Vec::new(),
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let mut alarm = Alarm::new();
        loop {
            if self.buffer.is_empty() && !self.wait(&mut alarm).await {
                return;
            }
            match self.exchange(&mut alarm).await {
                Ending::KeepAlive => {}
                Ending::Close => return drain(&self.stream, self.context.limits.linger).await,
                Ending::Gone => return,
            }
            // A client with many requests in the pipeline is not to hold up the others.
            yield_now().await;
        }
    }

    /// Waits for the next request while holding as little memory as possible; false if none comes.
    async fn wait(&mut self, alarm: &mut Alarm) -> bool {
        self.buffer = Vec::new();
        self.seat.idle();
        let filled = alarm.within(self.context.limits.idle, self.fill()).await;
        self.seat.busy();
        matches!(filled, Some(Ok(())))
    }

    /// One request and its answer.
    async fn exchange(&mut self, alarm: &mut Alarm) -> Ending {
        let (method, mut response, close) = match self.receive(alarm).await {
            Ok((message, close)) => {
                let (response, answered) = self.consult(&message).await;
                (message.method, response, close || !answered)
            }
            Err(Fault::Refused(refusal)) => (None, response::refusal(&refusal), true),
            Err(Fault::Gone) => return Ending::Gone,
        };
        let status = response.status();
        let known = status != StatusCode::NotFound;
        let name = method.as_ref().map_or("other", AsRef::as_ref);
        tracing::debug!(method = name, known, status = status as u16, "answered");
        if close {
            response.insert_header("connection", "close");
        }
        let bytes = h1::encode(response, method.unwrap_or(Method::Get));
        let limit = self.context.limits.answer;
        match alarm.within(limit, self.write(&bytes)).await {
            Some(Ok(())) if close => Ending::Close,
            Some(Ok(())) => Ending::KeepAlive,
            Some(Err(_)) | None => Ending::Gone,
        }
    }

    /// Finds the answer; false if there is none to be had, which ends the connection.
    async fn consult(&self, message: &Message) -> (Response, bool) {
        let task = self.context.task.get();
        let request = match request::read(message.method, &message.path, &message.body, task) {
            Ok(Asked::Core(request)) => request,
            Ok(Asked::Methods) => return (response::methods(), true),
            Err(refusal) => return (response::refusal(&refusal), true),
        };
        let (reply, answer) = bounded(1);
        let incoming = Incoming { request, reply };
        if self.context.inbox.send(incoming).await.is_ok()
            && let Ok(reply) = answer.recv().await
        {
            return (response::reply(&reply), true);
        }
        let refusal = Refusal::new(
            StatusCode::ServiceUnavailable,
            "the executor is about to end and takes no requests any more",
        );
        (response::refusal(&refusal), false)
    }

    /// Reads one request off the connection, and whether it is the last one.
    async fn receive(&mut self, alarm: &mut Alarm) -> Result<(Message, bool), Fault> {
        let limits = self.context.limits;
        let late = |text| Fault::refused(StatusCode::RequestTimeout, text);
        let head = alarm
            .within(limits.head, self.read_head())
            .await
            .ok_or_else(|| late("the head of the request did not come in time"))??;
        let body = alarm
            .within(limits.body, self.read_body(&head))
            .await
            .ok_or_else(|| late("the body of the request did not come in time"))??;
        let message = h1::decode(&head, body).ok_or_else(|| {
            Fault::refused(StatusCode::BadRequest, "the request target is not a path")
        })?;
        Ok((message, head.close))
    }

    async fn read_head(&mut self) -> Result<RequestHead, Fault> {
        let mut scanner = Scanner::default();
        loop {
            if let Some(length) = scanner.end(&self.buffer)? {
                let head = RequestHead::parse(&self.buffer[..length])?;
                self.buffer.drain(..length);
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn read_body(&mut self, head: &RequestHead) -> Result<Vec<u8>, Fault> {
        let length = match head.framing {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= MAX_BODY => Some(length),
                _ => return Err(Fault::too_large()),
            },
            Framing::Chunked => None,
            // No request is framed so.
            Framing::UntilClose => Some(0),
        };
        // Whoever sends the body without waiting needs no asking.
        if head.expects_continue && length != Some(0) && self.buffer.is_empty() {
            self.write(CONTINUE).await?;
        }
        match length {
            Some(length) => self.read_sized(length).await,
            None => self.read_chunked().await,
        }
    }

    async fn read_sized(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn read_chunked(&mut self) -> Result<Vec<u8>, Fault> {
        let mut decoder = Chunked::default();
        let mut body = Vec::new();
        loop {
            let mut rest = self.buffer.as_slice();
            let finished = loop {
                match decoder.next(&mut rest)? {
                    Piece::Data(data) if body.len() + data.len() > MAX_BODY => {
                        return Err(Fault::too_large());
                    }
                    Piece::Data(data) => body.extend_from_slice(data),
                    Piece::NeedMore => break false,
                    Piece::Finished => break true,
                }
            };
            let used = self.buffer.len() - rest.len();
            self.buffer.drain(..used);
            if finished {
                return Ok(body);
            }
            self.fill().await?;
        }
    }

    /// Reads what there is, after everybody else had a turn: a client that sends without a pause
    /// would never have to wait here, and nobody else would get to run.
    async fn fill(&mut self) -> Result<(), Fault> {
        yield_now().await;
        match read_some(&self.stream, &mut self.buffer).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Fault::Gone),
        }
    }

    /// Writes all at once, so that an answer is one packet.
    async fn write(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut stream = &self.stream;
        stream.write_all(bytes).await.map_err(|_| Fault::Gone)
    }
}

/// Ends a connection so that the client gets to see the last answer.
pub(super) async fn drain(stream: &Async<TcpStream>, limit: Duration) {
    // It fails only if the client is gone, which the first read will find too.
    let _ = stream.get_ref().shutdown(Shutdown::Write);
    let drained = async {
        let mut stream = stream;
        let mut buffer = [0; 512];
        let mut drained = 0;
        while drained < MAX_DRAIN {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => drained += length,
                Ok(_) | Err(_) => return,
            }
            yield_now().await;
        }
    };
    Alarm::new().within(limit, drained).await;
}

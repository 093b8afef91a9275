//! One connection: reads its requests one after the other and answers each.
//!
//! Everything that a client sends is limited in size and time, and other connections have their turns
//! meanwhile. After a request that cannot be parsed, the connection is closed, because nobody knows where
//! the next request begins. After any other error it continues.

use std::rc::Rc;
use std::time::Duration;

use smol::future::{or, yield_now};
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::memory::{Lease, Pool};
use super::slots::Slot;
use super::{Handler, Limits};
use crate::alarm::Alarm;
use crate::body::{ChunkError, Chunked, Piece};
use crate::head::{Fields, Framing, HeadError, RequestHead, Scanner};
use crate::message::{Head, Method, Request, Response, StatusCode};
use crate::socket::{Peer, READ_SIZE, Socket, end_writing, read_some};

/// Maximum number of bytes that are read and dropped after a refusal, so that the client can read the
/// response. (The kernel resets a connection that is closed with unread bytes.)
const MAX_DRAIN: usize = 1 << 20;

/// The lowest speed, in bytes per second, that a client may read a response in memory with. The time for
/// its size is added to `Limits::answer_time`.
const SLOWEST: usize = 64 << 10;

/// How much of a body that is read while it is sent is in memory at a time.
const PART: usize = 16 << 10;

/// The interim response to `Expect: 100-continue`.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What all connections share.
pub(super) struct Context<H> {
    pub(super) handler: Rc<H>,
    pub(super) limits: Limits,
    /// Memory for large bodies.
    pub(super) pool: Pool,
}

/// One connection.
pub(super) struct Connection<H: Handler> {
    socket: Socket,
    peer: Peer,
    caller: H::Caller,
    slot: Slot,
    context: Rc<Context<H>>,
    /// Bytes that were received and not yet used, from the beginning of the next request. At most as many
    /// as one head and one read.
    buffer: Vec<u8>,
}

/// How the exchange of one request and its response ended.
enum Ending {
    /// The connection continues.
    KeepAlive,
    /// The connection ends after this response.
    Close,
    /// The client has disconnected.
    Gone,
}

/// Why there is no complete request.
enum Fault {
    /// The client has disconnected.
    Gone,
    /// The request is malformed, too large or too late.
    Refused(StatusCode, String),
    /// The handler refused it before its body was read.
    Screened(Option<Method>, Response),
}

/// A request that was read.
struct Received {
    request: Request,
    method: Option<Method>,
    is_last: bool,
    /// The part of the memory pool that its body takes.
    lease: Option<Lease>,
}

// === impl Fault ===

impl Fault {
    fn late(what: &str) -> Self {
        let text = format!("the {what} of the request did not arrive in time");
        Self::Refused(StatusCode::RequestTimeout, text)
    }

    fn too_large(limit: usize) -> Self {
        let text = format!("the body has more than {limit} bytes");
        Self::Refused(StatusCode::PayloadTooLarge, text)
    }
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Self {
        Self::Refused(error.status(), error.to_string())
    }
}

impl From<ChunkError> for Fault {
    fn from(error: ChunkError) -> Self {
        Self::Refused(StatusCode::BadRequest, error.to_string())
    }
}

// === impl Connection ===

impl<H: Handler> Connection<H> {
    pub(super) fn new(
        socket: Socket,
        (peer, caller): (Peer, H::Caller),
        slot: Slot,
        context: Rc<Context<H>>,
    ) -> Self {
        Self {
            socket,
            peer,
            caller,
            slot,
            context,
            buffer: Vec::new(),
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(mut self) {
        let mut alarm = Alarm::new();
        loop {
            if self.buffer.is_empty() && !self.wait(&mut alarm).await {
                return;
            }
            match self.exchange(&mut alarm).await {
                Ending::KeepAlive => {}
                Ending::Close => {
                    return drain(&self.socket, self.context.limits.linger_time).await;
                }
                Ending::Gone => return,
            }
            // A client with many pipelined requests must not delay the others.
            yield_now().await;
        }
    }

    /// Waits for the next request with as little memory as possible; false if none comes.
    async fn wait(&mut self, alarm: &mut Alarm) -> bool {
        self.buffer = Vec::new();
        self.slot.idle();
        let idle_time = self.context.limits.idle_time;
        let filled = alarm.within(idle_time, self.fill()).await;
        self.slot.busy();
        matches!(filled, Some(Ok(())))
    }

    /// Reads one request and answers it.
    async fn exchange(&mut self, alarm: &mut Alarm) -> Ending {
        let context = Rc::clone(&self.context);
        let handler = &context.handler;
        let (method, mut response) = match self.receive(alarm).await {
            Ok(received) => {
                let mut response = handler.answer(&self.caller, received.request).await;
                response.ends_connection |= received.is_last;
                drop(received.lease);
                (received.method, response)
            }
            Err(Fault::Screened(method, response)) => (method, response),
            Err(Fault::Refused(status, text)) => {
                (None, handler.refuse(status, text).ending_connection())
            }
            Err(Fault::Gone) => return Ending::Gone,
        };
        // Bytes that the client sends after such a request would be kept as long as the stream lasts.
        response.ends_connection |= response.is_live();
        let ends_connection = response.ends_connection;
        match self.send(response, method, alarm).await {
            true if ends_connection => Ending::Close,
            true => Ending::KeepAlive,
            false => Ending::Gone,
        }
    }

    /// Reads one request.
    async fn receive(&mut self, alarm: &mut Alarm) -> Result<Received, Fault> {
        let limits = self.context.limits;
        let (parsed, fields) = alarm
            .within(limits.head_time, self.read_head())
            .await
            .ok_or_else(|| Fault::late("head"))??;
        let head = Head::new(&parsed, fields, self.peer).ok_or_else(|| {
            Fault::Refused(
                StatusCode::BadRequest,
                "the request target is not a path".to_owned(),
            )
        })?;
        let method = head.method;
        if let Err(response) = self.context.handler.screen(&self.caller, &head) {
            let has_body = parsed.framing != Framing::Length(0);
            let response = match parsed.close || has_body {
                true => response.ending_connection(),
                false => response,
            };
            return Err(Fault::Screened(method, response));
        }
        let lease = alarm
            .within(limits.body_time, self.room(&parsed))
            .await
            .ok_or_else(|| {
                Fault::Refused(
                    StatusCode::ServiceUnavailable,
                    "too many large requests at the same time".to_owned(),
                )
            })??;
        let body = alarm
            .within(limits.body_time, self.read_body(&parsed, lease))
            .await
            .ok_or_else(|| Fault::late("body"))??;
        let (body, lease) = body;
        Ok(Received {
            request: Request { head, body },
            method,
            is_last: parsed.close,
            lease,
        })
    }

    async fn read_head(&mut self) -> Result<(RequestHead, Fields), Fault> {
        let limits = self.context.limits;
        let mut scanner = Scanner::new(limits.head);
        loop {
            if let Some(length) = scanner.end(&self.buffer)? {
                let rest = self.buffer.split_off(length);
                let bytes = std::mem::replace(&mut self.buffer, rest);
                let head = RequestHead::parse(&bytes, limits.target)?;
                return Ok((head, Fields::new(bytes)));
            }
            self.fill().await?;
        }
    }

    /// Waits for memory, if the body has a known length and is larger than the connection's own share.
    async fn room(&self, head: &RequestHead) -> Result<Option<Lease>, Fault> {
        let limits = self.context.limits;
        match head.framing {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length > limits.body => Err(Fault::too_large(limits.body)),
                Err(_) => Err(Fault::too_large(limits.body)),
                Ok(length) if length <= self.share() => Ok(None),
                Ok(length) => Ok(Some(self.context.pool.take(length).await)),
            },
            // Memory is taken when more than the own share has arrived.
            Framing::Chunked | Framing::UntilClose => Ok(None),
        }
    }

    /// How much memory the connection always has for a body.
    fn share(&self) -> usize {
        self.context.limits.head.min(self.context.limits.body)
    }

    async fn read_body(
        &mut self,
        head: &RequestHead,
        lease: Option<Lease>,
    ) -> Result<(Vec<u8>, Option<Lease>), Fault> {
        // No need to ask a client that already sends the body.
        if head.expects_continue && head.framing != Framing::Length(0) && self.buffer.is_empty() {
            self.write(CONTINUE).await?;
        }
        match head.framing {
            Framing::Length(length) => {
                // The length is within the limit, which is a usize.
                let length = usize::try_from(length).unwrap_or_default();
                Ok((self.read_sized(length).await?, lease))
            }
            Framing::Chunked => self.read_chunked().await,
            // A request is never framed this way.
            Framing::UntilClose => Ok((Vec::new(), lease)),
        }
    }

    async fn read_sized(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::with_capacity(length);
        loop {
            let here = self.buffer.len().min(length - body.len());
            body.extend(self.buffer.drain(..here));
            if body.len() == length {
                return Ok(body);
            }
            self.fill().await?;
        }
    }

    async fn read_chunked(&mut self) -> Result<(Vec<u8>, Option<Lease>), Fault> {
        let (limit, share) = (self.context.limits.body, self.share());
        let mut decoder = Chunked::default();
        let mut body = Vec::new();
        let mut lease = None;
        loop {
            let mut rest = self.buffer.as_slice();
            let is_finished = loop {
                match decoder.next(&mut rest)? {
                    Piece::Data(data) if body.len() + data.len() > limit => {
                        return Err(Fault::too_large(limit));
                    }
                    Piece::Data(data) => {
                        if lease.is_none() && body.len() + data.len() > share {
                            // Takes memory for the largest possible body at once, so that it never has to
                            // wait for more.
                            lease = Some(self.context.pool.take(limit).await);
                        }
                        reserve(&mut body, data.len(), limit);
                        body.extend_from_slice(data);
                    }
                    Piece::NeedMore => break false,
                    Piece::Finished => break true,
                }
            };
            let used = self.buffer.len() - rest.len();
            self.buffer.drain(..used);
            if is_finished {
                return Ok((body, lease));
            }
            self.fill().await?;
        }
    }

    /// Sends a response; false if the client did not read it in time.
    async fn send(
        &mut self,
        response: Response,
        method: Option<Method>,
        alarm: &mut Alarm,
    ) -> bool {
        let limit = self.context.limits.answer_time;
        let method = method.unwrap_or(Method::Get);
        if response.is_whole() {
            let size = response.memory();
            // A client that requests much and reads nothing delays the next large body.
            let _lease = (size > self.share()).then(|| self.context.pool.take_now(size));
            let bytes = response.encode(method);
            let limit = limit + Duration::from_secs((size / SLOWEST) as u64);
            return matches!(alarm.within(limit, self.write(&bytes)).await, Some(Ok(())));
        }
        if !H::STREAMS {
            return false;
        }
        let is_live = response.is_live();
        let (socket, buffer) = (&self.socket, &mut self.buffer);
        let mut encoder = response.stream(method);
        let parts = async {
            let mut part = vec![0; PART];
            loop {
                let length = match encoder.read(&mut part).await {
                    Ok(0) => return true,
                    Ok(length) => length,
                    // The connection is closed, so that the client can see that the body is incomplete.
                    Err(_) => return false,
                };
                let mut stream = socket;
                let sent = alarm.within(limit, stream.write_all(&part[..length])).await;
                if !matches!(sent, Some(Ok(()))) {
                    return false;
                }
                yield_now().await;
            }
        };
        let hung_up = async {
            // A client that reads a stream sends nothing more. One that reads a file may pipeline requests,
            // or may have shut down its side.
            while is_live && buffer.len() < READ_SIZE {
                if !matches!(read_some(socket, buffer).await, Ok(1..)) {
                    return false;
                }
            }
            std::future::pending().await
        };
        or(parts, hung_up).await
    }

    /// Reads what has arrived, after the other tasks had a turn. Without that, a client that sends without
    /// a pause would let nobody else run.
    async fn fill(&mut self) -> Result<(), Fault> {
        yield_now().await;
        match read_some(&self.socket, &mut self.buffer).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Fault::Gone),
        }
    }

    /// Writes everything at once, so that a response is one packet.
    async fn write(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut socket = &self.socket;
        socket.write_all(bytes).await.map_err(|_| Fault::Gone)
    }
}

/// Makes room for `more` bytes as a vector does, but never for more than `limit` in total.
fn reserve(body: &mut Vec<u8>, more: usize, limit: usize) {
    let wanted = body.len() + more;
    if wanted > body.capacity() {
        let size = (body.capacity() * 2).clamp(wanted, limit.max(wanted));
        body.reserve_exact(size - body.len());
    }
}

/// Closes a connection in a way that lets the client read the last response.
pub(super) async fn drain(socket: &Socket, limit: Duration) {
    end_writing(socket);
    let drained = async {
        let mut stream = socket;
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

//! One connection: requests off it one after the other, and an answer to each.
//!
//! Whatever comes is bounded in size and in time, and gives the other connections their turn. A request
//! that cannot be framed is answered and ends the connection, since nobody knows where the next one
//! begins; any other is answered and the connection goes on.

use std::rc::Rc;
use std::time::Duration;

use smol::future::{or, yield_now};
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::memory::{Lease, Pool};
use super::seats::Seat;
use super::{Handler, Limits};
use crate::alarm::Alarm;
use crate::body::{ChunkError, Chunked, Piece};
use crate::head::{Fields, Framing, HeadError, RequestHead, Scanner};
use crate::message::{Head, Method, Request, Response, StatusCode};
use crate::socket::{Peer, READ_SIZE, Socket, end_writing, read_some};

/// How much of a refused request is read and thrown away, so that the client gets to see the answer
/// (unread bytes make the kernel reset the connection).
const MAX_DRAIN: usize = 1 << 20;

/// The slowest that a client may take an answer that is in memory, beyond the time that each has.
const SLOWEST: usize = 64 << 10;

/// How much of a body that is read while it is sent is in memory at once.
const PART: usize = 16 << 10;

/// The interim response to `Expect: 100-continue`.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What all connections share.
pub(super) struct Context<H> {
    pub(super) handler: Rc<H>,
    pub(super) limits: Limits,
    /// For bodies.
    pub(super) pool: Pool,
}

/// One connection.
pub(super) struct Connection<H: Handler> {
    socket: Socket,
    peer: Peer,
    guest: H::Guest,
    seat: Seat,
    context: Rc<Context<H>>,
    /// What was read and not used; it begins where the next request begins. It never has more than a head
    /// may have and one read.
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
    Refused(StatusCode, String),
    /// The handler does not want its body.
    Screened(Option<Method>, Response),
}

/// A request off the connection.
struct Received {
    request: Request,
    method: Option<Method>,
    is_last: bool,
    /// What its body takes of the pool.
    lease: Option<Lease>,
}

// === impl Fault ===

impl Fault {
    fn late(what: &str) -> Self {
        let text = format!("the {what} of the request did not come in time");
        Self::Refused(StatusCode::RequestTimeout, text)
    }

    fn too_large(limit: usize) -> Self {
        let text = format!("a body of more than {limit} bytes is not read");
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
        (peer, guest): (Peer, H::Guest),
        seat: Seat,
        context: Rc<Context<H>>,
    ) -> Self {
        Self {
            socket,
            peer,
            guest,
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
                Ending::Close => {
                    return drain(&self.socket, self.context.limits.linger_time).await;
                }
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
        let idle_time = self.context.limits.idle_time;
        let filled = alarm.within(idle_time, self.fill()).await;
        self.seat.busy();
        matches!(filled, Some(Ok(())))
    }

    /// One request and its answer.
    async fn exchange(&mut self, alarm: &mut Alarm) -> Ending {
        let context = Rc::clone(&self.context);
        let handler = &context.handler;
        let (method, mut response) = match self.receive(alarm).await {
            Ok(received) => {
                let mut response = handler.answer(&self.guest, received.request).await;
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
        // Bytes that follow a stream's request would be kept for hours.
        response.ends_connection |= response.is_live();
        let ends_connection = response.ends_connection;
        match self.send(response, method, alarm).await {
            true if ends_connection => Ending::Close,
            true => Ending::KeepAlive,
            false => Ending::Gone,
        }
    }

    /// Reads one request off the connection.
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
        if let Err(response) = self.context.handler.screen(&self.guest, &head) {
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
                    "there are too many large requests at once".to_owned(),
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

    /// Waits for room for a body of known length that does not fit into the connection's own share.
    async fn room(&self, head: &RequestHead) -> Result<Option<Lease>, Fault> {
        let limits = self.context.limits;
        match head.framing {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length > limits.body => Err(Fault::too_large(limits.body)),
                Err(_) => Err(Fault::too_large(limits.body)),
                Ok(length) if length <= self.share() => Ok(None),
                Ok(length) => Ok(Some(self.context.pool.take(length).await)),
            },
            // Taken when it has become so large.
            Framing::Chunked | Framing::UntilClose => Ok(None),
        }
    }

    /// What the connection may hold without asking.
    fn share(&self) -> usize {
        self.context.limits.head.min(self.context.limits.body)
    }

    async fn read_body(
        &mut self,
        head: &RequestHead,
        lease: Option<Lease>,
    ) -> Result<(Vec<u8>, Option<Lease>), Fault> {
        // Whoever sends the body without waiting needs no asking.
        if head.expects_continue && head.framing != Framing::Length(0) && self.buffer.is_empty() {
            self.write(CONTINUE).await?;
        }
        match head.framing {
            Framing::Length(length) => {
                // It is within the limit, which is a usize.
                let length = usize::try_from(length).unwrap_or_default();
                Ok((self.read_sized(length).await?, lease))
            }
            Framing::Chunked => self.read_chunked().await,
            // No request is framed so.
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
                            // All that it can become, so that it never has to ask again.
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

    /// Sends a response; false if the client did not take it.
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
            // Who asks for much and takes nothing makes the next body wait.
            let _lease = (size > self.share()).then(|| self.context.pool.owe(size));
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
                    // The client has to see that it is cut off.
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
            // A client of a stream has nothing more to say; that of a file may have, or have ended its side.
            while is_live && buffer.len() < READ_SIZE {
                if !matches!(read_some(socket, buffer).await, Ok(1..)) {
                    return false;
                }
            }
            std::future::pending().await
        };
        or(parts, hung_up).await
    }

    /// Reads what there is, after everybody else had a turn: a client that sends without a pause
    /// would never have to wait here, and nobody else would get to run.
    async fn fill(&mut self) -> Result<(), Fault> {
        yield_now().await;
        match read_some(&self.socket, &mut self.buffer).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Fault::Gone),
        }
    }

    /// Writes all at once, so that an answer is one packet.
    async fn write(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut socket = &self.socket;
        socket.write_all(bytes).await.map_err(|_| Fault::Gone)
    }
}

/// Makes room for `more` bytes, as a vector does, but never for more than `limit` in all.
fn reserve(body: &mut Vec<u8>, more: usize, limit: usize) {
    let wanted = body.len() + more;
    if wanted > body.capacity() {
        let size = (body.capacity() * 2).clamp(wanted, limit.max(wanted));
        body.reserve_exact(size - body.len());
    }
}

/// Ends a connection so that the client gets to see the last answer.
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

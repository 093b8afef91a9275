//! A client: requests over one connection, one after the other. A response can be read as a whole, or in
//! pieces as they arrive.
//!
//! There are no timeouts here. A caller that does not want to wait any longer drops the future and with it
//! the connection (see [`super::alarm`]).
//!
//! ```no_run
//! use cook_http::client::{Connection, Error, Outgoing};
//! use cook_http::message::Method;
//! use cook_http::socket;
//!
//! async fn whole() -> Result<(), Error> {
//!     let mut connection = Connection::new(socket::connect_tcp(([127, 0, 0, 1], 8080).into())?);
//!     let request = Outgoing::new(Method::Get, "http://127.0.0.1:8080/status");
//!     let answer = connection.exchange(&request, 64 << 10).await?;
//!     println!("{} {}", answer.status, answer.text());
//!     // The connection can be used again if `answer.can_reuse`.
//!     Ok(())
//! }
//!
//! async fn stream() -> Result<(), Error> {
//!     let mut connection = Connection::new(socket::connect_unix("agent.sock".as_ref())?);
//!     let request = Outgoing::new(Method::Post, "http://0.0.0.0:0/slave(1)/api/v1/executor")
//!         .with_field("accept", "application/x-protobuf")
//!         .with_body("application/x-protobuf", b"...".to_vec());
//!     connection.send(&request).await?;
//!     let head = connection.receive().await?;
//!     let mut body = connection.body(&head);
//!     while let Some(piece) = body.next().await? {
//!         println!("{} bytes", piece.len());
//!     }
//!     Ok(())
//! }
//! ```

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use smol::io::AsyncWriteExt;

use super::body::{ChunkError, Chunked, Piece};
use super::error::HeadError;
use super::fields::Fields;
use super::head::{self, Framing, MAX_HEAD, ResponseHead, Scanner};
use super::message::{Method, encode_request};
use super::socket::{Socket, read_some};

/// Maximum number of interim responses (1xx) before the final one.
const MAX_INTERIM: usize = 8;

/// A request to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    method: Method,
    url: String,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// Bytes that were received and not yet used.
    buffer: Vec<u8>,
}

/// The body of a response that is being read.
#[derive(Debug)]
pub struct Body<'a> {
    connection: &'a mut Connection,
    /// How many bytes at the front of the buffer the caller has already got.
    used: usize,
    left: Left,
}

/// How much of the body is still to come.
#[derive(Debug)]
enum Left {
    Bytes(u64),
    Chunks(Chunked),
    UntilClose,
    Nothing,
}

/// A response, with its body up to the limit of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, or its beginning if it is longer than the limit.
    pub body: Vec<u8>,
    /// Whether `body` is complete.
    pub is_whole: bool,
    /// Whether the next request may use the same connection.
    pub can_reuse: bool,
}

/// Why a response could not be read to its end.
#[derive(Debug)]
pub enum Error {
    /// The connection is broken.
    Connection(io::Error),
    /// The server closed the connection before the response was complete.
    Closed,
    /// The address is not a URL.
    Url,
    /// The head of the response is malformed.
    Head(HeadError),
    /// The body of the response is malformed.
    Body(ChunkError),
}

// === impl Outgoing ===

impl Outgoing {
    /// A request without a body. The `Host` field and the target are taken from `url`. The caller connects;
    /// no name is looked up here.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header field. A character of `value` that is not printable ASCII is sent as `?`.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a body.
    #[must_use]
    pub fn with_body(self, content_type: impl Into<String>, body: Vec<u8>) -> Self {
        let typed = self.with_field("content-type", content_type);
        Self { body, ..typed }
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let method = self.method;
        encode_request(method, &self.url, &self.fields, &self.body).ok_or(Error::Url)
    }
}

// === impl Connection ===

impl Connection {
    /// Speaks HTTP over a socket.
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    /// The socket, for example to find out who is at its other end.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the connection is open and nothing has arrived, as far as this host knows. Do not send a request
    /// on a connection that the server has already closed: nobody would know whether it arrived.
    pub fn is_idle(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = rustix::net::recv(self.socket.get_ref(), &mut [0_u8; 1], flags);
        self.buffer.is_empty() && peeked.is_err_and(|error| error == Errno::WOULDBLOCK)
    }

    /// Waits until the connection is established. Sends nothing.
    ///
    /// # Errors
    ///
    /// The connection could not be established.
    pub async fn established(&self) -> io::Result<()> {
        self.socket.writable().await?;
        match rustix::net::sockopt::socket_error(self.socket.get_ref())? {
            Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request and reads the response, with at most `limit` bytes of its body.
    ///
    /// # Errors
    ///
    /// There is no complete response. The connection must not be used again.
    pub async fn exchange(&mut self, request: &Outgoing, limit: usize) -> Result<Answer, Error> {
        let bytes = request.encode()?;
        let sent = self.socket.write_all(&bytes).await;
        // A server may refuse a request before it has read all of it. Its response says more than the
        // broken pipe.
        let head = match (sent, self.receive().await) {
            (_, Ok(head)) => head,
            (Ok(()), Err(error)) => return Err(error),
            (Err(error), Err(_)) => return Err(error.into()),
        };
        self.finish(&head, limit).await
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// The request is not valid, or could not be sent.
    pub async fn send(&mut self, request: &Outgoing) -> Result<(), Error> {
        let bytes = request.encode()?;
        Ok(self.socket.write_all(&bytes).await?)
    }

    /// Reads the head of the response, and skips interim ones.
    ///
    /// # Errors
    ///
    /// The head is malformed, or the connection ended.
    pub async fn receive(&mut self) -> Result<ResponseHead, Error> {
        let (head, _) = self.receive_whole().await?;
        Ok(head)
    }

    /// Reads the head of the response like [`Self::receive`], and also returns its fields.
    ///
    /// # Errors
    ///
    /// See [`Self::receive`].
    pub async fn receive_with_fields(&mut self) -> Result<(ResponseHead, Fields), Error> {
        let (head, bytes) = self.receive_whole().await?;
        Ok((head, Fields::new(bytes)))
    }

    /// Reads the status of the response, after any interim responses, and nothing else: for callers that only want to
    /// know whether a server works. Line ends and fields, which matter only to callers that read on, are not checked.
    ///
    /// # Errors
    ///
    /// The status line is malformed, or the connection ended.
    pub async fn status(&mut self) -> Result<u16, Error> {
        let mut line = 0;
        let mut is_interim = false;
        loop {
            let rest = &self.buffer[line..];
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                if self.buffer.len() >= MAX_HEAD {
                    return Err(Error::Head(HeadError::TooLong(MAX_HEAD)));
                }
                if self.fill().await? == 0 {
                    return Err(Error::Closed);
                }
                continue;
            };
            let text = rest[..length].trim_ascii_end();
            line += length + 1;
            // Empty lines may also precede a head (RFC 9112, 2.2).
            if text.is_empty() {
                is_interim = false;
            } else if !is_interim {
                let (_, status) = head::status_line(text)?;
                if status >= 200 {
                    return Ok(status);
                }
                is_interim = true;
            }
        }
    }

    /// Reads the body that follows `head` in pieces.
    pub fn body(&mut self, head: &ResponseHead) -> Body<'_> {
        Body {
            connection: self,
            used: 0,
            left: match head.framing {
                Framing::Length(0) => Left::Nothing,
                Framing::Length(length) => Left::Bytes(length),
                Framing::Chunked => Left::Chunks(Chunked::default()),
                Framing::UntilClose => Left::UntilClose,
            },
        }
    }

    /// Reads the body that follows `head`, but at most `limit` bytes of it.
    ///
    /// # Errors
    ///
    /// The connection ended, or the body is malformed.
    pub async fn finish(&mut self, head: &ResponseHead, limit: usize) -> Result<Answer, Error> {
        let mut bytes = Vec::new();
        let mut body = self.body(head);
        let mut is_whole = false;
        while bytes.len() < limit || body.is_over() {
            match body.next().await? {
                Some(piece) => {
                    let wanted = piece.len().min(limit - bytes.len());
                    bytes.extend_from_slice(&piece[..wanted]);
                    if wanted < piece.len() {
                        break;
                    }
                }
                None => {
                    is_whole = true;
                    break;
                }
            }
        }
        let ends = head.close || head.framing == Framing::UntilClose;
        Ok(Answer {
            status: head.status,
            body: bytes,
            is_whole,
            can_reuse: is_whole && !ends && self.buffer.is_empty(),
        })
    }

    /// The head of the response, after any interim ones, and its bytes.
    async fn receive_whole(&mut self) -> Result<(ResponseHead, Vec<u8>), Error> {
        for _ in 0..=MAX_INTERIM {
            let bytes = self.read_head().await?;
            let head = ResponseHead::parse(&bytes)?;
            if head.status >= 200 {
                return Ok((head, bytes));
            }
        }
        Err(Error::Head(HeadError::FirstLine))
    }

    async fn read_head(&mut self) -> Result<Vec<u8>, Error> {
        let mut scanner = Scanner::default();
        loop {
            if let Some(end) = scanner.end(&self.buffer)? {
                let rest = self.buffer.split_off(end);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if self.fill().await? == 0 {
                return Err(Error::Closed);
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        read_some(&self.socket, &mut self.buffer).await
    }
}

// === impl Body ===

impl Body<'_> {
    /// The next bytes of the body as soon as there are any; `None` at its end.
    ///
    /// # Errors
    ///
    /// The connection ended, or the body is malformed.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        loop {
            let buffer = &self.connection.buffer;
            let mut rest = &buffer[self.used..];
            let piece = self.left.next(&mut rest)?;
            // `rest` is the end of the buffer, so its length says where it begins.
            let end = buffer.len() - rest.len();
            match piece {
                Piece::Data(data) => {
                    let start = end - data.len();
                    self.used = end;
                    return Ok(Some(&self.connection.buffer[start..end]));
                }
                Piece::Finished => {
                    self.used = 0;
                    self.left = Left::Nothing;
                    self.connection.buffer.drain(..end);
                    return Ok(None);
                }
                Piece::NeedMore => {
                    self.used = 0;
                    // A stream may be silent for hours; do not hold memory meanwhile.
                    self.connection.buffer = Vec::new();
                    if self.connection.fill().await? == 0 {
                        match self.left {
                            Left::UntilClose => self.left = Left::Nothing,
                            Left::Bytes(_) | Left::Chunks(_) | Left::Nothing => {
                                return Err(Error::Closed);
                            }
                        }
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }
}

// === impl Left ===

impl Left {
    fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, ChunkError> {
        match self {
            Self::Nothing => Ok(Piece::Finished),
            Self::Chunks(chunks) => chunks.next(input),
            Self::Bytes(_) | Self::UntilClose if input.is_empty() => Ok(Piece::NeedMore),
            Self::UntilClose => Ok(Piece::Data(std::mem::take(input))),
            Self::Bytes(missing) => {
                let here = usize::try_from(*missing).map_or(input.len(), |it| it.min(input.len()));
                let (data, rest) = input.split_at(here);
                *input = rest;
                *missing -= here as u64;
                if *missing == 0 {
                    *self = Self::Nothing;
                }
                Ok(Piece::Data(data))
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The body as text. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

// === impl Error ===

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<ChunkError> for Error {
    fn from(error: ChunkError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Closed => {
                f.write_str("the connection was closed before the response was complete")
            }
            Self::Url => f.write_str("the address is not a URL"),
            Self::Head(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

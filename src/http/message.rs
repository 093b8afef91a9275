//! Requests and responses as programs handle them, and their encoding.
//!
//! This module is the only user of async-h1 and http-types, and uses them only to write responses. Reading
//! is done by `head`, `fields` and `body`, because the readers of async-h1 panic on a header value that is
//! not ASCII, start threads for an `Expect`, and can wait for ever.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::task::{Context, Poll, Waker};

use async_h1::server;
pub use http_types::{Method, StatusCode};
use smol::io::{AsyncBufRead, AsyncRead, AsyncReadExt};

use super::fields::Fields;
use super::head::RequestHead;
use super::live::{Live, Pieces};
use super::socket::Peer;
use super::target;

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Head {
    /// `None` for a method that http-types does not know.
    pub method: Option<Method>,
    /// The path of the target, still percent-encoded; `.` and `..` are resolved.
    pub path: String,
    /// The part of the target after `?`, still percent-encoded.
    pub query: Option<String>,
    /// All fields, as they were sent.
    pub fields: Fields,
    /// The client's end of the connection.
    pub peer: Peer,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Everything but the body.
    pub head: Head,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A response, built step by step.
///
/// ```
/// use cook_http::message::{Response, StatusCode};
///
/// let response = Response::new(StatusCode::Ok)
///     .with_field("cache-control", "no-store")
///     .with_body("application/json", b"{}\n".to_vec());
/// assert_eq!(response.status(), StatusCode::Ok);
/// ```
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    fields: Vec<(&'static str, String)>,
    body: Body,
    pub(super) ends_connection: bool,
}

/// The body of a response.
pub(super) enum Body {
    /// In memory.
    Whole(Vec<u8>),
    /// Read while it is sent; sent in chunks if the length is not known.
    Read(Reader, Option<u64>),
    /// Sent as long as the program sends pieces and the client stays connected.
    Live(Live),
}

type Reader = Box<dyn AsyncBufRead + Unpin + Send + Sync>;

// === impl Head ===

impl Head {
    /// Makes a `Head` of a parsed head; `None` if the target is neither a path nor a URL.
    pub fn new(head: &RequestHead, fields: Fields, peer: Peer) -> Option<Self> {
        let (path, query) = target::path_and_query(&head.target)?;
        Some(Self {
            method: Method::from_str(&head.method).ok(),
            path,
            query,
            fields,
            peer,
        })
    }
}

// === impl Response ===

impl Response {
    /// A response without fields and body.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: Body::Whole(Vec::new()),
            ends_connection: false,
        }
    }

    /// Adds a header field. A character of `value` that is not printable ASCII is sent as `?`, so that a
    /// value can neither end its field nor begin another one.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, printable(value.into())));
        self
    }

    /// Adds a body that is in memory.
    #[must_use]
    pub fn with_body(self, content_type: impl Into<String>, body: Vec<u8>) -> Self {
        self.with(content_type, Body::Whole(body))
    }

    /// Adds a body that is read while it is sent, for example a file. If its length is not known, it is
    /// sent in chunks.
    #[must_use]
    pub fn with_reader(
        self,
        content_type: impl Into<String>,
        reader: impl AsyncBufRead + Unpin + Send + Sync + 'static,
        length: Option<u64>,
    ) -> Self {
        self.with(content_type, Body::Read(Box::new(reader), length))
    }

    /// Adds a body that continues as long as the other half of [`super::live::channel`] sends and the
    /// client stays connected: a stream of events. A client that shuts down its side of the connection
    /// counts as disconnected.
    #[must_use]
    pub fn with_stream(self, content_type: impl Into<String>, stream: Live) -> Self {
        self.with(content_type, Body::Live(stream))
    }

    /// Closes the connection after this response.
    #[must_use]
    pub fn ending_connection(mut self) -> Self {
        self.ends_connection = true;
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn with(self, content_type: impl Into<String>, body: Body) -> Self {
        let typed = self.with_field("content-type", content_type);
        Self { body, ..typed }
    }

    /// How many bytes of memory the body takes.
    pub(super) fn memory(&self) -> usize {
        match &self.body {
            Body::Whole(bytes) => bytes.len(),
            Body::Read(..) | Body::Live(_) => 0,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.body, Body::Whole(_))
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.body, Body::Live(_))
    }

    /// Encodes the response to a request with this method. A body that is not in memory is left out.
    pub fn encode(self, method: Method) -> Vec<u8> {
        let (mut response, body) = self.split();
        let body = match body {
            Body::Whole(bytes) => bytes,
            Body::Read(..) | Body::Live(_) => Vec::new(),
        };
        if !body.is_empty() {
            let length = Some(body.len());
            response.set_body(http_types::Body::from_reader(smol::io::empty(), length));
        }
        // The encoder writes the head alone, as for HEAD. It would copy a large body in small pieces.
        let mut bytes = read_whole(server::Encoder::new(response, Method::Head));
        if method != Method::Head {
            bytes.reserve_exact(body.len());
            bytes.extend_from_slice(&body);
        }
        bytes
    }

    /// A reader of the encoded response, for a body that is not in memory.
    pub(super) fn stream(self, method: Method) -> server::Encoder {
        let (mut response, body) = self.split();
        response.set_body(match body {
            Body::Whole(bytes) => http_types::Body::from_bytes(bytes),
            Body::Read(reader, length) => {
                let length = length.and_then(|length| usize::try_from(length).ok());
                http_types::Body::from_reader(reader, length)
            }
            Body::Live(stream) => http_types::Body::from_reader(Pieces::new(stream), None),
        });
        server::Encoder::new(response, method)
    }

    fn split(self) -> (http_types::Response, Body) {
        let mut response = http_types::Response::new(self.status);
        for (name, value) in self.fields {
            // Both are ASCII; otherwise http-types would panic.
            response.append_header(name, value);
        }
        if self.ends_connection {
            response.insert_header("connection", "close");
        }
        (response, self.body)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Read(..) => "Read",
            Self::Live(_) => "Live",
        })
    }
}

/// Replaces what must not stand in a header field.
fn printable(value: String) -> String {
    let is_printable = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
    if value.chars().all(is_printable) {
        return value;
    }
    let kept = |c: char| if is_printable(c) { c } else { '?' };
    value.chars().map(kept).collect()
}

/// Encodes a client's request; `None` if `url` is not an http URL.
pub(super) fn encode_request(
    method: Method,
    url: &str,
    fields: &[(&'static str, String)],
    body: &[u8],
) -> Option<Vec<u8>> {
    let (authority, target) = target::authority_and_target(url)?;
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {authority}\r\n");
    for (name, value) in fields {
        text.extend([name, ": ", &printable(value.clone()), "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    Some(bytes)
}

/// Empty if the message cannot be encoded, which cannot happen with a body in memory.
fn read_whole(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    match at_once(encoder.read_to_end(&mut bytes)) {
        Some(Ok(_)) => bytes,
        Some(Err(_)) | None => Vec::new(),
    }
}

/// The output of a future that has everything in memory: it is ready at the first poll, or never.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Framing, MAX_TARGET};

    fn head(method: &str, target: &str) -> Option<Head> {
        let head = RequestHead {
            method: method.into(),
            target: target.into(),
            framing: Framing::Length(0),
            expects_continue: true,
            close: false,
        };
        Head::new(&head, Fields::default(), Peer::Unknown)
    }

    #[test]
    fn a_target_has_a_path_and_a_query() {
        let head = head("PATCH", "/task/a%2Fb/./x/..?c=d%20?e#f").expect("a path");
        assert_eq!(head.method, Some(Method::Patch));
        assert_eq!(head.path, "/task/a%2Fb/");
        assert_eq!(head.query.as_deref(), Some("c=d%20?e"));
    }

    #[test]
    fn a_method_without_a_name_and_every_form_of_target_have_a_path() {
        let path = |method, target| head(method, target).map(|it| it.path);
        assert_eq!(path("BREW", "/task/a?b"), Some("/task/a".into()));
        assert_eq!(path("GET", "http://a:1/task/a"), Some("/task/a".into()));
        assert_eq!(path("GET", "HTTPS://a"), Some("/".into()));
        assert_eq!(path("BREW", "http://a/task/b"), Some("/task/b".into()));
        assert_eq!(path("GET", "http://[/b"), Some("/b".into()));
        assert_eq!(path("GET", "http://b@.K%9f/c"), Some("/c".into()));
        for none in [
            "*",
            "a:1",
            "a:1/b",
            "ftp://a/b",
            "http:a",
            "http://a?b",
            "http",
        ] {
            for method in ["OPTIONS", "CONNECT", "BREW"] {
                assert_eq!(path(method, none), None, "{method} {none}");
            }
        }
        let longest = "/".repeat(MAX_TARGET);
        assert_eq!(path("BASELINE-CONTROL", &longest), Some(longest.clone()));
    }

    #[test]
    fn no_target_of_one_or_two_characters_causes_a_panic() {
        let visible = || (b'!'..=b'~').map(char::from);
        for first in visible() {
            for second in visible() {
                for target in [
                    format!("/{first}{second}"),
                    format!("http://{first}{second}"),
                ] {
                    let _ = head("GET", &target);
                }
            }
        }
    }

    #[test]
    fn a_response_is_encoded_with_its_length_and_for_head_without_its_body() {
        let text = |method| {
            let response = Response::new(StatusCode::Ok).with_body("text/plain", b"hello".to_vec());
            String::from_utf8(response.encode(method)).expect("ASCII")
        };
        assert!(text(Method::Get).starts_with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"));
        assert!(text(Method::Get).contains("\r\ncontent-type: text/plain\r\n"));
        assert!(text(Method::Get).ends_with("\r\n\r\nhello"));
        assert!(text(Method::Head).contains("content-length: 5\r\n"));
        assert!(text(Method::Head).ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_value_can_neither_end_its_field_nor_add_another() {
        let response = Response::new(StatusCode::NoContent)
            .with_field("x", "a\r\nSet-Cookie: b\0\u{e4}")
            .with_field("x", "c");
        let text = String::from_utf8(response.encode(Method::Get)).expect("ASCII");
        assert!(
            text.contains("\r\nx: a??Set-Cookie: b??\r\nx: c\r\n"),
            "{text}"
        );
    }

    #[test]
    fn a_request_is_encoded_for_its_url() {
        let fields = [("accept", "a\nb".to_owned())];
        let bytes = encode_request(Method::Post, "http://127.0.0.1:5051/a/b?c", &fields, b"hi");
        let text = String::from_utf8(bytes.expect("a URL")).expect("ASCII");
        assert!(
            text.starts_with("POST /a/b?c HTTP/1.1\r\nhost: 127.0.0.1:5051\r\naccept: a?b\r\n")
        );
        assert!(text.contains("\r\ncontent-length: 2\r\n") && text.ends_with("\r\n\r\nhi"));
        assert!(encode_request(Method::Get, "nonsense", &[], b"").is_none());
    }
}

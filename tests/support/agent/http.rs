//! The server side of HTTP/1.1, as far as an agent needs it: requests with a plain or chunked body, short
//! responses, and chunks of an endless one.
//!
//! It is stricter than a public server should be, because its only client is under test: it reports
//! everything that a careful client would not send.

use std::fmt;
use std::io::{self, BufRead, Read};

/// Maximum length of a line in a head.
const MAX_LINE: u64 = 16 << 10;

/// Maximum number of headers in a request.
const MAX_HEADERS: usize = 100;

/// Maximum length of a body: far more than any status update.
const MAX_BODY: u64 = 64 << 20;

/// The head of the response to SUBSCRIBE.
pub const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A complete request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// The request target, as sent.
    pub target: String,
    /// Names in lower case, values without blanks around them.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer encoding.
    pub body: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub enum ReadError {
    /// The connection failed.
    Broken(io::Error),
    /// The request is not what a careful client would send.
    Malformed(String),
}

// === impl ReadError ===

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(_) => f.write_str("connection broken"),
            Self::Malformed(what) => write!(f, "malformed request: {what}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Malformed(_) => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

fn malformed(what: impl Into<String>) -> ReadError {
    ReadError::Malformed(what.into())
}

// === impl Request ===

impl Request {
    /// Reads the next request; `None` if the client has closed the connection between two requests.
    ///
    /// # Errors
    ///
    /// The connection failed, or the request is malformed.
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Self>, ReadError> {
        let Some(line) = read_line(reader)? else {
            return Ok(None);
        };
        let (method, target) = parse_request_line(&line)?;
        let mut headers = Vec::new();
        loop {
            let line = read_line(reader)?.ok_or_else(|| malformed("it ends in its head"))?;
            if line.is_empty() {
                break;
            }
            if headers.len() == MAX_HEADERS {
                return Err(malformed("it has too many headers"));
            }
            headers.push(parse_header(&line)?);
        }
        let mut request = Self {
            method,
            target,
            headers,
            body: Vec::new(),
        };
        request.check_head()?;
        request.body = request.read_body(reader)?;
        Ok(Some(request))
    }

    /// The value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn check_head(&self) -> Result<(), ReadError> {
        for name in ["host", "content-length", "content-type", "authorization"] {
            if self.headers.iter().filter(|(n, _)| n == name).count() > 1 {
                return Err(malformed(format!("the header {name} occurs twice")));
            }
        }
        if self.header("host").is_none() {
            return Err(malformed("HTTP/1.1 needs a Host header"));
        }
        // The agent supports neither of them as a client expects.
        for name in ["expect", "accept-encoding"] {
            if self.header(name).is_some() {
                return Err(malformed(format!("it must not have the header {name}")));
            }
        }
        Ok(())
    }

    fn read_body(&self, reader: &mut impl BufRead) -> Result<Vec<u8>, ReadError> {
        match (
            self.header("transfer-encoding"),
            self.header("content-length"),
        ) {
            (Some(_), Some(_)) => Err(malformed("it has a length and an encoding")),
            (Some("chunked"), None) => read_chunks(reader),
            (Some(other), None) => Err(malformed(format!("unknown transfer encoding {other}"))),
            (None, Some(length)) => {
                let length = length
                    .parse()
                    .map_err(|_| malformed(format!("bad length {length:?}")))?;
                read_exactly(reader, length)
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// Reads a line without its `\r\n`; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> Result<Option<String>, ReadError> {
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = line
        .strip_suffix(b"\r\n")
        .ok_or_else(|| malformed("a line is cut, too long or without a carriage return"))?;
    String::from_utf8(text.to_vec())
        .map(Some)
        .map_err(|_| malformed("a line is not text"))
}

fn parse_request_line(line: &str) -> Result<(String, String), ReadError> {
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some("HTTP/1.1"), None) if target.starts_with('/') => {
            Ok((method.to_owned(), target.to_owned()))
        }
        _ => Err(malformed(format!("bad request line {line:?}"))),
    }
}

fn parse_header(line: &str) -> Result<(String, String), ReadError> {
    match line.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t']) => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(malformed(format!("bad header {line:?}"))),
    }
}

fn read_exactly(reader: &mut impl BufRead, length: u64) -> Result<Vec<u8>, ReadError> {
    if length > MAX_BODY {
        return Err(malformed("its body is too long"));
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body)?;
    match body.len() as u64 == length {
        true => Ok(body),
        false => Err(malformed("it ends in its body")),
    }
}

fn read_chunks(reader: &mut impl BufRead) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or_else(|| malformed("it ends in its body"))?;
        let length = u64::from_str_radix(&line, 16)
            .map_err(|_| malformed(format!("bad chunk length {line:?}")))?;
        body.extend(read_exactly(reader, length)?);
        if body.len() as u64 > MAX_BODY {
            return Err(malformed("its body is too long"));
        }
        if read_line(reader)?.is_none_or(|line| !line.is_empty()) {
            return Err(malformed("a chunk does not end where it should"));
        }
        if length == 0 {
            return Ok(body);
        }
    }
}

/// A short response that keeps the connection open.
pub fn reply(status: u16, text: &str) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        415 => "Unsupported Media Type",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    };
    let length = text.len();
    format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\n\r\n{text}").into_bytes()
}

/// One chunk of a chunked body. Empty bytes give no chunk, because that would end the body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Request>, ReadError> {
        Request::read(&mut text.as_bytes())
    }

    #[test]
    fn requests_are_read_one_after_another() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
                    POST /b HTTP/1.1\r\nHOST:y\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nde\r\n1\r\nf\r\n0\r\n\r\n";
        let mut reader = text.as_bytes();
        let first = Request::read(&mut reader).unwrap().unwrap();
        assert_eq!(
            (first.target.as_str(), first.body.as_slice()),
            ("/a", &b"abc"[..])
        );
        let second = Request::read(&mut reader).unwrap().unwrap();
        assert_eq!(second.header("host"), Some("y"));
        assert_eq!(second.body, b"def");
        assert!(Request::read(&mut reader).unwrap().is_none());
    }

    #[test]
    fn requests_that_a_careful_client_does_not_send_are_refused() {
        for wrong in [
            "POST /a HTTP/1.0\r\nHost: x\r\n\r\n",
            "POST /a HTTP/1.1\r\n\r\n",
            "POST /a HTTP/1.1\nHost: x\n\n",
            "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc",
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            "POST /a HTTP/1.1\r\nHost: x\r\n",
        ] {
            assert!(
                matches!(read(wrong), Err(ReadError::Malformed(_))),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn responses_and_chunks_are_valid_http() {
        assert_eq!(
            reply(202, ""),
            b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(chunk(b"0123456789abcdef!"), b"11\r\n0123456789abcdef!\r\n");
        assert_eq!(chunk(b""), b"");
    }
}

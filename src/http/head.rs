//! The head of an HTTP message: where it ends, and what is needed to read the body.
//!
//! The scanner is incremental: it refuses a head as soon as it cannot be valid, and looks at each byte
//! once. Things that other implementations accept (a bare line feed, a folded field, two lengths) are
//! refused here. If sender and reader disagree about the framing, one reads a part of the other's body as a
//! head (request smuggling).

pub use super::error::HeadError;
pub use super::fields::{Fields, Framing, MAX_FIELDS};
use super::fields::{Framed, Version, is_control, is_token};

/// The default limit of a request's head, which most servers and proxies use too; always the limit of a
/// response's head.
pub const MAX_HEAD: usize = 8 << 10;

/// The default limit of a request's target.
pub const MAX_TARGET: usize = 4 << 10;

/// Finds the end of a head in a buffer that grows.
#[derive(Debug)]
pub struct Scanner {
    /// Maximum size of a head.
    limit: usize,
    /// How many bytes have been scanned.
    seen: usize,
    /// Where the current line begins.
    line: usize,
    /// Whether a non-empty line has been seen.
    started: bool,
}

/// What a server needs to know about a request before it reads the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method as it was sent.
    pub method: String,
    /// The target as it was sent: visible ASCII only.
    pub target: String,
    /// How the body is framed; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the connection ends after this exchange.
    pub close: bool,
}

/// What a client needs to know about a response before it reads the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code as a number, because there are codes without a name. A response below 200 is an
    /// interim one, and the final one follows.
    pub status: u16,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the connection ends after this exchange.
    pub close: bool,
}

// === impl Scanner ===

impl Default for Scanner {
    fn default() -> Self {
        Self::new(MAX_HEAD)
    }
}

impl Scanner {
    /// A scanner that refuses heads of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            seen: 0,
            line: 0,
            started: false,
        }
    }

    /// The length of the head in `buffer`, including its empty line; `None` until it is complete. Each call
    /// must be given all bytes since the start of the head.
    ///
    /// # Errors
    ///
    /// The head is too long, or has a line that does not end in CR LF.
    pub fn end(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        let window = &buffer[..buffer.len().min(self.limit)];
        while let Some(ahead) = window[self.seen..].iter().position(|byte| *byte == b'\n') {
            let line_feed = self.seen + ahead;
            let line = window[self.line..line_feed]
                .strip_suffix(b"\r")
                .ok_or(HeadError::BareLineFeed)?;
            self.seen = line_feed + 1;
            self.line = self.seen;
            // Empty lines before the first one are skipped (RFC 9112, 2.2).
            if line.is_empty() && self.started {
                return Ok(Some(self.seen));
            }
            self.started |= !line.is_empty();
        }
        self.seen = window.len();
        match buffer.len() < self.limit {
            true => Ok(None),
            false => Err(HeadError::TooLong(self.limit)),
        }
    }
}

// === impl RequestHead ===

impl RequestHead {
    /// Parses a complete head, as found by [`Scanner`].
    ///
    /// # Errors
    ///
    /// What is wrong with the head; [`HeadError::status`] is the status code for the client.
    pub fn parse(head: &[u8], max_target: usize) -> Result<Self, HeadError> {
        let mut lines = lines(head);
        let mut words = first_line(&mut lines)?.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(HeadError::FirstLine);
        };
        if !is_token(method) || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(HeadError::FirstLine);
        }
        if target.len() > max_target {
            return Err(HeadError::TargetTooLong(max_target));
        }
        let version = Version::parse(version)?;
        let fields = Framed::read(lines)?;
        if fields.hosts > 1 || fields.hosts == 0 && version == Version::Http11 {
            return Err(HeadError::Host);
        }
        if fields.expects_else && version == Version::Http11 {
            return Err(HeadError::Expectation);
        }
        Ok(Self {
            method: text(method),
            target: text(target),
            framing: fields.framing(version)?.unwrap_or(Framing::Length(0)),
            // HTTP/1.0 has no interim responses (RFC 9110, 10.1.1).
            expects_continue: fields.expects_continue && version == Version::Http11,
            close: fields.close || version == Version::Http10,
        })
    }
}

// === impl ResponseHead ===

impl ResponseHead {
    /// Parses a complete head, as found by [`Scanner`].
    ///
    /// # Errors
    ///
    /// What is wrong with the head.
    pub fn parse(head: &[u8]) -> Result<Self, HeadError> {
        let mut lines = lines(head);
        let (version, status) = status_line(first_line(&mut lines)?)?;
        let fields = Framed::read(lines)?;
        let framing = fields.framing(version)?;
        Ok(Self {
            status,
            framing: match (status, framing) {
                (100..=199 | 204 | 304, _) => Framing::Length(0),
                (_, Some(framing)) => framing,
                (_, None) => Framing::UntilClose,
            },
            close: fields.close || version == Version::Http10,
        })
    }
}

/// The version and the status of a response's first line; its reason is not checked.
pub(crate) fn status_line(line: &[u8]) -> Result<(Version, u16), HeadError> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let version = Version::parse(words.next().unwrap_or_default())?;
    match words.next() {
        Some(&[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) => {
            let add = |status, digit: &u8| status * 10 + u16::from(digit - b'0');
            Ok((version, [a, b, c].iter().fold(0, add)))
        }
        _ => Err(HeadError::FirstLine),
    }
}

/// The lines of a complete head, without empty lines before the first one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .skip_while(|line| line.is_empty())
}

/// The request line or status line. A bare CR does not end it.
fn first_line<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> Result<&'a [u8], HeadError> {
    let line = lines.next().unwrap_or_default();
    match line.iter().any(|byte| is_control(*byte)) {
        true => Err(HeadError::FirstLine),
        false => Ok(line),
    }
}

/// Text from bytes that are known to be ASCII.
fn text(ascii: &[u8]) -> String {
    String::from_utf8_lossy(ascii).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &[u8]) -> Result<RequestHead, HeadError> {
        RequestHead::parse(head, MAX_TARGET)
    }

    fn end(buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        Scanner::default().end(buffer)
    }

    fn request(fields: &str) -> Result<RequestHead, HeadError> {
        let head = format!("PATCH /task/a HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(end(head.as_bytes()), Ok(Some(head.len())), "{head:?}");
        parse(head.as_bytes())
    }

    fn response(head: &str) -> Result<ResponseHead, HeadError> {
        parse(head.as_bytes()).expect_err("a response is not a request");
        ResponseHead::parse(head.as_bytes())
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_arrives() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut stream = head.to_vec();
        stream.extend_from_slice(b"body\r\n\r\n");
        assert_eq!(end(&stream), Ok(Some(head.len())));
        for cut in 0..head.len() {
            let mut scanner = Scanner::default();
            assert_eq!(scanner.end(&stream[..cut]), Ok(None), "cut at {cut}");
            assert_eq!(scanner.end(&stream), Ok(Some(head.len())), "cut at {cut}");
        }
        let mut scanner = Scanner::default();
        for length in 0..head.len() {
            assert_eq!(scanner.end(&head[..length]), Ok(None));
        }
        assert_eq!(scanner.end(head), Ok(Some(head.len())));
    }

    #[test]
    fn empty_lines_before_a_head_are_skipped() {
        let head = b"\r\n\r\nGET / HTTP/1.0\r\n\r\n";
        assert_eq!(end(head), Ok(Some(head.len())));
        assert_eq!(parse(head).map(|it| it.target), Ok("/".into()));
    }

    #[test]
    fn a_bare_line_feed_is_refused_at_once() {
        assert_eq!(end(b"GET / HTTP/1.1\nHost"), Err(HeadError::BareLineFeed));
        assert_eq!(end(b"\n"), Err(HeadError::BareLineFeed));
    }

    #[test]
    fn a_head_has_at_most_8192_bytes() {
        let mut head = b"GET / HTTP/1.1\r\na: ".to_vec();
        head.resize(MAX_HEAD - 4, b'a');
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(end(&head), Ok(Some(MAX_HEAD)));
        head.insert(20, b'a');
        assert_eq!(end(&head), Err(HeadError::TooLong(MAX_HEAD)));
        assert_eq!(end(&[b'a'; MAX_HEAD]), Err(HeadError::TooLong(MAX_HEAD)));
        assert_eq!(end(&[b'a'; MAX_HEAD - 1]), Ok(None));
    }

    #[test]
    fn host_expect_and_connection_are_parsed() {
        assert_eq!(request(""), Err(HeadError::Host));
        assert_eq!(request("Host: a\r\nhost: a\r\n"), Err(HeadError::Host));
        assert_eq!(
            request("Host: a\r\nExpect: cake\r\n"),
            Err(HeadError::Expectation)
        );
        let waits = request("Host: a\r\nExpect: 100-Continue\r\n");
        assert!(waits.is_ok_and(|head| head.expects_continue && !head.close));
        let closes = request("Host:\r\nConnection: foo , Close\r\n");
        assert!(closes.is_ok_and(|head| head.close && !head.expects_continue));
        let old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: cake\r\n\r\n";
        assert!(parse(old).is_ok_and(|head| head.close));
        let odd = b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(odd), Err(HeadError::TwoFramings));
    }

    #[test]
    fn a_bad_request_line_is_400_and_an_unsupported_version_505() {
        for (line, status) in [
            ("", 400),
            ("GET", 400),
            ("GET /", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("G@T / HTTP/1.1", 400),
            ("GET /\u{e4} HTTP/1.1", 400),
            ("GET / FTP/1.1", 400),
            ("GET / http/1.1", 400),
            ("GET / HTTP/1.1\r", 400),
            ("\rGET / HTTP/1.1", 400),
            ("GET /\x0c HTTP/1.1", 400),
            ("PRI * HTTP/2.0", 505),
            ("GET / HTTP/0.9", 505),
            ("GET / HTTP/1.10", 505),
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            let error = parse(head.as_bytes()).expect_err(line);
            assert_eq!(error.status() as u16, status, "{line:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_TARGET));
        assert_eq!(
            parse(long.as_bytes()),
            Err(HeadError::TargetTooLong(MAX_TARGET))
        );
        assert!(parse(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n").is_ok());
    }

    #[test]
    fn the_status_and_framing_of_a_response_are_parsed() {
        for (head, status, framing) in [
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
                200,
                Framing::Chunked,
            ),
            (
                "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
                202,
                Framing::Length(0),
            ),
            ("HTTP/1.1 299 \r\n\r\n", 299, Framing::UntilClose),
            ("HTTP/1.1 999\r\n\r\n", 999, Framing::UntilClose),
            ("HTTP/1.1 100 Continue\r\n\r\n", 100, Framing::Length(0)),
            ("HTTP/1.1 204 Not any\r\n\r\n", 204, Framing::Length(0)),
        ] {
            let close = false;
            let wanted = ResponseHead {
                status,
                framing,
                close,
            };
            assert_eq!(response(head), Ok(wanted), "{head:?}");
        }
        assert!(response("HTTP/1.0 200 OK\r\n\r\n").is_ok_and(|head| head.close));
        let latin = b"HTTP/1.1 503 \xff\r\nWarning: \xff\r\n\r\n";
        assert!(ResponseHead::parse(latin).is_ok_and(|head| head.status == 503));
        for wrong in ["HTTP/1.1 20 OK", "HTTP/1.1 2000", "HTTP/1.1", "200 OK", ""] {
            assert_eq!(
                response(&format!("{wrong}\r\n\r\n")),
                Err(HeadError::FirstLine)
            );
        }
    }
}

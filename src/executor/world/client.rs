//! The task API's own client, for images without `curl`: `cook-executor get` and `cook-executor patch`.
//!
//! It runs in a command, as a process of its own: blocking, one request, one answer.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use cook_http::head::{Framing, ResponseHead, Scanner};

/// Where the task API is, in the environment of every command.
pub const ENDPOINT: &str = "EXECUTOR_ENDPOINT";

/// What to ask.
pub enum Request<'a> {
    /// `GET`.
    Get,
    /// `PATCH` with this body.
    Patch(&'a OsStr),
}

/// An answer.
pub struct Answer {
    /// The status code is one of success.
    pub is_success: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// The executor answers at once; a stopped one is waited for as long as `curl` users would.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Answers are some hundred bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Sends the request to `endpoint`, such as `http://127.0.0.1:31005/task/some-id`.
///
/// # Errors
///
/// The endpoint is not such a URL, or nobody answers there.
pub fn ask(endpoint: &str, request: &Request) -> io::Result<Answer> {
    let unusable = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a task's endpoint");
    let rest = endpoint.strip_prefix("http://").ok_or_else(unusable)?;
    let (host, path) = rest.split_once('/').ok_or_else(unusable)?;
    let address: SocketAddr = host.parse().map_err(|_| unusable())?;
    let (method, body) = match request {
        Request::Get => ("GET", &b""[..]),
        Request::Patch(body) => ("PATCH", body.as_bytes()),
    };
    let length = body.len();
    let mut message = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    message.extend_from_slice(body);

    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // A refusal may come before the whole request is taken: it is worth more than the broken pipe.
    let sent = stream.write_all(&message);
    let mut answer = Vec::new();
    let received = stream.take(MAX_ANSWER).read_to_end(&mut answer);
    read_answer(answer).map_or_else(
        || match sent.and(received.map(drop)) {
            Err(error) => Err(error),
            Ok(()) => Err(io::ErrorKind::InvalidData.into()),
        },
        Ok,
    )
}

/// Nothing if it is no whole answer.
fn read_answer(mut bytes: Vec<u8>) -> Option<Answer> {
    let end = Scanner::default().end(&bytes).ok()??;
    let head = ResponseHead::parse(&bytes[..end]).ok()?;
    bytes.drain(..end);
    // An executor that ends in the middle has not said all.
    if matches!(head.framing, Framing::Length(length) if length != bytes.len() as u64) {
        return None;
    }
    Some(Answer {
        is_success: (200..300).contains(&head.status),
        body: bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_endpoint_is_said_to_be_none() {
        for wrong in [
            "",
            "127.0.0.1:1/task/a",
            "http://127.0.0.1:1",
            "https://a/b",
            "http://host/task",
        ] {
            let error = ask(wrong, &Request::Get).err().expect("no endpoint");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong:?}");
        }
    }

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = |text: &str| read_answer(text.as_bytes().to_vec());
        let good = answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").expect("whole");
        assert!(good.is_success);
        assert_eq!(good.body, b"hi");
        assert!(
            !answer("HTTP/1.1 400 Bad Request\r\n\r\n")
                .expect("whole")
                .is_success
        );
        assert!(answer("HTTP/1.1 200 OK\r\n").is_none());
        assert!(answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi").is_none());
        assert!(answer("nonsense\r\n\r\n").is_none());
    }
}

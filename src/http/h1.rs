//! Whole messages: a request made of its head and body, and the bytes of responses and requests.
//!
//! async-h1 writes them; everything is in memory, so that nothing ever waits. It does not read any: its
//! readers panic on a header value that is not ASCII, start threads for an `Expect`, and wait for ever in
//! some places, and `head`, `fields` and `body` have read everything there is to read.

use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::task::{Context, Poll, Waker};

use async_h1::{client, server};
use http_types::{Method, Request, Response, Url};
use smol::io::{AsyncRead, AsyncReadExt};

use super::head::RequestHead;

/// A request as the task API wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Nothing for a method that has no name in http-types.
    pub method: Option<Method>,
    /// The path of the target, still percent-encoded and without the query.
    pub path: String,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Makes a message of a head that was let through and a body that is whole; nothing if the target is
/// neither a path nor a URL.
pub fn decode(head: &RequestHead, body: Vec<u8>) -> Option<Message> {
    let target = origin_form(&head.target)?;
    // It resolves `.` and `..`, as clients do.
    let url = Url::parse(&format!("http://localhost{target}")).ok()?;
    Some(Message {
        method: Method::from_str(&head.method).ok(),
        path: url.path().to_owned(),
        body,
    })
}

/// The path and query of a target. Whoever came this far is where they wanted to be: no library needs to
/// make sense of the name of the host, which can have every trick of internationalised domains in it.
fn origin_form(target: &str) -> Option<&str> {
    let path = ["http://", "https://"].iter().find_map(|scheme| {
        let (begin, authority) = target.split_at_checked(scheme.len())?;
        let is_absolute = begin.eq_ignore_ascii_case(scheme);
        is_absolute.then(|| {
            authority
                .find(['/', '?', '#'])
                .map_or("/", |at| &authority[at..])
        })
    });
    path.or(Some(target)).filter(|path| path.starts_with('/'))
}

/// The bytes of a response to a request with this method. They are none if the response cannot be
/// encoded, which no response with its body in memory can do.
pub fn encode(response: Response, method: Method) -> Vec<u8> {
    read_whole(server::Encoder::new(response, method))
}

/// The bytes of a request; the same goes for them.
pub fn encode_request(request: Request) -> Vec<u8> {
    read_whole(client::Encoder::new(request))
}

fn read_whole(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    match at_once(encoder.read_to_end(&mut bytes)) {
        Some(Ok(_)) => bytes,
        Some(Err(_)) | None => Vec::new(),
    }
}

/// What a future comes to that has everything in memory: done at the first poll, or never.
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
    use http_types::StatusCode;

    fn head(method: &str, target: &str) -> RequestHead {
        RequestHead {
            method: method.into(),
            target: target.into(),
            framing: Framing::Length(0),
            expects_continue: true,
            close: false,
        }
    }

    #[test]
    fn a_request_goes_through_as_it_is() {
        for length in [0, 1, 1 << 10, 256 << 10] {
            let body = vec![b'x'; length];
            let message = decode(&head("PATCH", "/task/a%2Fb?c=d#e"), body.clone());
            let wanted = Message {
                method: Some(Method::Patch),
                path: "/task/a%2Fb".into(),
                body,
            };
            assert_eq!(message, Some(wanted), "{length}");
        }
    }

    #[test]
    fn a_method_without_a_name_and_every_form_of_target_have_a_path() {
        let path = |method, target| decode(&head(method, target), Vec::new()).map(|it| it.path);
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
    fn every_target_of_one_or_two_characters_is_survived() {
        let visible = || (b'!'..=b'~').map(char::from);
        for first in visible() {
            for second in visible() {
                for target in [
                    format!("/{first}{second}"),
                    format!("http://{first}{second}"),
                ] {
                    let _ = decode(&head("GET", &target), Vec::new());
                }
            }
        }
    }

    #[test]
    fn a_response_is_encoded_with_its_length_and_for_head_without_its_body() {
        let response = || {
            let mut response = Response::new(StatusCode::Ok);
            response.set_body("hello");
            response
        };
        let text = |method| String::from_utf8(encode(response(), method)).expect("ASCII");
        assert!(text(Method::Get).starts_with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"));
        assert!(text(Method::Get).ends_with("\r\n\r\nhello"));
        assert!(text(Method::Head).contains("content-length: 5\r\n"));
        assert!(text(Method::Head).ends_with("\r\n\r\n"));
    }
}

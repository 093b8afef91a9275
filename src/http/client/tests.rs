//! Exchanges with a server at the other end of a socket pair.

use super::*;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use async_io::{Async, block_on};

fn connection() -> (Connection, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let socket = Async::new(File::from(OwnedFd::from(ours))).expect("a socket");
    (Connection::new(socket), theirs)
}

fn answers(bytes: &[u8], limit: usize) -> Vec<Result<Answer, String>> {
    let (mut connection, mut server) = connection();
    server.write_all(bytes).expect("room");
    server.shutdown(std::net::Shutdown::Write).expect("open");
    let request = Outgoing::new(Method::Get, "http://a/b");
    let mut answers = Vec::new();
    loop {
        let answer = block_on(connection.exchange(&request, limit));
        let goes_on = answer.as_ref().is_ok_and(|answer| answer.can_reuse);
        answers.push(answer.map_err(|error| error.to_string()));
        if !goes_on {
            return answers;
        }
    }
}

fn answer(bytes: &[u8], limit: usize) -> (u16, Vec<u8>, bool) {
    match answers(bytes, limit).remove(0) {
        Ok(answer) => (answer.status, answer.body, answer.is_whole),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_response_is_read_with_every_framing() {
    for (bytes, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi"),
        ("HTTP/1.1 200 OK\r\n\r\nhi there", "hi there"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            "hi",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
    ] {
        assert_eq!(
            answer(bytes.as_bytes(), 100),
            (200, body.into(), true),
            "{bytes:?}"
        );
    }
    let two = b"HTTP/1.1 204 No\r\n\r\n";
    assert_eq!(answer(two, 100), (204, Vec::new(), true));
}

#[test]
fn an_incomplete_response_is_an_error_and_a_long_one_is_truncated() {
    for cut in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ] {
        let error = answers(cut.as_bytes(), 100).remove(0).expect_err(cut);
        assert!(error.contains("closed before"), "{cut:?}: {error}");
    }
    assert!(answers(b"nonsense\r\n\r\n", 100)[0].is_err());
    assert!(answers(&b"HTTP/1.1 100 A\r\n\r\n".repeat(20), 100)[0].is_err());
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(answer(long, 2), (200, b"ab".to_vec(), false));
    assert_eq!(answer(long, 3), (200, b"abc".to_vec(), true));
}

#[test]
fn the_fields_of_a_response_can_be_read() {
    let (mut connection, mut server) = connection();
    let interim = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n";
    let response = b"HTTP/1.1 307 Else\r\nLocation: //c:1\r\nContent-Length: 2\r\n\r\nhi";
    server.write_all(interim).expect("room");
    server.write_all(response).expect("room");
    let (head, fields) = block_on(connection.receive_with_fields()).expect("a response");
    assert_eq!((head.status, fields.one("location")), (307, Some("//c:1")));
    assert_eq!(fields.one("a"), None, "a field of the interim response");
    let answer = block_on(connection.finish(&head, 100)).expect("a body");
    assert_eq!(answer.text(), "hi");
}

#[test]
fn a_connection_is_idle_until_the_server_writes_or_closes_it() {
    let (open, mut server) = connection();
    assert!(open.is_idle());
    server.write_all(b"HTTP/1.1 408 Late\r\n").expect("room");
    assert!(!open.is_idle());

    let (closed, server) = connection();
    drop(server);
    assert!(!closed.is_idle());
}

#[test]
fn a_connection_is_reused_unless_the_response_ends_it() {
    let (mut connection, mut server) = connection();
    let request = Outgoing::new(Method::Post, "http://a/b").with_body("text/plain", b"x".into());
    for (bytes, can_reuse) in [
        ("HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\n", true),
        (
            "HTTP/1.1 403 A\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 A\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            false,
        ),
    ] {
        server.write_all(bytes.as_bytes()).expect("room");
        let answer = block_on(connection.exchange(&request, 10)).expect("whole");
        assert_eq!(answer.can_reuse, can_reuse, "{bytes:?}");
    }
    drop(connection);
    let mut sent = String::new();
    server.read_to_string(&mut sent).expect("text");
    assert_eq!(sent.matches("POST /b HTTP/1.1\r\nhost: a\r\n").count(), 3);
}

#[test]
fn a_stream_yields_each_piece_as_it_arrives() {
    let (mut connection, mut server) = connection();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nd";
    server.write_all(head).expect("room");
    block_on(async {
        let head = connection.receive().await.expect("a head");
        let mut body = connection.body(&head);
        assert_eq!(body.next().await.expect("a piece"), Some(&b"abc"[..]));
        assert_eq!(body.next().await.expect("a piece"), Some(&b"d"[..]));
        server.write_all(b"e\r\n0\r\n\r\n").expect("room");
        assert_eq!(body.next().await.expect("a piece"), Some(&b"e"[..]));
        assert_eq!(body.next().await.expect("an end"), None);
        assert_eq!(body.next().await.expect("an end"), None);
    });
}

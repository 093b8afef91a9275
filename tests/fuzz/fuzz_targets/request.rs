//! Requests to the task API: their framing does not depend on how the stream is split, and an accepted
//! request is converted to a message without a panic.
#![no_main]

use cook_executor::codec::api::request;
use cook_http::body::{Chunked, Piece};
use cook_http::head::{Fields, Framing, HeadError, MAX_HEAD, MAX_TARGET, RequestHead, Scanner};
use cook_http::message::Head;
use cook_http::socket::Peer;
use cook_executor::words::units::TaskId;
use libfuzzer_sys::fuzz_target;

fn head_end(stream: &[u8], size: usize) -> Result<Option<usize>, HeadError> {
    let mut scanner = Scanner::default();
    let mut held = 0;
    loop {
        held = stream.len().min(held + size);
        match scanner.end(&stream[..held]) {
            Ok(None) if held < stream.len() => {}
            end => return end,
        }
    }
}

/// The body received so far, and the bytes after it.
fn body<'a>(head: &RequestHead, mut rest: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    match head.framing {
        Framing::Length(length) => {
            let length = usize::try_from(length).ok()?;
            Some((rest.get(..length)?.to_vec(), &rest[length..]))
        }
        Framing::Chunked => {
            let mut decoder = Chunked::default();
            let mut body = Vec::new();
            loop {
                match decoder.next(&mut rest).ok()? {
                    Piece::Data(data) => body.extend_from_slice(data),
                    Piece::NeedMore => return None,
                    Piece::Finished => return Some((body, rest)),
                }
            }
        }
        Framing::UntilClose => panic!("requests are never framed by the end of the connection"),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, mut stream)) = input.split_first() else {
        return;
    };
    let size = usize::from(size).max(1);
    let task = TaskId("t 1".into());
    // Several requests, one after the other, as on a connection.
    while !stream.is_empty() {
        let end = head_end(stream, usize::MAX / 2);
        assert_eq!(end, head_end(stream, size));
        let Ok(Some(end)) = end else { return };
        assert!(end <= MAX_HEAD);
        let head = match RequestHead::parse(&stream[..end], MAX_TARGET) {
            Ok(head) => head,
            Err(error) => return assert!(error.status() as u16 >= 400),
        };
        assert!(head.target.len() <= MAX_TARGET);
        let Some((body, rest)) = body(&head, &stream[end..]) else {
            return;
        };
        if let Some(head) = Head::new(&head, Fields::default(), Peer::Unknown) {
            let _ = request::read(head.method, &head.path, &body, Some(&task));
        }
        stream = rest;
    }
});

//! Responses of the agent: head and body do not depend on how the stream is split.
#![no_main]

use cook_http::body::{Chunked, Piece};
use cook_http::head::{Framing, HeadError, MAX_HEAD, ResponseHead, Scanner};
use libfuzzer_sys::fuzz_target;

/// The end of the head, found by a reader that gets `size` bytes at a time.
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

/// The decoded body, and the number of bytes used; `None` if the chunks are invalid.
fn unchunk(stream: &[u8], size: usize) -> Option<(Vec<u8>, usize, bool)> {
    let mut decoder = Chunked::default();
    let mut payload = Vec::new();
    let mut used = 0;
    for piece in stream.chunks(size) {
        let mut rest = piece;
        loop {
            match decoder.next(&mut rest).ok()? {
                Piece::Data(data) => {
                    assert!(!data.is_empty());
                    payload.extend_from_slice(data);
                }
                Piece::NeedMore => break assert!(rest.is_empty()),
                Piece::Finished => {
                    used += piece.len() - rest.len();
                    return Some((payload, used, true));
                }
            }
        }
        used += piece.len();
    }
    Some((payload, used, false))
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, stream)) = input.split_first() else {
        return;
    };
    let size = usize::from(size).max(1);
    let end = head_end(stream, usize::MAX / 2);
    assert_eq!(end, head_end(stream, size));
    let mut body = stream;
    if let Ok(Some(end)) = end {
        assert!(end <= MAX_HEAD && stream[..end].ends_with(b"\r\n\r\n"));
        body = &stream[end..];
        if let Ok(head) = ResponseHead::parse(&stream[..end]) {
            assert!((100..1000).contains(&head.status));
            if head.status == 204 || head.status == 304 || head.status < 200 {
                assert_eq!(head.framing, Framing::Length(0));
            }
        }
    }
    let whole = unchunk(body, usize::MAX);
    assert_eq!(whole, unchunk(body, size));
    assert!(whole.is_none_or(|(payload, used, _)| payload.len() <= used && used <= body.len()));
});

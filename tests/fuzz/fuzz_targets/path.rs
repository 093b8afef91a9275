//! Paths of the task API; the first line of the input is a task id, the second a path. The path is accepted
//! if and only if its only segment, decoded once, is the id. The task's own endpoint is always accepted.
#![no_main]

use cook_executor::codec::api::request::{self, Asked, TASK_PATH, percent_encode_task_id};
use cook_http::head::{Fields, Framing, MAX_TARGET, RequestHead};
use cook_http::message::Head;
use cook_http::socket::Peer;
use cook_executor::words::units::TaskId;
use libfuzzer_sys::fuzz_target;

/// Decodes a segment from its end, unlike the code under test.
fn decoded(segment: &str) -> Option<Vec<u8>> {
    let mut pieces = segment.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    Some(bytes)
}

fn finds(path: &str, task: &TaskId) -> bool {
    let options = Some("OPTIONS".parse().expect("a method"));
    matches!(
        request::read(options, path, b"", Some(task)),
        Ok(Asked::Methods)
    )
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (id, path) = text.split_once('\n').unwrap_or((text, "/task/"));
    let task = TaskId(id.to_owned());
    let named = path
        .strip_prefix(TASK_PATH)
        .filter(|segment| !segment.contains('/'))
        .and_then(decoded)
        .is_some_and(|bytes| bytes == id.as_bytes());
    assert_eq!(finds(path, &task), named);
    let endpoint = format!("{TASK_PATH}{}", percent_encode_task_id(&task));
    assert!(finds(&endpoint, &task));
    // Also through a URL parser, which removes `.` and `..` as all clients do.
    if endpoint.len() <= MAX_TARGET && id != "." && id != ".." {
        let head = RequestHead {
            method: "GET".into(),
            target: endpoint.clone(),
            framing: Framing::Length(0),
            expects_continue: false,
            close: false,
        };
        let message = Head::new(&head, Fields::default(), Peer::Unknown).expect("an endpoint is a path");
        assert!(
            finds(&message.path, &task),
            "{endpoint} became {}",
            message.path
        );
    }
});

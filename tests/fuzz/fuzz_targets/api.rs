//! Requests: a line with method and target, lines with header fields, an empty line and the body. Every response is
//! well formed, and no request is an internal error.
#![no_main]

mod world;

use cook_scheduler::api::{Fields, browser};
use cook_scheduler::core::backend::TaskState;
use libfuzzer_sys::fuzz_target;
use world::{Asked, HOST, World};

/// Jobs that wait, run and are completed, with these UUIDs.
const JOBS: &str = r#"{"jobs": [
    {"uuid": "00000000-0000-4000-8000-000000000001", "command": "a", "name": "a", "max_retries": 2},
    {"uuid": "00000000-0000-4000-8000-000000000002", "command": "b", "group": "00000000-0000-4000-8000-00000000000a"},
    {"uuid": "00000000-0000-4000-8000-000000000003", "before_commands": [{"value": "c"}]}],
    "groups": [{"uuid": "00000000-0000-4000-8000-00000000000a", "name": "g"}]}"#;

fuzz_target!(|input: &[u8]| {
    let mut world = World::new();
    let host = browser::Fields {
        host: Some(HOST),
        ..browser::Fields::default()
    };
    let fields = Fields {
        browser: host,
        ..Fields::default()
    };
    let submitted = world.ask(&Asked {
        method: "POST",
        target: "/rawscheduler",
        fields,
        body: JOBS.as_bytes(),
    });
    assert_eq!(submitted.status, 201);
    world.offer();
    assert_eq!(world.get("/info").status, 200);
    let first = world.memory.launched().next().expect("a task").instance;
    world.memory.update(first, TaskState::Finished, None, None);

    let mut rest = input;
    // Several requests may follow each other.
    for _ in 0..4 {
        let Some(line) = next_line(&mut rest) else {
            return;
        };
        let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
        let mut fields = fields;
        while let Some((name, value)) = next_line(&mut rest).and_then(|line| line.split_once(": ")) {
            let value = Some(value);
            match name {
                "host" => fields.browser.host = value,
                "origin" => fields.browser.origin = value,
                "sec-fetch-site" => fields.browser.fetch_site = value,
                "authorization" => fields.authorization = value,
                "x-cook-pool" => fields.pool = value,
                _ => {}
            }
        }
        let end = rest.windows(2).position(|two| two == b"\n\n");
        let (body, more) = rest.split_at(end.unwrap_or(rest.len()));
        rest = more.get(2..).unwrap_or_default();
        world.ask(&Asked {
            method,
            target,
            fields,
            body,
        });
    }
});

/// The next line, if it is text.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (line, more) = rest.split_at(end);
    *rest = more.get(1..).unwrap_or_default();
    std::str::from_utf8(line).ok()
}

//! The scheduler's core and API with a store in memory, for the targets that send requests.

#[path = "../../../scheduler/memory.rs"]
mod memory;

use std::net::SocketAddr;
use std::path::PathBuf;

use cook_scheduler::api::files::{self, FileAnswer};
use cook_scheduler::api::response::{Content, Response};
use cook_scheduler::api::{Fields, Peer, Request, browser};
use cook_scheduler::core::words::{Amount, Demand};
use self::memory::Memory;

pub const HOST: &str = "localhost:12321";

pub struct World {
    pub memory: Memory,
}

/// What the fuzzer chooses of a request.
pub struct Asked<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub fields: Fields<'a>,
    pub body: &'a [u8],
}

impl World {
    pub fn new() -> Self {
        let mut memory = Memory::new();
        memory.api.sandboxes = Some(PathBuf::from("/nonexistent"));
        Self { memory }
    }

    /// Sends a request. Every response has to be well formed.
    pub fn ask(&mut self, asked: &Asked<'_>) -> Response {
        let request = Request {
            method: asked.method,
            target: asked.target,
            fields: asked.fields,
            body: asked.body,
            local: Some(SocketAddr::from(([127, 0, 0, 1], 12321))),
            peer: &Peer::Own,
            now: self.memory.now.wall,
        };
        let response = match self.memory.api.screen(&request) {
            Err(refusal) => refusal,
            Ok(()) => self.memory.answer(&request).unwrap_or_else(|file| match files::answer(&file) {
                FileAnswer::Whole(response) => response,
                FileAnswer::Stream { .. } => panic!("there are no sandboxes"),
            }),
        };
        assert!((200..600).contains(&response.status), "{}", response.status);
        assert!(response.status != 500, "{response:?}");
        if response.content == Content::Json {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&response.body);
            let json = json.expect("JSON");
            if response.status >= 400 {
                let text = json.get("error").and_then(|text| text.as_str());
                assert!(text.is_some_and(|text| !text.is_empty()), "an error without a text: {json}");
            }
        }
        for (name, value) in &response.fields {
            assert!(!value.contains(['\r', '\n']), "two lines in {name}: {value:?}");
        }
        response
    }

    /// A request without a body.
    pub fn get(&mut self, target: &str) -> Response {
        let host = browser::Fields {
            host: Some(HOST),
            ..browser::Fields::default()
        };
        self.ask(&Asked {
            method: "GET",
            target,
            fields: Fields {
                browser: host,
                ..Fields::default()
            },
            body: b"",
        })
    }

    /// Offers enough for all jobs that wait.
    pub fn offer(&mut self) {
        let enough = Demand {
            cpus: Amount::from_f64(1000.0),
            mem: Amount::from_f64(1e9),
            ports: 1001,
        };
        self.memory.offer(enough, None);
    }
}

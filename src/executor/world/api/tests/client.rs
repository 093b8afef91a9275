//! A client in its own thread, and a server that answers like the runtime.

use std::cell::OnceCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use smol::LocalExecutor;
use smol::channel::{Receiver, bounded, unbounded};

use crate::core::request::{ApiRequest, Reply, View};
use crate::words::units::TaskId;
use crate::world::api::{Api, Incoming};
use cook_http::server::Limits;

/// How long a test waits for a condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// The requests that have reached the runtime.
pub type Seen = Arc<Mutex<Vec<ApiRequest>>>;

/// What a client needs to know about the server.
pub struct Client {
    pub port: u16,
    pub seen: Seen,
}

/// A client's connection.
pub struct Talk(pub TcpStream);

// === impl Client ===

impl Client {
    pub fn connect(&self) -> Talk {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("listening");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Talk(stream)
    }

    /// Sends the request, and returns everything until the server closes the connection.
    pub fn ask(&self, request: &str) -> String {
        let mut talk = self.connect();
        talk.say(request);
        talk.rest()
    }

    pub fn seen(&self) -> Vec<ApiRequest> {
        self.seen.lock().expect("not poisoned").clone()
    }

    pub fn status(&self, request: &str) -> u16 {
        status(&self.ask(request))
    }
}

// === impl Talk ===

impl Talk {
    pub fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("connected");
    }

    /// Reads one response with a length.
    pub fn hear(&mut self) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("a head");
            text.push(byte[0]);
        }
        let head = String::from_utf8(text).expect("ASCII");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        head + &String::from_utf8(body).expect("UTF-8")
    }

    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("an orderly end");
        text
    }

    /// Whether the server has closed or reset the connection.
    pub fn is_over(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

pub fn status(response: &str) -> u16 {
    let code = response
        .get(9..12)
        .unwrap_or_else(|| panic!("{response:?}"));
    code.parse().expect("a status code")
}

pub fn patch(body: &str) -> String {
    format!(
        "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub const GET: &str = "GET /task/t%201 HTTP/1.1\r\nHost: a\r\n\r\n";
pub const LAST_GET: &str = "GET /task/t%201 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Answers like the runtime. Some messages ask for another reply.
async fn answer(inbox: Receiver<Incoming>, seen: Seen) {
    while let Ok(incoming) = inbox.recv().await {
        let reply = match &incoming.request {
            ApiRequest::View => Some(Reply::View(View::default())),
            ApiRequest::Patch(patch) => match patch.message.as_deref() {
                Some("no agent") => Some(Reply::AppliedWithoutAgent),
                Some("too late") => Some(Reply::TaskEnded),
                Some("no reply") => None,
                _ => Some(Reply::Applied),
            },
        };
        seen.lock().expect("not poisoned").push(incoming.request);
        if let Some(reply) = reply {
            let _ = incoming.reply.send(reply).await;
        }
    }
}

/// Runs a client in its own thread, and a server in this one.
pub fn serve_with(limits: Limits, client: impl FnOnce(&Client) + Send + 'static) {
    let api = Api::open(None, 1).expect("a port").with_limits(limits);
    let seen = Seen::default();
    let known = Client {
        port: api.address().port(),
        seen: seen.clone(),
    };
    let executor = Rc::new(LocalExecutor::new());
    let task = Rc::new(OnceCell::from(TaskId("t 1".into())));
    let (inbox, requests) = unbounded();
    let serving = executor.spawn(api.serve(executor.clone(), task, inbox));
    let answering = executor.spawn(answer(requests, seen));
    let (finished, end) = bounded::<()>(1);
    let thread = thread::spawn(move || {
        let _finished = finished;
        client(&known);
    });
    // The channel closes when the thread ends, also after a panic.
    let _ = async_io::block_on(executor.run(end.recv()));
    drop((serving, answering));
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub fn serve(client: impl FnOnce(&Client) + Send + 'static) {
    serve_with(Limits::default(), client);
}

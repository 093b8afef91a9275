//! The task API for hostile clients: raw bytes on a socket, and what the kernel reports about the executor.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use cook_mesos::messages::TaskState::Finished;
use cook_test_agent::agent::PATIENCE;
use serde_json::{Value, json};

use super::executor::{Ended, Run, Setup};

/// The interval of polling.
const TICK: Duration = Duration::from_millis(5);

/// The task API of a run whose command waits until the test lets it end.
pub struct Target {
    pub run: Run,
    pub port: u16,
    pub path: String,
}

/// A connection.
pub struct Talk(pub TcpStream);

/// A response as text.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

// === impl Target ===

impl Target {
    pub fn new() -> Self {
        Self::with(Setup::new(), json!({}))
    }

    /// Runs this job with a command that waits at a FIFO without using processor time.
    #[track_caller]
    pub fn with(setup: Setup, mut job: Value) -> Self {
        let wait =
            "mkfifo gate; echo $EXECUTOR_ENDPOINT > endpoint; echo up >> order; read _ < gate";
        job["command"] = wait.into();
        let run = setup.launch(job);
        run.wait_for_word("up");
        let endpoint = run.sandbox.read("endpoint");
        let rest = endpoint.trim().strip_prefix("http://127.0.0.1:");
        let (port, path) = rest.and_then(|it| it.split_once('/')).expect("an endpoint");
        Self {
            port: port.parse().expect("a port"),
            path: format!("/{path}"),
            run,
        }
    }

    #[track_caller]
    pub fn connect(&self) -> Talk {
        Talk::to(self.port)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }

    /// A request for the task. Each of the `fields` ends in CR LF.
    pub fn request(&self, method: &str, fields: &str, body: &str) -> String {
        let path = &self.path;
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
    }

    pub fn get(&self) -> String {
        self.request("GET", "", "")
    }

    pub fn patch(&self, body: &str) -> String {
        self.request(
            "PATCH",
            &format!("Content-Length: {}\r\n", body.len()),
            body,
        )
    }

    /// Sends a PATCH with bytes that need not be text. Returns the response.
    #[track_caller]
    pub fn patch_bytes(&self, body: &[u8]) -> Answer {
        let mut bytes = self
            .request("PATCH", &format!("Content-Length: {}\r\n", body.len()), "")
            .into_bytes();
        bytes.extend_from_slice(body);
        let mut talk = self.connect();
        talk.say_bytes(&bytes);
        talk.hear()
    }

    /// The result of GET.
    #[track_caller]
    pub fn view(&self) -> Value {
        let mut talk = self.connect();
        talk.say(&self.get());
        let answer = talk.hear();
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Lets the command end, and so the task.
    #[track_caller]
    pub fn let_go(&self) -> Ended {
        // Opening the FIFO waits until the command has opened it.
        fs::write(self.run.sandbox.path().join("gate"), "go\n").expect("a gate");
        let ended = self.run.finish();
        assert_eq!(ended.state, Finished, "{}", self.run.transcript());
        ended
    }

    pub(super) fn proc(&self, name: &str) -> String {
        let pid = self.run.executor.pid().as_raw_nonzero();
        fs::read_to_string(format!("/proc/{pid}/{name}")).expect("the executor runs")
    }

    /// The executor's anonymous memory in kB.
    pub fn anonymous_memory(&self) -> u64 {
        let text = self.proc("smaps_rollup");
        number(&text, "Anonymous:")
    }

    pub fn threads(&self) -> u64 {
        number(&self.proc("status"), "Threads:")
    }

    pub fn descriptors(&self) -> usize {
        let pid = self.run.executor.pid().as_raw_nonzero();
        let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("the executor runs");
        folder.count()
    }

    /// Waits until the executor has at most this many descriptors.
    #[track_caller]
    pub fn wait_for_descriptors(&self, most: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.descriptors() > most {
            let has_ended = self.run.executor.wait(TICK).is_some();
            let found = self.descriptors();
            assert!(
                !has_ended && Instant::now() < deadline,
                "{found} for {most}"
            );
        }
    }
}

fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).expect("a number")
}

// === impl Talk ===

impl Talk {
    #[track_caller]
    pub fn to(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("listening");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Self(stream)
    }

    #[track_caller]
    pub fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    #[track_caller]
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("connected");
    }

    /// Reads a response. For the response to HEAD, use [`Talk::hear_head`].
    #[track_caller]
    pub fn hear(&mut self) -> Answer {
        let mut answer = self.hear_head();
        let mut body = vec![0; answer.length()];
        self.0.read_exact(&mut body).expect("a body");
        answer.body = String::from_utf8(body).expect("UTF-8");
        answer
    }

    #[track_caller]
    pub fn hear_head(&mut self) -> Answer {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("a head");
            text.push(byte[0]);
        }
        Answer::new(String::from_utf8(text).expect("ASCII"))
    }

    /// Reads until the executor closes the connection.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("an orderly end");
        text
    }

    /// Whether the executor has closed or reset the connection.
    #[track_caller]
    pub fn is_over(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Shuts down the writing side.
    #[track_caller]
    pub fn end(&mut self) {
        self.0.shutdown(Shutdown::Write).expect("connected");
    }
}

// === impl Answer ===

impl Answer {
    #[track_caller]
    fn new(head: String) -> Self {
        let code = head.strip_prefix("HTTP/1.1 ").and_then(|it| it.get(..3));
        Self {
            status: code.and_then(|code| code.parse().ok()).expect(&head),
            head,
            body: String::new(),
        }
    }

    /// Splits a text into responses.
    #[track_caller]
    pub fn all_of(mut text: &str) -> Vec<Self> {
        let mut answers = Vec::new();
        while let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let mut answer = Self::new(format!("{head}\r\n\r\n"));
            let (body, rest) = rest.split_at(answer.length());
            answer.body = body.to_owned();
            answers.push(answer);
            text = rest;
        }
        assert_eq!(text, "", "after the last answer");
        answers
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn length(&self) -> usize {
        let length = self.field("content-length");
        length.map_or(0, |length| length.parse().expect("a number"))
    }

    /// The error text of a response.
    #[track_caller]
    pub fn error(&self) -> String {
        assert_eq!(
            self.field("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body["error"].as_str().expect("a text").to_owned()
    }
}

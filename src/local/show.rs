//! What a developer sees of a run: one line per thing that happens, with its time and a label.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use cook_mesos::messages::TaskStatus;
use cook_test_agent::agent::Agent;
use cook_test_agent::journal::{Entry, What, data_of, reason_name, state_name};

/// Bytes read from an output file at once, and the longest line that is shown as one.
const MAX_LINE: usize = 8 << 10;

/// Prints a run as it goes.
#[derive(Debug)]
pub struct Show<W> {
    out: W,
    started: Instant,
    entries: usize,
    tails: Vec<Tail>,
}

/// A growing file, read line by line.
#[derive(Debug)]
struct Tail {
    label: &'static str,
    file: File,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
}

// === impl Show ===

impl<W: Write> Show<W> {
    /// Prints to `out`; time starts now.
    pub fn new(out: W) -> Self {
        Self {
            out,
            started: Instant::now(),
            entries: 0,
            tails: Vec::new(),
        }
    }

    /// Shows the lines of a file, too.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn follow(&mut self, label: &'static str, path: &Path) -> io::Result<()> {
        self.tails.push(Tail {
            label,
            file: File::open(path)?,
            partial: Vec::new(),
        });
        Ok(())
    }

    /// Waits a moment for something to happen and prints all that has.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn update(&mut self, agent: &Agent, patience: Duration) -> io::Result<()> {
        let entries = agent.entries_after(self.entries, patience);
        self.entries += entries.len();
        // Output first: it was written before the update that tells of the command's end.
        self.tails(false)?;
        for entry in entries {
            self.entry(&entry)?;
        }
        self.out.flush()
    }

    /// Prints what is left, unfinished lines included.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn finish(&mut self, agent: &Agent) -> io::Result<()> {
        self.update(agent, Duration::ZERO)?;
        self.tails(true)?;
        self.out.flush()
    }

    /// Prints one line of our own.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn line(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.line_at(self.started.elapsed(), label, text)
    }

    fn line_at(&mut self, at: Duration, label: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:>8.3}  {label:<9} {text}", at.as_secs_f64())
    }

    fn tails(&mut self, everything: bool) -> io::Result<()> {
        let mut lines = Vec::new();
        for tail in &mut self.tails {
            let label = tail.label;
            lines.extend(tail.read(everything)?.into_iter().map(|line| (label, line)));
        }
        for (label, line) in lines {
            self.line(label, &line)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        match &entry.what {
            What::Update(status) => self.status(entry.at, status),
            What::Message(data) => self.message(entry.at, data),
            What::Subscribed(_) => self.line_at(entry.at, "agent", "executor subscribed"),
            // The echo of each call, and what the agent does by itself: nothing to learn from them.
            What::Sent(event) if event.starts_with("ACKNOWLEDGED") || event == "SUBSCRIBED" => {
                Ok(())
            }
            What::Note(_) => Ok(()),
            What::Sent(event) => self.line_at(entry.at, "agent", &format!("sent {event}")),
            What::Lost(event) => {
                let text = format!("could not send {event}: the executor is not subscribed");
                self.line_at(entry.at, "agent", &text)
            }
            What::Exited(Some(code)) => {
                self.line_at(entry.at, "executor", &format!("exited with status {code}"))
            }
            What::Exited(None) => self.line_at(entry.at, "executor", "terminated by a signal"),
            What::Violation(text) => {
                let text = format!("against the protocol: {text}");
                self.line_at(entry.at, "EXECUTOR", &text)
            }
            What::Repeated(_)
            | What::Refused { .. }
            | What::Dropped(_)
            | What::StreamEnded { .. } => {
                let text = entry.what.to_string();
                self.line_at(
                    entry.at,
                    "agent",
                    text.trim_start_matches(['-', '!', '<', ' ']),
                )
            }
        }
    }

    fn status(&mut self, at: Duration, status: &TaskStatus) -> io::Result<()> {
        let mut text = state_name(status.state()).to_owned();
        if let Some(reason) = status.reason {
            text += &format!(", {}", reason_name(reason));
        }
        if let Some(message) = &status.message {
            text += &format!(": {message}");
        }
        self.line_at(at, "state", &text)?;
        match data_of(status) {
            Some(data) => self.line_at(at, "data", &data.to_string()),
            None => Ok(()),
        }
    }

    fn message(&mut self, at: Duration, data: &[u8]) -> io::Result<()> {
        let json: Option<Value> = serde_json::from_slice(data).ok();
        let percent = json.as_ref().and_then(|json| json.get("progress-percent"));
        match (&json, percent) {
            (Some(json), Some(percent)) => {
                let message = json.get("progress-message").and_then(Value::as_str);
                let text = format!("{percent}% {}", message.unwrap_or_default());
                self.line_at(at, "progress", text.trim_end())
            }
            _ => self.line_at(at, "message", &String::from_utf8_lossy(data)),
        }
    }
}

// === impl Tail ===

impl Tail {
    /// The lines that have come since the last call; with `everything`, an unfinished one too.
    fn read(&mut self, everything: bool) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut buffer = vec![0; MAX_LINE];
        loop {
            let length = self.file.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            for byte in &buffer[..length] {
                if *byte != b'\n' {
                    self.partial.push(*byte);
                }
                if *byte == b'\n' || self.partial.len() == MAX_LINE {
                    lines.push(take_text(&mut self.partial));
                }
            }
        }
        if everything && !self.partial.is_empty() {
            lines.push(take_text(&mut self.partial));
        }
        Ok(lines)
    }
}

fn take_text(bytes: &mut Vec<u8>) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    bytes.clear();
    text
}

//! The output of a run: one line for each thing that happens, with its time and a label.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use cook_agent::notice::{Cause, Notice, What};
use cook_mesos::messages::{EventType, Reason, TaskStatus};

/// How many bytes of an output file are read at once, and the maximum length of a line.
const MAX_LINE: usize = 8 << 10;

/// Prints a run.
#[derive(Debug)]
pub struct Show<W> {
    out: W,
    started: Instant,
    tails: Vec<Tail>,
}

/// A growing file, read line by line.
#[derive(Debug)]
struct Tail {
    label: &'static str,
    file: File,
    /// The beginning of a line whose end was not written yet.
    partial: Vec<u8>,
}

/// Which lines of a file to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Finished,
    All,
}

// === impl Show ===

impl<W: Write> Show<W> {
    /// Prints to `out`. Times are counted from now.
    pub fn new(out: W) -> Self {
        Self {
            out,
            started: Instant::now(),
            tails: Vec::new(),
        }
    }

    /// Also prints the lines of a file.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn follow(&mut self, label: &'static str, path: &Path) -> io::Result<()> {
        self.tails.push(Tail {
            label,
            file: File::open(path)?,
            partial: Vec::new(),
        });
        Ok(())
    }

    /// Prints a notice of the agent.
    ///
    /// # Errors
    ///
    /// The output failed.
    pub fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        // Output first: it was written before the update that reports the command's end.
        self.tails(Lines::Finished)?;
        self.event(&notice.what)?;
        self.out.flush()
    }

    /// Prints the lines that the job has written.
    ///
    /// # Errors
    ///
    /// The output failed.
    pub fn output(&mut self) -> io::Result<()> {
        self.tails(Lines::Finished)?;
        self.out.flush()
    }

    /// Prints the rest, including incomplete lines.
    ///
    /// # Errors
    ///
    /// The output failed.
    pub fn finish(&mut self) -> io::Result<()> {
        self.tails(Lines::All)?;
        self.out.flush()
    }

    /// Prints one line of this program.
    ///
    /// # Errors
    ///
    /// The output failed.
    pub fn line(&mut self, label: &str, text: &str) -> io::Result<()> {
        let at = self.started.elapsed().as_secs_f64();
        writeln!(self.out, "{at:>8.3}  {label:<9} {text}")
    }

    fn tails(&mut self, lines: Lines) -> io::Result<()> {
        let mut found = Vec::new();
        for tail in &mut self.tails {
            let label = tail.label;
            found.extend(tail.read(lines)?.into_iter().map(|line| (label, line)));
        }
        for (label, line) in found {
            self.line(label, &line)?;
        }
        Ok(())
    }

    fn event(&mut self, what: &What) -> io::Result<()> {
        match what {
            What::Started { pid } => self.line("executor", &format!("started as process {pid}")),
            What::Subscribed => self.line("agent", "executor subscribed"),
            What::Updated(status) => self.status(status),
            What::Message(data) => self.message(data),
            // These only respond to a call that was shown.
            What::Sent(EventType::Acknowledged | EventType::Subscribed) => Ok(()),
            What::Sent(kind) => {
                let name = screaming(&format!("{kind:?}"));
                self.line("agent", &format!("sent {name}"))
            }
            What::Exited(Some(code)) => {
                self.line("executor", &format!("exited with status {code}"))
            }
            What::Exited(None) => self.line("executor", "terminated by a signal"),
            What::Lost { cause, .. } => self.line("agent", &lost(cause)),
            What::Stuck(text) => self.line(
                "agent",
                &format!("cannot end processes of the executor: {text}"),
            ),
            What::Forgotten => Ok(()),
        }
    }

    fn status(&mut self, status: &TaskStatus) -> io::Result<()> {
        let mut text = format!("TASK_{}", screaming(&format!("{:?}", status.state())));
        if let Some(reason) = status.reason.and_then(|it| Reason::try_from(it).ok()) {
            text += &format!(", REASON_{}", screaming(&format!("{reason:?}")));
        }
        if let Some(message) = &status.message {
            text += &format!(": {message}");
        }
        self.line("state", &text)?;
        match data_of(status) {
            Some(data) => self.line("data", &data.to_string()),
            None => Ok(()),
        }
    }

    fn message(&mut self, data: &[u8]) -> io::Result<()> {
        let json: Option<Value> = serde_json::from_slice(data).ok();
        let percent = json.as_ref().and_then(|json| json.get("progress-percent"));
        match (&json, percent) {
            (Some(json), Some(percent)) => {
                let message = json.get("progress-message").and_then(Value::as_str);
                let text = format!("{percent}% {}", message.unwrap_or_default());
                self.line("progress", text.trim_end())
            }
            _ => self.line("message", &String::from_utf8_lossy(data)),
        }
    }
}

/// The `data` of an update, if it is JSON.
pub fn data_of(status: &TaskStatus) -> Option<Value> {
    serde_json::from_slice(status.data.as_deref()?).ok()
}

fn lost(cause: &Cause) -> String {
    match cause {
        // The text already says what failed.
        Cause::LaunchFailed(text) => text.clone(),
        Cause::KilledDuringLaunch
        | Cause::NotSubscribed
        | Cause::Terminated
        | Cause::MemoryLimit
        | Cause::Destroyed => cause.to_string(),
    }
}

/// The name in the notation of Mesos: `TASK_INVALID` for `TaskInvalid`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

// === impl Tail ===

impl Tail {
    /// Returns the lines that were written since the last call.
    fn read(&mut self, wanted: Lines) -> io::Result<Vec<String>> {
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
        if wanted == Lines::All && !self.partial.is_empty() {
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

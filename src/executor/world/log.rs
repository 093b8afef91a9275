//! `executor.log` in the sandbox, which should explain any incident on its own.
//!
//! Each event is one line, written with one `write`, and never contains an environment value or a token.
//! Logging never fails the task: lines that cannot be written are counted, and the count is written later.
//! The size is limited, and each kind of line has its own share (`share`).

mod share;
mod timestamp;

use std::fmt::{self, Write as _};
use std::os::fd::OwnedFd;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

pub use share::{CHECK, ENDING, UNTRUSTED};
use share::{Kind, Shares};
use timestamp::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::{regular, stdio};

/// The file's name in the sandbox.
pub const FILE_NAME: &str = "executor.log";

/// Longer lines are cut, because the agent and the task can put any text into a line.
const LINE_LIMIT: usize = 2048;

/// Prints a line on stderr, for problems before there is a log or without one.
pub fn complain(text: &str) {
    stdio::complain(&format!("cook-executor: {text}\n"));
}

/// From now on, a panic writes a line with its location to the log and to stderr. The process then aborts,
/// and nothing else would explain that.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = describe(panic);
        tracing::error!(target: ENDING, "{text}");
        complain(&text);
    }));
}

/// The location of a panic. The message is added only if it is a constant of the program, because a
/// formatted one may contain a secret.
fn describe(panic: &PanicHookInfo<'_>) -> String {
    let mut text = "panicked".to_owned();
    // Writing to a String cannot fail.
    if let Some(place) = panic.location() {
        let _ = write!(text, " at {place}");
    }
    if let Some(message) = panic.payload().downcast_ref::<&'static str>() {
        let _ = write!(text, ": {message}");
    }
    text
}

/// Writes events of a level or above to a file.
pub struct Log {
    level: Level,
    file: Mutex<File>,
}

struct File {
    descriptor: Option<OwnedFd>,
    shares: Shares,
    /// The last line in the file, and how often it was repeated.
    last: Option<Last>,
    repeated: u64,
}

/// A line without its time.
#[derive(PartialEq, Eq)]
struct Last {
    kind: Kind,
    level: Level,
    text: String,
}

// === impl Log ===

impl Log {
    /// Opens the log in `sandbox`, and appends to an existing one. If it cannot be opened, a line on stderr
    /// says so, and the executor runs without a log.
    pub fn open(sandbox: &Path, level: Level) -> Self {
        let path = sandbox.join(FILE_NAME);
        let descriptor = regular::append(&path).inspect_err(|error| {
            complain(&format!(
                "cannot write to {}: {error}; continuing without a log",
                path.display()
            ));
        });
        Self {
            level,
            file: Mutex::new(File {
                descriptor: descriptor.ok(),
                shares: Shares::new(Instant::now()),
                last: None,
                repeated: 0,
            }),
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(String::with_capacity(128));
        event.record(&mut line);
        line.cut();
        // Only one thread logs. If it panics while it does, it must not wait for itself.
        if let Ok(mut file) = self.file.try_lock() {
            file.write(Last {
                kind: Kind::of(metadata),
                level: *metadata.level(),
                text: line.0,
            });
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

// === impl File ===

impl File {
    fn write(&mut self, line: Last) {
        if self.last.as_ref() == Some(&line) {
            self.repeated += 1;
            return;
        }
        if let Some(mut last) = self.last.take()
            && self.repeated > 0
        {
            last.text = format!("the last line was repeated {} times", self.repeated);
            self.repeated = 0;
            self.write_line(&last);
        }
        if self.write_line(&line) {
            self.last = Some(line);
        }
    }

    /// Writes a line. False if it was left out.
    fn write_line(&mut self, line: &Last) -> bool {
        let Last { kind, level, text } = line;
        let Some(descriptor) = &self.descriptor else {
            return false;
        };
        let mut out = String::with_capacity(text.len() + 64);
        // Writing to a String cannot fail.
        let _ = write!(out, "{} {level} ", Timestamp::now());
        let lost = self.shares.lost(*kind);
        if lost > 0 {
            let _ = write!(out, "({lost} lines lost before this one) ");
        }
        out.push_str(text);
        out.push('\n');
        let has_room = self.shares.take(*kind, out.len(), Instant::now());
        let is_written = has_room && rustix::io::write(descriptor, out.as_bytes()).is_ok();
        if is_written {
            self.shares.reported(*kind);
        } else {
            self.shares.lose(*kind);
        }
        is_written
    }
}

/// Collects an event's message and fields: `message key=value ...`.
struct Line(String);

// === impl Line ===

impl Line {
    /// A line feed would allow a forged line, and a very long line would fill the file.
    fn cut(&mut self) {
        if self.0.len() > LINE_LIMIT {
            let end = (0..=LINE_LIMIT)
                .rev()
                .find(|at| self.0.is_char_boundary(*at));
            self.0.truncate(end.unwrap_or(0));
            self.0.push_str("...");
        }
        if self.0.contains(char::is_control) {
            self.0 = self.0.replace(char::is_control, " ");
        }
    }
}

impl Visit for Line {
    /// Not used. The default would print it, which costs 10 kB of code.
    fn record_f64(&mut self, _: &Field, _: f64) {}

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_line_feed_and_a_maximum_length() {
        let mut line = Line("a\nb\r".to_owned() + &"ä".repeat(LINE_LIMIT));
        line.cut();
        assert!(line.0.starts_with("a b "));
        assert!(line.0.len() <= LINE_LIMIT + 3 && line.0.ends_with("..."));
    }

    /// Not a test by itself, but run by the next one.
    #[test]
    #[ignore = "it panics, in a process of its own"]
    fn panics_with_a_log() {
        let sandbox = std::env::var_os("COOK_TEST_SANDBOX").expect("the next test sets it");
        let log = Log::open(Path::new(&sandbox), Level::INFO);
        tracing::subscriber::set_global_default(log).expect("the only one");
        log_panics();
        let none: [u8; 0] = std::hint::black_box([]);
        let at = std::hint::black_box(7);
        let _ = std::hint::black_box(none[at]);
    }

    #[test]
    fn a_panic_writes_one_line_with_its_location() {
        let sandbox = std::env::temp_dir().join(format!("cook-panic-{}", std::process::id()));
        std::fs::create_dir(&sandbox).expect("a folder of ours");
        let this = std::env::current_exe().expect("this program");
        let output = std::process::Command::new(this)
            .args([
                "--exact",
                "--ignored",
                "world::log::tests::panics_with_a_log",
            ])
            .env("COOK_TEST_SANDBOX", &sandbox)
            .output()
            .expect("this program");
        assert!(!output.status.success());
        let log = std::fs::read_to_string(sandbox.join(FILE_NAME)).expect("a log");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(
            log.contains(" ERROR panicked at src/executor/world/log.rs:"),
            "{log}"
        );
        std::fs::remove_dir_all(&sandbox).expect("ours");
    }
}

//! `executor.log` in the sandbox: enough to explain an incident alone.
//!
//! One line per event in one `write`, never an environment value or a token. Logging never fails the
//! task: lines that cannot be written are counted and their number is written later. The size is
//! bounded: chatter stops first, what explains the task's end has room of its own.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The file's name in the sandbox.
pub const FILE_NAME: &str = "executor.log";

/// DEBUG lines stop when the file has this many bytes.
const CHATTER_LIMIT: u64 = 1 << 20;

/// All lines stop at this size. The sandbox's disk quota is the task's.
const SIZE_LIMIT: u64 = 2 << 20;

/// A line longer than this is cut: the agent and the task can put any text into one.
const LINE_LIMIT: usize = 2048;

/// Says one line on stderr, for what happens before there is a log or without one. Nobody may read it:
/// `eprintln!` would panic then.
pub fn complain(text: &str) {
    let _ = std::io::stderr().write_all(format!("cook-executor: {text}\n").as_bytes());
}

/// Writes events of a level or above to a file.
pub struct Log {
    level: Level,
    file: Mutex<File>,
}

struct File {
    descriptor: Option<OwnedFd>,
    size: u64,
    lost: u64,
    /// The last line without its time, and how often it came again.
    last: String,
    repeated: u64,
}

// === impl Log ===

impl Log {
    /// Opens the log in `sandbox`, appending to what is there.
    ///
    /// A file that cannot be opened is said once on stderr; the executor runs without a log then.
    pub fn open(sandbox: &Path, level: Level) -> Self {
        let path = sandbox.join(FILE_NAME);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(&path, flags, Mode::from(0o644));
        let descriptor = descriptor.inspect_err(|error| {
            complain(&format!("failed to open {}: {error}", path.display()));
        });
        let descriptor = descriptor.ok();
        let stat = descriptor
            .as_ref()
            .and_then(|file| rustix::fs::fstat(file).ok());
        Self {
            level,
            file: Mutex::new(File {
                descriptor,
                size: stat.map_or(0, |stat| stat.st_size.unsigned_abs()),
                lost: 0,
                last: String::new(),
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
        let level = *event.metadata().level();
        let mut line = Line(String::with_capacity(128));
        event.record(&mut line);
        line.cut();
        // Nobody panics while holding it.
        if let Ok(mut file) = self.file.lock() {
            file.write(level, line.0);
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
    fn write(&mut self, level: Level, line: String) {
        if line == self.last {
            self.repeated += 1;
            return;
        }
        if self.repeated > 0 {
            let text = format!("the last line came {} more times", self.repeated);
            self.repeated = 0;
            self.write_line(level, &text);
        }
        self.write_line(level, &line);
        self.last = line;
    }

    fn write_line(&mut self, level: Level, text: &str) {
        let Some(descriptor) = &self.descriptor else {
            return;
        };
        let limit = if level <= Level::INFO {
            SIZE_LIMIT
        } else {
            CHATTER_LIMIT
        };
        let mut out = String::with_capacity(text.len() + 64);
        // Writing to a String cannot fail.
        let _ = write!(out, "{} {level} ", Timestamp::now());
        if self.lost > 0 {
            let _ = write!(out, "({} lines lost before this one) ", self.lost);
        }
        out.push_str(text);
        out.push('\n');
        let size = self.size + out.len() as u64;
        if size <= limit && rustix::io::write(descriptor, out.as_bytes()).is_ok() {
            self.size = size;
            self.lost = 0;
        } else {
            self.lost += 1;
        }
    }
}

/// Collects an event's message and fields: `message key=value ...`.
struct Line(String);

// === impl Line ===

impl Line {
    /// Line feeds would forge lines, and an endless one would fill the file.
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
    /// Nothing logs one; the default would print it, which costs 10 kB of code.
    fn record_f64(&mut self, _: &Field, _: f64) {}

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// UTC, as in `2026-11-22 09:26:01.123`.
struct Timestamp(Duration);

// === impl Timestamp ===

impl Timestamp {
    fn now() -> Self {
        Self(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Howard Hinnant's civil_from_days: years that begin in March have their leap day last.
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let milliseconds = self.0.subsec_millis();
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_calendars_have_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400, "2000-02-29 00:00:00.000"),
            (1_709_251_199, "2024-02-29 23:59:59.000"),
            (1_795_339_561, "2026-11-22 09:26:01.000"),
            (4_107_542_400, "2100-03-01 00:00:00.000"),
        ] {
            assert_eq!(Timestamp(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn a_line_is_one_line_and_not_endless() {
        let mut line = Line("a\nb\r".to_owned() + &"ä".repeat(LINE_LIMIT));
        line.cut();
        assert!(line.0.starts_with("a b "));
        assert!(line.0.len() <= LINE_LIMIT + 3 && line.0.ends_with("..."));
    }
}

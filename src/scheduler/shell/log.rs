//! The log: lines on stderr.

use std::fmt::Write as _;
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::clock::wall;
use crate::codec::calendar;

/// Maximum length of a line; longer lines are cut.
const MAX_LINE: usize = 2048;

/// Writes a line, with the time unless the systemd journal adds it.
pub fn line(text: impl std::fmt::Display) {
    let mut shown = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => String::new(),
        None => format!("{} ", calendar::shown(wall())),
    };
    shown += &printable(&text.to_string());
    write(shown);
}

/// Explains why the program cannot start.
pub fn complain(text: &str) {
    write(format!("cook-scheduler: {}", printable(text)));
}

/// Cuts a text to the maximum length, and escapes control characters: it may contain text from clients or files.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for letter in text[..text.floor_char_boundary(MAX_LINE)].chars() {
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

fn write(mut line: String) {
    line.push('\n');
    // An error is ignored: if stderr is closed, nobody reads it.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The module whose INFO lines are logged too, because they report subscriptions.
const VERBOSE: &str = "cook_scheduler::backend::mesos";

/// Logs the warnings and errors of libraries from now on.
pub fn listen() {
    // Fails only if another subscriber is set, which this program never does.
    let _ = tracing::subscriber::set_global_default(Listener);
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = *metadata.level();
        level <= Level::WARN || level <= Level::INFO && metadata.target() == VERBOSE
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        line(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Formats an event: its message, then its fields.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

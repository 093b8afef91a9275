//! Lines for the operator, to stderr.

use std::io::Write;

use super::clock::wall;
use crate::codec::calendar;

/// The longest line; what is longer is cut.
const MAX_LINE: usize = 2048;

/// Writes one line, with the time unless the journal adds its own. What would break the line, or do
/// something to a terminal, is escaped: lines repeat what clients have sent.
pub fn line(text: impl std::fmt::Display) {
    let text = text.to_string();
    let mut shown = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => String::new(),
        None => format!("{} ", calendar::shown(wall())),
    };
    for letter in text[..text.floor_char_boundary(MAX_LINE)].chars() {
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown.push('\n');
    // Where stderr is closed, nobody reads.
    let _ = std::io::stderr().write_all(shown.as_bytes());
}

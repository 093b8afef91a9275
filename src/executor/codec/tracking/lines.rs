//! Finds the latest progress in what a task writes to a file, in any pieces.
//!
//! Only the latest value counts, so each piece is searched from its end. A line that is written in parts is
//! read as a whole. `\r` ends a line like `\n`, and so do the escape sequences with which progress bars are
//! drawn. A line without an end takes a bounded amount of memory.

use std::borrow::Cow;

use crate::codec::tracking::escapes::Escapes;
use crate::codec::tracking::pattern::{Braces, Pattern};
use crate::core::progress::Reading;

/// The state of the last, unfinished line.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The length up to which every match is found, in bytes.
    limit: usize,
    /// The unfinished line. If it is long, only its last part is kept, less than twice the limit.
    open: Vec<u8>,
    /// The braces that are open before `open`.
    braces: Braces,
    escapes: Escapes,
    /// Whether `open` was searched as if it had ended.
    is_settled: bool,
}

// === impl Lines ===

impl Lines {
    /// Finds every match of up to `limit` bytes. A line that is longer than twice the limit is searched in
    /// parts, as if they were lines.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            open: Vec::new(),
            braces: Braces::default(),
            escapes: Escapes::default(),
            is_settled: true,
        }
    }

    /// Takes the next piece of text, and returns the latest progress in all complete lines.
    pub fn take(&mut self, pattern: &Pattern, text: &[u8]) -> Option<Reading> {
        let text = match pattern.reads_escapes() {
            true => Cow::Borrowed(text),
            false => self.escapes.strip(text),
        };
        self.take_plain(pattern, &text)
    }

    fn take_plain(&mut self, pattern: &Pattern, text: &[u8]) -> Option<Reading> {
        let (Some(first), Some(last)) = (
            memchr::memchr2(b'\n', b'\r', text),
            memchr::memrchr2(b'\n', b'\r', text),
        ) else {
            return self.extend(pattern, text);
        };
        let oldest = self.extend(pattern, &text[..first]);
        let oldest = self.end_line(pattern).or(oldest);
        let newest = self.newest(pattern, &text[first..last]);
        let unfinished = self.extend(pattern, &text[last + 1..]);
        unfinished.or(newest).or(oldest)
    }

    /// The text ends here, and with it the unfinished line.
    pub fn end(&mut self, pattern: &Pattern) -> Option<Reading> {
        self.escapes.reset();
        self.end_line(pattern)
    }

    fn end_line(&mut self, pattern: &Pattern) -> Option<Reading> {
        let reading = self.settle(pattern);
        self.begin_line();
        reading
    }

    /// Searches the unfinished line as if it had ended. It is searched again if it continues.
    pub fn settle(&mut self, pattern: &Pattern) -> Option<Reading> {
        match std::mem::replace(&mut self.is_settled, true) {
            true => None,
            false => pattern.read_behind(self.braces, &self.open),
        }
    }

    /// Drops the unfinished line, because the following text does not continue it.
    pub fn clear(&mut self) {
        self.escapes.reset();
        self.begin_line();
    }

    fn begin_line(&mut self) {
        self.open.clear();
        self.braces = Braces::default();
        self.is_settled = true;
    }

    /// How many bytes before a position to start reading, so that every match in its line is found.
    pub fn overlap(&self) -> u64 {
        2 * self.limit as u64
    }

    /// Whether there is something to search for [`Self::settle`].
    pub fn is_unsettled(&self) -> bool {
        !self.is_settled
    }

    /// Extends the unfinished line.
    fn extend(&mut self, pattern: &Pattern, text: &[u8]) -> Option<Reading> {
        let mut newest = None;
        for piece in text.chunks(self.limit) {
            self.open.extend_from_slice(piece);
            self.is_settled = false;
            if self.open.len() >= 2 * self.limit {
                let window = &self.open[..2 * self.limit];
                newest = pattern.read_behind(self.braces, window).or(newest);
                self.braces = self.braces.after(&self.open[..self.limit]);
                self.open.drain(..self.limit);
            }
        }
        newest
    }

    /// The latest progress in complete lines.
    fn newest(&self, pattern: &Pattern, mut lines: &[u8]) -> Option<Reading> {
        while let Some(at) = pattern.last_candidate(lines) {
            let before = memchr::memrchr2(b'\n', b'\r', &lines[..at]);
            let start = before.map_or(0, |end| end + 1);
            let length = memchr::memchr2(b'\n', b'\r', &lines[at..]);
            let end = length.map_or(lines.len(), |length| at + length);
            let reading = self.newest_in_line(pattern, &lines[start..end]);
            if reading.is_some() {
                return reading;
            }
            lines = &lines[..before?];
        }
        None
    }

    /// Searches a long line in overlapping windows as [`Self::extend`] does, the last one first.
    fn newest_in_line(&self, pattern: &Pattern, line: &[u8]) -> Option<Reading> {
        let last = line.len().saturating_sub(self.limit + 1) / self.limit;
        (0..=last).rev().find_map(|index| {
            let start = index * self.limit;
            let end = line.len().min(start + 2 * self.limit);
            let braces = Braces::default().after(&line[..start]);
            pattern.read_behind(braces, &line[start..end])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16;

    fn pattern() -> Pattern {
        Pattern::new("p: ([0-9]+) (.*)").expect("a pattern")
    }

    /// The percentages after each piece of text, and at the end.
    fn read(pieces: &[&str]) -> Vec<Option<f64>> {
        let (pattern, mut lines) = (pattern(), Lines::new(LIMIT));
        let percent = |reading: Option<Reading>| reading.map(|reading| reading.percent.get());
        let mut found: Vec<_> = pieces
            .iter()
            .map(|piece| percent(lines.take(&pattern, piece.as_bytes())))
            .collect();
        found.push(percent(lines.end(&pattern)));
        found
    }

    #[test]
    fn the_newest_valid_line_of_a_piece_wins() {
        assert_eq!(read(&["p: 1 a\np: 2 b\n"]), [Some(2.0), None]);
        assert_eq!(read(&["p: 1 a\np: 200 b\nx\n"]), [Some(1.0), None]);
        assert_eq!(read(&["x\n\n\ny\n"]), [None, None]);
    }

    #[test]
    fn a_line_in_pieces_is_read_as_a_whole() {
        assert_eq!(read(&["p: 1", "0 a", "\n"]), [None, None, Some(10.0), None]);
        assert_eq!(
            read(&["p: 1 a\np: 2", " b\n"]),
            [Some(1.0), Some(2.0), None]
        );
        assert_eq!(read(&["p: 1 a"]), [None, Some(1.0)]);
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        assert_eq!(read(&["\rp: 1 a\rp: 2 b\rp: 3"]), [Some(2.0), None]);
        assert_eq!(read(&["p: 1 a\r\n\r\n"]), [Some(1.0), None]);
    }

    #[test]
    fn the_last_value_of_a_bar_drawn_with_escape_sequences_is_found() {
        for draw in [
            "\x1b[2K\x1b[1G",
            "\x1b[A\x1b[2K",
            "\x1b[1000D",
            "\x1b8",
            "\x1b[H",
        ] {
            let bar = format!("{draw}p: 1 a{draw}p: 2 b{draw}p: 3 c");
            assert_eq!(read(&[&bar]), [Some(2.0), Some(3.0)], "{draw:?}");
            for cut in 0..bar.len() {
                let (first, second) = bar.split_at(cut);
                let found = read(&[first, second]);
                assert_eq!(found.last(), Some(&Some(3.0)), "{draw:?} {cut}");
            }
        }
    }

    #[test]
    fn open_braces_are_remembered_in_lines_of_any_length() {
        for before in 0..5 * LIMIT {
            let line = format!("{{{} progress: 7, x", "x".repeat(before));
            for pieces in [vec![format!("\n{line}\n")], vec![line.clone()]] {
                let mut lines = Lines::new(LIMIT);
                let pattern = Pattern::usual();
                for piece in pieces {
                    assert_eq!(lines.take(&pattern, piece.as_bytes()), None);
                }
                assert_eq!(lines.end(&pattern), None);
            }
        }
    }

    #[test]
    fn an_unfinished_line_is_read_once_and_again_when_it_continues() {
        let (pattern, mut lines) = (pattern(), Lines::new(LIMIT));
        lines.take(&pattern, b"p: 1 a");
        assert!(lines.is_unsettled());
        assert!(lines.settle(&pattern).is_some());
        assert!(!lines.is_unsettled() && lines.settle(&pattern).is_none());
        lines.take(&pattern, b"b");
        let message = lines.end(&pattern).and_then(|reading| reading.message);
        assert_eq!(message.as_deref(), Some("ab"));
    }

    #[test]
    fn a_match_is_found_anywhere_in_a_line_of_any_length() {
        for before in 0..5 * LIMIT {
            for after in [0, 1, LIMIT, 4 * LIMIT] {
                let line = format!("{}p: 7 {}", "x".repeat(before), "y".repeat(after));
                let whole = format!("\n{line}\n");
                assert_eq!(read(&[&whole]), [Some(7.0), None], "{before} {after}");
                let mut in_pieces = read(&[&line]);
                in_pieces.retain(Option::is_some);
                assert!(!in_pieces.is_empty(), "{before} {after}");
            }
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let (pattern, mut lines) = (pattern(), Lines::new(LIMIT));
        for _ in 0..1000 {
            lines.take(&pattern, &[0; 1000]);
            assert!(lines.open.len() < 2 * LIMIT);
        }
        assert!(lines.open.capacity() <= 4 * LIMIT);
    }
}

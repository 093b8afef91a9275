//! What a line has to look like to report progress: a regular expression, and a literal that tells
//! quickly that it cannot match.
//!
//! Nearly all of what a task writes reports nothing, and the expression alone takes a hundred times
//! longer to say so than a search for a literal.

use cook_mesos::duration::decimal;
use memchr::{memchr2_iter, memmem};
use regex_lite::{Captures, Regex, RegexBuilder};

use crate::codec::tracking::escapes::Escapes;
use crate::core::progress::Reading;
use crate::words::units::Percent;

/// The most that a compiled expression may take, in bytes: an expression such as `(a{1000}){1000}` would
/// need all memory, and one near this limit still reads a long line in milliseconds.
const SIZE_LIMIT: usize = 64 << 10;

/// What progress looks like where nobody says otherwise.
const DEFAULT: &str = r"progress: ([0-9]*\.?[0-9]+), (.*)";

/// Of a line, so many pieces outside of braces are tried: a line full of braces must not take for ever.
const MAX_PIECES: usize = 16;

/// Finds progress in lines.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Stands in every text that matches; empty if none is known.
    literal: Vec<u8>,
    /// Nothing inside a brace that is still open counts.
    minds_braces: bool,
    /// It is about escape sequences itself.
    reads_escapes: bool,
}

/// How many braces a text has opened and not closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Braces(usize);

/// Why a text is no pattern, in the engine's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub String);

// === impl Pattern ===

impl Pattern {
    /// Takes a regular expression in the syntax of the `regex-lite` crate: that of most engines, without
    /// look-around, back-references and Unicode classes.
    ///
    /// Its first group is the percentage, its second the message; without groups all that matches is
    /// the percentage.
    ///
    /// # Errors
    ///
    /// The expression is malformed, unsupported or too large.
    pub fn new(expression: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(expression)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| PatternError(error.to_string()))?;
        let literal = longest_literal(expression.as_bytes());
        Ok(Self {
            regex,
            literal,
            minds_braces: false,
            reads_escapes: names_escape(expression),
        })
    }

    /// What the executor looks for if no expression is set: `progress: 25, on it`.
    ///
    /// A shell that traces its commands (`set -x`) shows a request to the task API such as
    /// `{progress: 20, message: "twenty"}`, which looks like this and is none: what stands inside a brace
    /// that was opened in the same line and is still open does not count. An expression that somebody has
    /// chosen has no such exception.
    pub fn usual() -> Self {
        Self {
            minds_braces: true,
            ..Self::new(DEFAULT).expect("the tests read it")
        }
    }

    /// Whether it has to see escape sequences, because it is about them.
    pub fn reads_escapes(&self) -> bool {
        self.reads_escapes
    }

    /// What one line reports: the first match counts, if its percentage is a number from 0 to 100.
    ///
    /// Bytes that are not UTF-8 count as U+FFFD.
    pub fn read(&self, line: &[u8]) -> Option<Reading> {
        self.read_behind(Braces::default(), line)
    }

    /// The same for the rest of a line whose beginning has left these braces open.
    pub fn read_behind(&self, open: Braces, line: &[u8]) -> Option<Reading> {
        self.last_candidate(line)?;
        let line = String::from_utf8_lossy(line);
        let captures = match self.minds_braces {
            false => self.regex.captures(&line)?,
            true => self.outside_braces(open, &line)?,
        };
        // Group 0 is the whole match; one that took no part is an empty text.
        let groups = self.regex.captures_len() - 1;
        let group = |index| {
            captures
                .get(index)
                .map_or("", |group| group.as_str())
                .trim()
        };
        let percent = percent(group(groups.min(1)))?;
        let message = (groups > 1).then(|| plain(group(2)));
        Some(Reading { percent, message })
    }

    /// The first match that begins where no brace is open.
    fn outside_braces<'a>(&self, mut open: Braces, line: &'a str) -> Option<Captures<'a>> {
        let mut at = 0;
        for _ in 0..MAX_PIECES {
            let captures = self.regex.captures_at(line, at)?;
            let start = captures.get(0)?.start();
            open = open.after(&line.as_bytes()[at..start]);
            if open == Braces::default() {
                return Some(captures);
            }
            at = start + open.closed_in(&line.as_bytes()[start..])?;
            open = Braces::default();
        }
        None
    }

    /// A byte in the last part of `text` that a match may include; nothing behind the line it is in can
    /// match. `None` if nothing in `text` can.
    pub fn last_candidate(&self, text: &[u8]) -> Option<usize> {
        // Forwards it is much faster, and mostly all that is needed.
        memmem::find(text, &self.literal)?;
        memmem::rfind(text, &self.literal)
    }
}

/// Reads a decimal number without an exponent, such as `54`, `075.5` or `.5`.
pub fn percent(text: &str) -> Option<Percent> {
    let (parts, scale) = decimal(text.strip_prefix('+').unwrap_or(text))?;
    let parts = u64::try_from(parts).ok()?;
    Percent::new(parts as f64 / scale as f64)
}

/// Without the escape sequences that an expression may have let into a message.
fn plain(message: &str) -> String {
    let text = Escapes::default().strip(message.as_bytes()).into_owned();
    let text = String::from_utf8_lossy(&text).replace('\r', " ");
    text.trim().to_owned()
}

/// Whether an expression says ESC in any of the ways that there are.
fn names_escape(expression: &str) -> bool {
    let lower = expression.to_ascii_lowercase();
    let names = [
        r"\x1b",
        r"\x{1b}",
        r"\u001b",
        r"\u{1b}",
        r"\u{001b}",
        "\u{1b}",
    ];
    names.iter().any(|name| lower.contains(name))
}

// === impl Braces ===

impl Braces {
    /// With the braces of some more text.
    #[must_use]
    pub fn after(self, text: &[u8]) -> Self {
        let one = |Self(open), at: usize| match text[at] {
            b'{' => Self(open + 1),
            _ => Self(open.saturating_sub(1)),
        };
        memchr2_iter(b'{', b'}', text).fold(self, one)
    }

    /// Where in a text the last of them is closed: the place behind its end.
    fn closed_in(mut self, text: &[u8]) -> Option<usize> {
        memchr2_iter(b'{', b'}', text).find_map(|at| {
            self = self.after(&text[at..=at]);
            (self == Self::default()).then_some(at + 1)
        })
    }
}

// === impl PatternError ===

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

/// The longest run of plain characters that stands in every match of `expression`, which is valid.
/// Empty where that is not certain: it only ever saves time.
fn longest_literal(expression: &[u8]) -> Vec<u8> {
    let mut longest = Vec::new();
    let mut run = Vec::new();
    let mut rest = expression.iter().copied().peekable();
    let mut depth = 0_usize;
    while let Some(byte) = rest.next() {
        // A character that stands for itself; anything else ends the run.
        let mut plain = None;
        match byte {
            // Flags such as (?i) change what follows; a named group is harmless, but rare.
            b'(' if rest.peek() == Some(&b'?') => return Vec::new(),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return Vec::new(),
            b'[' => skip_class(&mut rest),
            b'\\' => match rest.next() {
                // The code of a character follows.
                Some(b'x' | b'u' | b'U') | None => return Vec::new(),
                // These are the ends of a word.
                Some(b'<' | b'>') => {}
                Some(escaped) if escaped.is_ascii_punctuation() => plain = Some(escaped),
                Some(_) => {}
            },
            // Whatever is before it may be missing.
            b'*' | b'?' | b'{' => {
                pop_character(&mut run);
                while byte == b'{' && rest.next().is_some_and(|inner| inner != b'}') {}
            }
            b'+' | b'.' | b'^' | b'$' | b'|' => {}
            other => plain = Some(other),
        }
        match plain {
            Some(plain) if depth == 0 => run.push(plain),
            _ => take_longer(&mut longest, &mut run),
        }
    }
    take_longer(&mut longest, &mut run);
    longest
}

fn take_longer(longest: &mut Vec<u8>, run: &mut Vec<u8>) {
    if run.len() > longest.len() {
        std::mem::swap(longest, run);
    }
    run.clear();
}

/// Removes the last character, which may have several bytes.
fn pop_character(run: &mut Vec<u8>) {
    while run.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// Skips a class such as `[^]0-9[:alpha:]\]]`, whose `[` is gone.
fn skip_class(rest: &mut impl Iterator<Item = u8>) {
    let mut depth = 1_usize;
    let mut is_first = true;
    while depth > 0 {
        match rest.next() {
            Some(b'\\') => drop(rest.next()),
            Some(b'^') if is_first => continue,
            Some(b'[') => depth += 1,
            Some(b']') if !is_first => depth -= 1,
            Some(_) => {}
            None => return,
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULER: &str = r"progress:\s+([0-9]*\.?[0-9]+)($|\s+.*)";
    const COOKS_TESTS: &str = r"\^\^\^\^JOB-PROGRESS:\s+([0-9]*\.?[0-9]+)($|\s+.*)";

    fn pattern(expression: &str) -> Pattern {
        Pattern::new(expression).expect("a pattern")
    }

    fn read(expression: &str, line: &str) -> Option<(f64, Option<String>)> {
        let reading = pattern(expression).read(line.as_bytes())?;
        Some((reading.percent.get(), reading.message))
    }

    fn both(percent: f64, message: &str) -> Option<(f64, Option<String>)> {
        Some((percent, Some(message.to_owned())))
    }

    #[test]
    fn two_groups_are_the_percentage_and_the_message() {
        assert_eq!(read(DEFAULT, "progress: 25, on it "), both(25.0, "on it"));
        assert_eq!(read(DEFAULT, "x progress: .5, half"), both(0.5, "half"));
        assert_eq!(read(DEFAULT, "progress: 25"), None);
        assert_eq!(read(SCHEDULER, "progress:  7"), both(7.0, ""));
        assert_eq!(read(SCHEDULER, "progress: 7done"), None);
    }

    /// The lines of Cook's own test (executor/tests/test_progress.py, line 15).
    #[test]
    fn cooks_own_lines_are_read_as_by_cook() {
        let lines = [
            ("One percent complete", None),
            ("^^^^JOB-PROGRESS: 1done", None),
            ("^^^^JOB-PROGRESS: 1.0done", None),
            ("^^^^JOB-PROGRESS 1 percent", None),
            ("JOB-PROGRESS: 1 percent", None),
            ("^^^^JOB-PROGRESS: 1", both(1.0, "")),
            ("^^^^JOB-PROGRESS:    1", both(1.0, "")),
            ("^^^^JOB-PROGRESS: 1    ", both(1.0, "")),
            ("^^^^JOB-PROGRESS: 1 done", both(1.0, "done")),
            ("^^^^JOB-PROGRESS: 075 x", both(75.0, "x")),
            ("^^^^JOB-PROGRESS: F50 x", None),
            ("^^^^JOB-PROGRESS: 121212121212121212 x", None),
            ("^^^^JOB-PROGRESS: 100.1 x", None),
            ("^^^^JOB-PROGRESS: 2.2\tTwo", both(2.2, "Two")),
        ];
        for (line, reading) in lines {
            assert_eq!(read(COOKS_TESTS, line), reading, "{line:?}");
        }
    }

    #[test]
    fn the_usual_pattern_finds_nothing_inside_an_open_brace() {
        let read = |line: &str| {
            let reading = Pattern::usual().read(line.as_bytes())?;
            Some((reading.percent.get(), reading.message))
        };
        for line in [
            r#"+ curl -X PATCH -d '{progress: 20, message: "twenty"}' http://127.0.0.1:1/task/a"#,
            "{progress: 20, message: twenty}",
            "{env: {A: b}, progress: 20, message: x",
            "x { y { z } progress: 20, x",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        for line in [
            "progress: 20, twenty",
            "+ echo ${NAME} progress: 20, twenty",
            "} progress: 20, twenty",
            "{progress: 10, x} {progress: 15, y} progress: 20, twenty",
        ] {
            assert_eq!(read(line), both(20.0, "twenty"), "{line}");
        }
        assert_eq!(read("progress: 20, in {braces}"), both(20.0, "in {braces}"));
        // The braces of the beginning of a line that was read before.
        let open = Braces::default().after(b"curl -d '{a: ");
        assert_eq!(Pattern::usual().read_behind(open, b"progress: 1, x"), None);
        assert!(
            Pattern::usual()
                .read_behind(open, b"} progress: 1, x")
                .is_some()
        );
    }

    #[test]
    fn an_expression_that_somebody_has_chosen_has_no_exception() {
        for expression in [DEFAULT, SCHEDULER] {
            assert!(read(expression, "{progress: 20 , x} {progress: 20, x}").is_some());
        }
    }

    #[test]
    fn no_expression_lets_an_escape_sequence_into_a_message() {
        let expression = r"\x1b\[G(\d+)% (.*)";
        assert!(pattern(expression).reads_escapes());
        assert!(!pattern(SCHEDULER).reads_escapes());
        let line = "\x1b[G50% \x1b[1mhalf\x1b[m";
        assert_eq!(read(expression, line), both(50.0, "half"));
    }

    #[test]
    fn less_than_two_groups_leave_the_message_and_more_are_ignored() {
        assert_eq!(read(r"at (\d+)%", "at 50%"), Some((50.0, None)));
        assert_eq!(read(r"\d+", "at 50%"), Some((50.0, None)));
        assert_eq!(read(r"(\d+) (\w+) (\w+)", "1 b c"), both(1.0, "b"));
        assert_eq!(read(r"(nan|\d+)", "nan"), None);
    }

    #[test]
    fn what_is_not_utf_8_does_not_hide_the_rest() {
        let reading = pattern(DEFAULT).read(b"\xff progress: 5, a\xffb");
        let reading = reading.expect("it matches");
        assert_eq!(reading.message.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn an_expression_that_would_take_all_memory_is_refused() {
        assert!(Pattern::new("((a{1000}){1000}){1000}").is_err());
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new(r"(?<=x)\d+").is_err());
    }

    #[test]
    fn the_literal_is_part_of_every_match() {
        for (expression, literal) in [
            (DEFAULT, "progress: "),
            (SCHEDULER, "progress:"),
            (COOKS_TESTS, "^^^^JOB-PROGRESS:"),
            (r"message: (\d*) (.*)", "message: "),
            (r"abc?d", "ab"),
            (r"äö?", "ä"),
            (r"ab{0,2}cd", "cd"),
            (r"(abcdef)?x", "x"),
            (r"a[]b]c", "a"),
            (r"a[^]xyz[:alpha:]uvw\]]bc", "bc"),
            (r"abc|d", ""),
            (r"(?i)abc", ""),
            (r"\x41bc", ""),
            (r"\d+", ""),
        ] {
            assert_eq!(
                pattern(expression).literal,
                literal.as_bytes(),
                "{expression}"
            );
        }
    }

    #[test]
    fn percentages_are_read_as_people_write_them() {
        let value_of = |text| percent(text).map(Percent::get);
        for (text, value) in [
            ("0", 0.0),
            ("100", 100.0),
            ("100.0", 100.0),
            ("54.5", 54.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("+5", 5.0),
            ("0000000000000000000075", 75.0),
            ("99.99999999999999999999999999", 100.0),
            ("33.3", 33.3),
            ("0.1", 0.1),
        ] {
            assert_eq!(value_of(text), Some(value), "{text:?}");
        }
        for wrong in [
            "",
            ".",
            "+",
            "-1",
            "100.1",
            "1e1",
            "1 ",
            "1.2.3",
            "nan",
            "99999999999999999999999",
        ] {
            assert_eq!(value_of(wrong), None, "{wrong:?}");
        }
    }
}

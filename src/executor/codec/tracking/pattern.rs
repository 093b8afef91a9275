//! The pattern of progress: a regular expression, and a literal that every match contains.
//!
//! Almost all output contains no progress, and the search for a literal rejects it a hundred times faster
//! than the expression.

use cook_mesos::duration::decimal;
use memchr::{memchr2_iter, memmem};
use regex_lite::{Captures, Regex, RegexBuilder};

use crate::codec::tracking::escapes::Escapes;
use crate::core::progress::Reading;
use crate::words::units::Percent;

/// Maximum size of a compiled expression in bytes. An expression such as `(a{1000}){1000}` would need all
/// memory, and one near this limit still searches a long line in milliseconds.
const SIZE_LIMIT: usize = 64 << 10;

/// The default expression.
const DEFAULT: &str = r"progress: ([0-9]*\.?[0-9]+), (.*)";

/// How many parts of a line outside of braces are tried, so that a line full of braces does not take long.
const MAX_PIECES: usize = 16;

/// Finds progress in lines.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// A text that every match contains; empty if none is known.
    literal: Vec<u8>,
    /// Whether matches inside an open brace are ignored.
    minds_braces: bool,
    /// Whether the expression matches escape sequences, which therefore must not be removed.
    reads_escapes: bool,
}

/// The number of braces that were opened and not closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Braces(usize);

/// Why an expression is invalid, in the words of the regex-lite crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub String);

// === impl Pattern ===

impl Pattern {
    /// Compiles a regular expression in the syntax of the `regex-lite` crate, which is that of most engines
    /// without look-around, back-references and Unicode classes.
    ///
    /// Its first group is the percentage, its second one the message. Without groups, the whole match is
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

    /// The default pattern. It matches lines such as `progress: 25, on it`.
    ///
    /// A shell with `set -x` prints its commands before it runs them. So the output can contain the text of a
    /// request to the task API, such as `curl -d '{progress: 20, message: "twenty"}' ...`, which the pattern
    /// matches too. Therefore this pattern ignores matches inside a brace that was opened in the same line.
    /// Patterns that are set by a job or an operator match everywhere.
    pub fn usual() -> Self {
        Self {
            minds_braces: true,
            ..Self::new(DEFAULT).expect("the tests read it")
        }
    }

    /// Whether escape sequences must not be removed, because the expression matches them.
    pub fn reads_escapes(&self) -> bool {
        self.reads_escapes
    }

    /// The progress in a line: the first match, if its percentage is a number from 0 to 100. Bytes that are
    /// not UTF-8 count as U+FFFD.
    pub fn read(&self, line: &[u8]) -> Option<Reading> {
        self.read_behind(Braces::default(), line)
    }

    /// The same for the rest of a line. `open` is the state of braces at its beginning.
    pub fn read_behind(&self, open: Braces, line: &[u8]) -> Option<Reading> {
        self.last_candidate(line)?;
        let line = String::from_utf8_lossy(line);
        let captures = match self.minds_braces {
            false => self.regex.captures(&line)?,
            true => self.outside_braces(open, &line)?,
        };
        // Group 0 is the whole match. A group without a match is an empty text.
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

    /// The first match that begins outside of braces.
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

    /// A byte in the last part of `text` that a match may contain; no match is after its line. `None` if
    /// there is no match.
    pub fn last_candidate(&self, text: &[u8]) -> Option<usize> {
        // The forward search is much faster, and usually enough.
        memmem::find(text, &self.literal)?;
        memmem::rfind(text, &self.literal)
    }
}

/// Parses a decimal number without an exponent, such as `54`, `075.5` or `.5`.
pub fn percent(text: &str) -> Option<Percent> {
    let (parts, scale) = decimal(text.strip_prefix('+').unwrap_or(text))?;
    let parts = u64::try_from(parts).ok()?;
    Percent::new(parts as f64 / scale as f64)
}

/// Removes escape sequences from a message, and the characters that begin one by themselves (C1, such as U+009B):
/// messages are shown on terminals.
fn plain(message: &str) -> String {
    let text = Escapes::default().strip(message.as_bytes()).into_owned();
    let text = String::from_utf8_lossy(&text).replace(['\r', '\u{9b}', '\u{9d}', '\u{90}'], " ");
    text.trim().to_owned()
}

/// Whether an expression contains ESC in any notation.
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
    /// Adds the braces of more text.
    #[must_use]
    pub fn after(self, text: &[u8]) -> Self {
        let one = |Self(open), at: usize| match text[at] {
            b'{' => Self(open + 1),
            _ => Self(open.saturating_sub(1)),
        };
        memchr2_iter(b'{', b'}', text).fold(self, one)
    }

    /// The place after the closing brace that closes all open ones.
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

/// The longest literal text that every match of the valid expression contains. Empty if that is not
/// certain: the literal only saves time.
fn longest_literal(expression: &[u8]) -> Vec<u8> {
    let mut longest = Vec::new();
    let mut run = Vec::new();
    let mut rest = expression.iter().copied().peekable();
    let mut depth = 0_usize;
    while let Some(byte) = rest.next() {
        // A literal character. Anything else ends the literal.
        let mut plain = None;
        match byte {
            // Flags such as (?i) change the meaning of what follows. Named groups would be harmless, but
            // are rare.
            b'(' if rest.peek() == Some(&b'?') => return Vec::new(),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return Vec::new(),
            b'[' => skip_class(&mut rest),
            b'\\' => match rest.next() {
                // A character code follows.
                Some(b'x' | b'u' | b'U') | None => return Vec::new(),
                // Word boundaries.
                Some(b'<' | b'>') => {}
                Some(escaped) if escaped.is_ascii_punctuation() => plain = Some(escaped),
                Some(_) => {}
            },
            // The character before it is optional.
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

/// Removes the last character, including all of its bytes.
fn pop_character(run: &mut Vec<u8>) {
    while run.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// Skips a class such as `[^]0-9[:alpha:]\]]` after its `[`.
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
    fn lines_are_read_as_in_cooks_own_test() {
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
        // Braces that were opened in a part of the line that was read before.
        let open = Braces::default().after(b"curl -d '{a: ");
        assert_eq!(Pattern::usual().read_behind(open, b"progress: 1, x"), None);
        assert!(
            Pattern::usual()
                .read_behind(open, b"} progress: 1, x")
                .is_some()
        );
    }

    #[test]
    fn a_configured_expression_has_no_exception_for_braces() {
        for expression in [DEFAULT, SCHEDULER] {
            assert!(read(expression, "{progress: 20 , x} {progress: 20, x}").is_some());
        }
    }

    #[test]
    fn a_message_never_contains_an_escape_sequence() {
        let expression = r"\x1b\[G(\d+)% (.*)";
        assert!(pattern(expression).reads_escapes());
        assert!(!pattern(SCHEDULER).reads_escapes());
        let line = "\x1b[G50% \x1b[1mhalf\x1b[m";
        assert_eq!(read(expression, line), both(50.0, "half"));
    }

    #[test]
    fn fewer_than_two_groups_give_no_message_and_more_are_ignored() {
        assert_eq!(read(r"at (\d+)%", "at 50%"), Some((50.0, None)));
        assert_eq!(read(r"\d+", "at 50%"), Some((50.0, None)));
        assert_eq!(read(r"(\d+) (\w+) (\w+)", "1 b c"), both(1.0, "b"));
        assert_eq!(read(r"(nan|\d+)", "nan"), None);
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_prevent_a_match() {
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

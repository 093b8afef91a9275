//! JSON as people type it on a command line: `{progress: 10}` is as good as `{"progress": 10}`.
//!
//! Strict JSON is read as strict JSON. Only what fails is tried again with keys quoted, single quotes
//! doubled and trailing commas left out. The strict parser reads that text too, so nothing comes out
//! that JSON cannot say, and its limit on nesting holds: the rewriting itself does not recurse.

use std::fmt;

use serde_json::{Error, Value};

/// Some editors put it before a text in a file, and `curl -d @file` sends it along.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a text cannot be read: in words, with line and column of the text as it was written.
#[derive(Debug)]
pub struct Wrong(String);

/// Reads a value; of a key that is given twice, the last one counts.
///
/// # Errors
///
/// What the strict parser says when the lenient forms are out of its way: a key without quotes is not what
/// is wrong with `{message: hello}`.
pub fn read(text: &[u8]) -> Result<Value, Wrong> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    serde_json::from_slice(text).or_else(|_| {
        let (strict, _) = strict(text, usize::MAX);
        serde_json::from_slice(&strict).map_err(|error| Wrong::new(&error, &strict, text))
    })
}

// === impl Wrong ===

impl Wrong {
    /// What `error` says about `strict`, with the place in `text` that it was made of.
    fn new(error: &Error, strict: &[u8], text: &[u8]) -> Self {
        // No line feed comes or goes in the rewriting.
        let lines = strict.split_inclusive(|byte| *byte == b'\n');
        let before: usize = lines.take(error.line() - 1).map(<[u8]>::len).sum();
        let at = before + error.column();
        let (written, read) = self::strict(text, at);
        let place = read - (written.len() - at.min(written.len())).min(read);
        let line = text[..place].split(|byte| *byte == b'\n').next_back();
        let column = line.unwrap_or_default().len();
        let said = error.to_string();
        let words = said.rsplit_once(" at line ").map_or(&*said, |it| it.0);
        Self(format!("{words} at line {} column {column}", error.line()))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// The text with each lenient form replaced by its strict one; anything else stays as wrong as it was.
/// It ends with the token that makes it as long as `enough`, and comes with the length of what it was
/// made of.
fn strict(text: &[u8], enough: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    // The last byte before `rest` that is not blank.
    let mut last = 0;
    let mut rest = text;
    while let Some(&byte) = rest.first()
        && out.len() < enough
    {
        let length = match byte {
            b'"' | b'\'' => string_length(rest),
            _ if in_word(byte) => rest.iter().take_while(|byte| in_word(**byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        // Asked only of tokens that are not blank: else a row of blanks would cost its square.
        let next = || rest.trim_ascii_start().first();
        match byte {
            b'\'' => requote(token, &mut out),
            _ if starts_key(byte) && next() == Some(&b':') => {
                out.push(b'"');
                out.extend_from_slice(token);
                out.push(b'"');
            }
            // A comma after nothing is no trailing one.
            b',' if !matches!(last, b'{' | b'[' | b',') && matches!(next(), Some(b'}' | b']')) => {}
            _ => out.extend_from_slice(token),
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
    }
    (out, text.len() - rest.len())
}

/// How long the string is that `text` begins with, quotes included; all of it if no quote ends it.
fn string_length(text: &[u8]) -> usize {
    let quote = text[0];
    let mut escaped = false;
    for (index, &byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Writes a single-quoted string with double quotes.
fn requote(string: &[u8], out: &mut Vec<u8>) {
    let mut inside = string[1..].iter();
    out.push(b'"');
    while let Some(&byte) = inside.next() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\'' => out.push(b'"'),
            b'\\' => match inside.next() {
                Some(b'\'') => out.push(b'\''),
                Some(&escaped) => out.extend_from_slice(&[b'\\', escaped]),
                None => out.push(b'\\'),
            },
            _ => out.push(byte),
        }
    }
}

/// A byte of a key without quotes, or of a number or literal.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'-' | b'+')
}

/// The first byte of a key without quotes; a number begins with another.
fn starts_key(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$')
}

/// What a value is, in words.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reads(text: &str) -> Option<Value> {
        read(text.as_bytes()).ok()
    }

    #[test]
    fn the_documents_examples_are_read_as_printed() {
        assert_eq!(reads("{progress: 10}"), Some(json!({"progress": 10})));
        assert_eq!(
            reads(r#"{env: {VAR_A: "123", SOME_B: null}}"#),
            Some(json!({"env": {"VAR_A": "123", "SOME_B": null}}))
        );
        assert_eq!(
            reads(r#"{"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}"#),
            Some(json!({"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}))
        );
        assert_eq!(
            reads(r#"{"progress": 100, "message": "a custom failure message"}"#),
            Some(json!({"progress": 100, "message": "a custom failure message"}))
        );
    }

    #[test]
    fn keys_need_no_quotes_strings_may_have_single_ones_and_a_comma_may_trail() {
        for (lenient, strict) in [
            ("{a:1}", json!({"a": 1})),
            ("{ a : 1 , }", json!({"a": 1})),
            ("{a:[1,2,],b:{},}", json!({"a": [1, 2], "b": {}})),
            (
                "{$a_1.b-c: true, null: null}",
                json!({"$a_1.b-c": true, "null": null}),
            ),
            ("{'a': 'b'}", json!({"a": "b"})),
            (
                r#"{'it\'s "x"\\': '\u0041\n'}"#,
                json!({"it's \"x\"\\": "A\n"}),
            ),
            (
                r#"{a: "it's {b: 1,}", 'c,}': 1e2}"#,
                json!({"a": "it's {b: 1,}", "c,}": 100.0}),
            ),
            ("{a: 'ä'}", json!({"a": "ä"})),
            ("\u{feff}{a: -1.5e-3,\r\n\t}", json!({"a": -0.0015})),
        ] {
            assert_eq!(reads(lenient), Some(strict), "{lenient}");
        }
    }

    #[test]
    fn nothing_else_is_guessed() {
        for wrong in [
            "",
            "progress: 10",
            "{progress = 10}",
            "{progress: 10",
            "{progress: 10}}",
            "{,}",
            "[,]",
            "{a:1,,}",
            "{a:,}",
            "[a:1]",
            "{a b: 1}",
            "{1a: 1}",
            "{-a: 1}",
            "{1: 1}",
            "{ä: 1}",
            "{message: hello}",
            "{a: 'it's'}",
            "{a: 'x}",
            "{a: 'x\\",
            "{a: '\n'}",
            "{'a\": 1}",
            "{a: NaN}",
            "{a: Infinity}",
            "{a: 1e999}",
            "{a: 0x10}",
            "{a: .5}",
            "{a: +1}",
            "{a: 1} // b",
            "{a: undefined}",
            r#"{a: "\ud800"}"#,
            r"{a: '\x41'}",
        ] {
            assert_eq!(reads(wrong), None, "{wrong}");
        }
        assert!(read(b"{a: '\xff'}").is_err());
        assert!(read(b"\xff\xfe{\0}\0").is_err());
    }

    #[test]
    fn strict_input_means_what_the_strict_parser_says() {
        for text in [
            r#"{"a": "x,}", "b": ["'", {"c:": "d: 'e',"}]}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"["\"", "\\", "'"]"#,
            "null",
            "[1, 2.50, -0, 1E5]",
        ] {
            let strict: Value = serde_json::from_str(text).expect("strict");
            assert_eq!(reads(text), Some(strict), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_the_end() {
        for open in ["[", "{a:", "[{a:"] {
            assert_eq!(reads(&open.repeat(60_000)), None);
        }
    }

    #[test]
    fn a_long_text_takes_no_longer_than_its_length() {
        let blanks = " ".repeat(256 << 10);
        assert_eq!(
            reads(&format!("{blanks}{{a{blanks}:1,{blanks}}}")),
            Some(json!({"a": 1}))
        );
        assert_eq!(reads(&",".repeat(256 << 10)), None);
    }

    #[test]
    fn short_texts_of_every_kind_are_survived_and_what_is_read_is_json() {
        const PIECES: [&str; 12] = ["{", "}", "[", "]", ":", ",", "'", "\"", "\\", "a", "1", " "];
        let count = PIECES.len();
        for number in 0..count.pow(5) {
            let pieces = (0..5).map(|place| PIECES[number / count.pow(place) % count]);
            let text: String = pieces.collect();
            if let Some(value) = reads(&text) {
                let again = serde_json::to_vec(&value).expect("a value can be written");
                assert_eq!(read(&again).ok(), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn an_error_is_about_the_text_as_it_was_written() {
        for (text, words) in [
            (
                "{progress: 10\n, message: hello}",
                "expected value at line 2 column 12",
            ),
            ("{progress = 10}", "key must be a string at line 1 column 2"),
            (
                "{progress: 1e999}",
                "number out of range at line 1 column 16",
            ),
            ("{'a': 'it's'}", "expected `,` or `}` at line 1 column 11"),
            (
                "{'a': \"b\",\n\n 'c': 01}",
                "invalid number at line 3 column 8",
            ),
            (
                "{a: [1,], b: 2,, c: 3}",
                "key must be a string at line 1 column 16",
            ),
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{a: 'x", "EOF while parsing a string at line 1 column 6"),
            ("\n\n", "EOF while parsing a value at line 3 column 0"),
        ] {
            let error = read(text.as_bytes()).expect_err(text);
            assert_eq!(error.to_string(), words, "{text}");
        }
    }
}

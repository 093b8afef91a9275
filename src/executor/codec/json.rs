//! The JSON parser for jobs, settings and requests. It skips a byte order mark, and its errors name the
//! place, including characters that are invisible on a screen.
//!
//! Requests that people type may be less strict: `{progress: 10}` is as good as `{"progress": 10}`. A text
//! that is valid strict JSON is always read as such. If it is not, it is tried again with keys in quotes,
//! double instead of single quotes, without trailing commas, and with invalid characters in strings
//! replaced. The result is parsed by the strict parser again. So values are always JSON, and the parser's
//! limit on nesting applies; the rewriting itself does not recurse.

use std::fmt;

use serde_json::{Error, Value};

/// Some editors put it at the beginning of a file, and `curl -d @file` sends it too.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How strict the parser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// RFC 8259: for what programs write, and for commands to run. Nothing is guessed or replaced.
    Strict,
    /// Also accepts what people type, and what shells insert into a string.
    Lenient,
}

/// Why a text is not valid: a message with line and column of the original text.
#[derive(Debug)]
pub struct Wrong(String);

/// Parses a value. If a key occurs twice, the last one counts.
///
/// # Errors
///
/// The error of the strict parser after the lenient forms were replaced, so that a key without quotes is
/// not reported for `{message: hello}`.
pub fn read(text: &[u8], grammar: Grammar) -> Result<Value, Wrong> {
    if is_utf16(text) {
        return Err(Wrong("it is UTF-16, and must be UTF-8".to_owned()));
    }
    let text = without_mark(text);
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match grammar {
        Grammar::Strict => Err(Wrong::at(&error, text, offset(text, &error))),
        Grammar::Lenient => {
            let (strict, _) = strict(text, usize::MAX);
            serde_json::from_slice(&strict).map_err(|error| {
                let place = origin(offset(&strict, &error), text);
                Wrong::at(&error, text, place)
            })
        }
    }
}

/// The text without its byte order mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Whether the text is UTF-16: it begins with a byte order mark of UTF-16, or with an ASCII character in
/// two bytes.
fn is_utf16(text: &[u8]) -> bool {
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [0, second, ..] => second.is_ascii_graphic(),
        [first, 0, ..] => first.is_ascii_graphic(),
        _ => false,
    }
}

/// The number of bytes up to and including the place that an error names.
fn offset(text: &[u8], error: &Error) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + error.column()).min(text.len())
}

/// The place in `text` that corresponds to the byte before `at` in its strict form.
fn origin(at: usize, text: &[u8]) -> usize {
    let (written, read) = strict(text, at);
    read - (written.len() - at.min(written.len())).min(read)
}

// === impl Wrong ===

impl Wrong {
    /// The message of `error`, with the byte before `place` as the wrong one.
    fn at(error: &Error, text: &[u8], place: usize) -> Self {
        // The parser reports a byte that is not UTF-8 only at the end of the string that contains it.
        let foreign = std::str::from_utf8(&text[..place])
            .err()
            .filter(|error| error.error_len().is_some());
        let place = foreign.map_or(place, |error| error.valid_up_to() + 1);
        let before = &text[..place];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n');
        let column = place - start.map_or(0, |at| at + 1);
        let said = error.to_string();
        let words = said.rsplit_once(" at line ").map_or(&*said, |it| it.0);
        let words = match words {
            "number out of range" => "number out of range: it is too large",
            words => words,
        };
        let found = match error.is_eof() {
            true => None,
            false => unseen(text, place.saturating_sub(1)),
        };
        let found = found.map_or(String::new(), |found| format!(": found {found}"));
        Self(format!("{words} at line {line} column {column}{found}"))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// The name of the character at `at`, if it is invisible on a screen.
fn unseen(text: &[u8], at: usize) -> Option<String> {
    // The error may be about any byte of a multi-byte character.
    let start = (at.saturating_sub(3)..=at).rev().find(|at| {
        let first = text.get(*at);
        first.is_some_and(|byte| byte & 0b1100_0000 != 0b1000_0000)
    });
    let rest = text.get(start.unwrap_or(at)..)?;
    let rest = &rest[..rest.len().min(4)];
    let chunk = rest.utf8_chunks().next()?;
    let Some(found) = chunk.valid().chars().next() else {
        return Some(format!("the byte 0x{:02X}, which is not UTF-8", rest[0]));
    };
    let name = match found {
        '\0' => " (a NUL byte)",
        '\t' => " (a tab)",
        '\n' => " (a line feed)",
        '\r' => " (a carriage return)",
        '\x1b' => " (the escape character)",
        '\u{a0}' => " (a no-break space)",
        '\u{ad}' => " (a soft hyphen)",
        '\u{200b}' => " (a zero-width space)",
        '\u{201c}' | '\u{201d}' => " (a typographic quote)",
        '\u{feff}' => " (a byte order mark)",
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => "",
        other if other.is_control() || other.is_whitespace() && !other.is_ascii() => "",
        _ => return None,
    };
    Some(format!("U+{:04X}{name}", u32::from(found)))
}

/// Replaces each lenient form in the text by its strict one. Other errors stay in the text. Stops with the
/// token that makes the result at least `enough` long, and also returns how much of the input was read.
fn strict(text: &[u8], enough: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    // The last byte before `rest` that is not a blank.
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
        // Called only for tokens that are not blanks. Otherwise a row of blanks would take quadratic time.
        let next = || rest.trim_ascii_start().first();
        match byte {
            b'"' | b'\'' => rewrite(token, &mut out),
            _ if starts_key(byte) && next() == Some(&b':') => {
                out.push(b'"');
                out.extend_from_slice(token);
                out.push(b'"');
            }
            // A comma without a value before it is not a trailing comma.
            b',' if !matches!(last, b'{' | b'[' | b',') && matches!(next(), Some(b'}' | b']')) => {}
            _ => out.extend_from_slice(token),
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
    }
    (out, text.len() - rest.len())
}

/// The length of the string at the beginning of `text`, including quotes; all of `text` if there is no
/// closing quote.
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

/// Writes a string as strict JSON: in double quotes, control characters escaped, and U+FFFD for invalid
/// characters (bytes that are not UTF-8, unpaired surrogates).
fn rewrite(string: &[u8], out: &mut Vec<u8>) {
    let quote = string[0];
    let text = String::from_utf8_lossy(&string[1..]);
    let mut rest = text.as_bytes();
    out.push(b'"');
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (b'\\', Some(b'\'')) if quote == b'\'' => {
                rest = &after[1..];
                out.push(b'\'');
            }
            (b'\\', Some(b'u')) => {
                let escape = &after[1..];
                let (unit, length) = code_unit(escape);
                match unit {
                    Unit::Lone => out.extend_from_slice(b"\\ufffd"),
                    Unit::Whole => {
                        out.extend_from_slice(b"\\u");
                        out.extend_from_slice(&escape[..length]);
                    }
                }
                rest = &escape[length..];
            }
            (b'\\', Some(&escaped)) => {
                rest = &after[1..];
                out.extend_from_slice(&[b'\\', escaped]);
            }
            (byte, _) if byte == quote => out.push(b'"'),
            (b'"', _) => out.extend_from_slice(b"\\\""),
            (0..0x20, _) => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            (byte, _) => out.push(byte),
        }
    }
}

/// What follows `\u`.
enum Unit {
    /// A character, a pair of surrogates, or an error that the parser will report.
    Whole,
    /// An unpaired surrogate.
    Lone,
}

/// What follows `\u`, and its length in bytes.
fn code_unit(text: &[u8]) -> (Unit, usize) {
    match hexadecimal(text) {
        None => (Unit::Whole, 0),
        Some(0xd800..0xdc00) => {
            let second = text[4..].strip_prefix(b"\\u").and_then(hexadecimal);
            match second {
                Some(0xdc00..0xe000) => (Unit::Whole, 10),
                Some(_) | None => (Unit::Lone, 4),
            }
        }
        Some(0xdc00..0xe000) => (Unit::Lone, 4),
        Some(_) => (Unit::Whole, 4),
    }
}

/// The number in the four hexadecimal digits at the beginning of `text`.
fn hexadecimal(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |number, digit| {
        Some(number << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Whether the byte can be part of an unquoted key, a number or a literal.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'-' | b'+')
}

/// Whether the byte can begin an unquoted key. (A number begins differently.)
fn starts_key(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$')
}

/// The type of a value, as a phrase.
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
        read(text.as_bytes(), Grammar::Lenient).ok()
    }

    #[test]
    fn the_documented_examples_are_valid_as_printed() {
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
            "{'a\": 1}",
            "{a: NaN}",
            "{a: Infinity}",
            "{a: 1e999}",
            "{a: 0x10}",
            "{a: .5}",
            "{a: +1}",
            "{a: 1} // b",
            "{a: undefined}",
            r#"{a: "\ud8"}"#,
            r#"{a: "\ud80g"}"#,
            r"{a: '\x41'}",
        ] {
            assert_eq!(reads(wrong), None, "{wrong}");
        }
        assert!(read(b"{a: \xff}", Grammar::Lenient).is_err());
    }

    #[test]
    fn control_characters_in_strings_are_kept_and_invalid_ones_replaced() {
        let text = |json: &[u8]| match read(json, Grammar::Lenient) {
            Ok(Value::Object(members)) => members["a"].as_str().map(str::to_owned),
            Ok(_) | Err(_) => None,
        };
        for (json, wanted) in [
            (
                &b"{\"a\": \"1\n2\t3\r\x1b[0m\x01\"}"[..],
                "1\n2\t3\r\x1b[0m\x01",
            ),
            (b"{a: '1\n2'}", "1\n2"),
            (b"{\"a\": \"caf\xe9\"}", "caf\u{fffd}"),
            (b"{\"a\": \"\xe9\xc3\xa9\"}", "\u{fffd}\u{e9}"),
            (br#"{"a": "\udcff"}"#, "\u{fffd}"),
            (br#"{"a": "\ud83d\ude00\ud83d"}"#, "\u{1f600}\u{fffd}"),
            (br#"{"a": "\ud83d\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (br#"{"a": "\ud83dx\\udcff"}"#, "\u{fffd}x\\udcff"),
            (br#"{"a": "\u00e9\\\""}"#, "\u{e9}\\\""),
        ] {
            let shown = String::from_utf8_lossy(json);
            assert_eq!(text(json).as_deref(), Some(wanted), "{shown}");
            assert!(
                read(json, Grammar::Strict).is_err() || !wanted.contains('\u{fffd}'),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_error_names_invisible_characters() {
        for (text, words) in [
            (
                &b"\xef\xbb\xbf\xef\xbb\xbf{}"[..],
                "expected value at line 1 column 1: found U+FEFF (a byte order mark)",
            ),
            (
                b"{\"a\":\xc2\xa01}",
                "expected value at line 1 column 6: found U+00A0 (a no-break space)",
            ),
            (
                b"{\"a\": 1}\0",
                "trailing characters at line 1 column 9: found U+0000 (a NUL byte)",
            ),
            (b"\xff\xfe{\0}\0", "it is UTF-16, and must be UTF-8"),
            (b"{\0}\0", "it is UTF-16, and must be UTF-8"),
            (
                b"{\"a\": \xe9}",
                "expected value at line 1 column 7: found the byte 0xE9, which is not UTF-8",
            ),
            (
                "{\u{201c}a\u{201d}: 1}".as_bytes(),
                "key must be a string at line 1 column 2: found U+201C (a typographic quote)",
            ),
        ] {
            for grammar in [Grammar::Strict, Grammar::Lenient] {
                let error = read(text, grammar).expect_err("wrong");
                assert_eq!(error.to_string(), words, "{text:?} {grammar:?}");
            }
        }
        let strict = |text| read(text, Grammar::Strict).expect_err("wrong").to_string();
        assert_eq!(
            strict(b"{\"a\": \"x\n\"}"),
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0: \
             found U+000A (a line feed)"
        );
        assert_eq!(
            strict(b"{\"a\": \"caf\xe9 au lait\"}"),
            "invalid unicode code point at line 1 column 11: found the byte 0xE9, which is not UTF-8"
        );
    }

    #[test]
    fn strict_json_is_read_as_strict_json() {
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
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        for open in ["[", "{a:", "[{a:"] {
            assert_eq!(reads(&open.repeat(60_000)), None);
        }
    }

    #[test]
    fn a_long_text_takes_linear_time() {
        let blanks = " ".repeat(256 << 10);
        assert_eq!(
            reads(&format!("{blanks}{{a{blanks}:1,{blanks}}}")),
            Some(json!({"a": 1}))
        );
        assert_eq!(reads(&",".repeat(256 << 10)), None);
    }

    #[test]
    fn no_short_text_causes_a_panic_and_every_value_is_json() {
        const PIECES: [&str; 12] = ["{", "}", "[", "]", ":", ",", "'", "\"", "\\", "a", "1", " "];
        let count = PIECES.len();
        for number in 0..count.pow(5) {
            let pieces = (0..5).map(|place| PIECES[number / count.pow(place) % count]);
            let text: String = pieces.collect();
            if let Some(value) = reads(&text) {
                let again = serde_json::to_vec(&value).expect("a value can be written");
                assert_eq!(read(&again, Grammar::Strict).ok(), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn an_error_names_the_place_in_the_original_text() {
        for (text, words) in [
            (
                "{progress: 10\n, message: hello}",
                "expected value at line 2 column 12",
            ),
            ("{progress = 10}", "key must be a string at line 1 column 2"),
            (
                "{progress: 1e999}",
                "number out of range: it is too large at line 1 column 16",
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
            let error = read(text.as_bytes(), Grammar::Lenient).expect_err(text);
            assert_eq!(error.to_string(), words, "{text}");
        }
    }
}

//! The fields of a head: those that say where the body ends, and all others by name.

use super::error::HeadError;

/// Maximum number of fields; usual clients send about five.
pub const MAX_FIELDS: usize = 100;

/// Where the body of a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// Where [`super::body::Chunked`] finds the end.
    Chunked,
    /// When the connection is closed.
    UntilClose,
}

/// All fields of a request, as they were sent. Each one has a valid name, and a value without control
/// characters.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<u8>);

/// What the fields say about the framing of the message.
#[derive(Default)]
pub(super) struct Framed {
    length: Option<u64>,
    chunked: bool,
    pub(super) hosts: usize,
    pub(super) close: bool,
    pub(super) expects_continue: bool,
    pub(super) expects_else: bool,
}

/// The minor version of HTTP/1. Versions above 1.1 are treated as 1.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

// === impl Fields ===

impl Fields {
    /// Keeps a complete head that was parsed.
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self(head)
    }

    /// All values of the field `name`, without the blanks around them. A client may send a field several
    /// times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.0.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| split_field(line.strip_suffix(b"\r").unwrap_or(line)))
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of the field `name`; `None` if it is missing, was sent more than once, or is not UTF-8.
    pub fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.all(name);
        let value = values.next()?;
        let is_one = values.next().is_none();
        std::str::from_utf8(value).ok().filter(|_| is_one)
    }
}

// === impl Framed ===

impl Framed {
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Self, HeadError> {
        let mut fields = Self::default();
        for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
            if count == MAX_FIELDS {
                return Err(HeadError::TooManyFields);
            }
            // A folded line has no name, and a blank before the colon makes the name invalid.
            let (name, value) = split_field(line).ok_or(HeadError::Field)?;
            if !is_token(name) || value.iter().any(|byte| is_control(*byte)) {
                return Err(HeadError::Field);
            }
            fields.note(name, value)?;
        }
        Ok(fields)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(HeadError::Length)?;
            if self.length.replace(length).is_some_and(|old| old != length) {
                return Err(HeadError::Length);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // `chunked` twice is not supported either.
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Coding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.close |= value
                .split(|byte| *byte == b',')
                .any(|option| trim_blanks(option).eq_ignore_ascii_case(b"close"));
        } else if name.eq_ignore_ascii_case(b"expect") {
            let known = value.eq_ignore_ascii_case(b"100-continue");
            self.expects_continue |= known;
            self.expects_else |= !known;
        }
        Ok(())
    }

    pub(super) fn framing(&self, version: Version) -> Result<Option<Framing>, HeadError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(HeadError::TwoFramings),
            (None, true) if version == Version::Http10 => Err(HeadError::TwoFramings),
            (None, true) => Ok(Some(Framing::Chunked)),
            (length, false) => Ok(length.map(Framing::Length)),
        }
    }
}

// === impl Version ===

impl Version {
    pub(super) fn parse(word: &[u8]) -> Result<Self, HeadError> {
        match word {
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Self::Http11),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => Err(HeadError::Version),
            _ => Err(HeadError::FirstLine),
        }
    }
}

/// A token (RFC 9110, 5.6.2): a method, or the name of a field.
pub(super) fn is_token(word: &[u8]) -> bool {
    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(in_token)
}

/// The name and the value of a line without its end.
fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], trim_blanks(&line[colon + 1..])))
}

/// Removes spaces and tabs around a value. Nothing else is a blank (RFC 9110, 5.5): a reader that also
/// removes a form feed or a carriage return reads another value than the proxy before it.
fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

pub(super) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// A number of digits only; one that does not fit becomes `u64::MAX`, which is always above the limit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(value.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &str, version: Version) -> Result<Option<Framing>, HeadError> {
        let lines = fields.split("\r\n").map(str::as_bytes);
        Framed::read(lines)?.framing(version)
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for (fields, wanted) in [
            ("", Ok(None)),
            ("Content-Length: 5\r\n", Ok(Some(Framing::Length(5)))),
            ("content-length:5\t\r\n", Ok(Some(Framing::Length(5)))),
            (
                "Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n",
                Ok(Some(Framing::Length(5))),
            ),
            ("Transfer-Encoding: Chunked\r\n", Ok(Some(Framing::Chunked))),
            (
                "Content-Length: 99999999999999999999999\r\n",
                Ok(Some(Framing::Length(u64::MAX))),
            ),
            ("Content-Length: 5, 5\r\n", Err(HeadError::Length)),
            ("Content-Length: +5\r\n", Err(HeadError::Length)),
            ("Content-Length: 0x5\r\n", Err(HeadError::Length)),
            ("Content-Length:\r\n", Err(HeadError::Length)),
            (
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                Err(HeadError::Length),
            ),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Err(HeadError::TwoFramings),
            ),
            ("Transfer-Encoding: gzip\r\n", Err(HeadError::Coding)),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                Err(HeadError::Coding),
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(HeadError::Coding),
            ),
            ("Content-Length : 5\r\n", Err(HeadError::Field)),
            ("A: b\r\n Content-Length: 5\r\n", Err(HeadError::Field)),
            ("A: b\rContent-Length: 5\r\n", Err(HeadError::Field)),
            ("A: \0\r\n", Err(HeadError::Field)),
            ("Content-Length: \x0c5\r\n", Err(HeadError::Field)),
            ("Content-Length: 5\x0c\r\n", Err(HeadError::Field)),
            ("Content-Length:\x0b5\r\n", Err(HeadError::Field)),
            ("Content-Length: 5\r\r\n", Err(HeadError::Field)),
            ("Content-Length: \r5\r\n", Err(HeadError::Field)),
            ("Transfer-Encoding: \x0cchunked\r\n", Err(HeadError::Field)),
            ("Transfer-Encoding: chunked\r\r\n", Err(HeadError::Field)),
            ("A: b\r\r\n", Err(HeadError::Field)),
            ("Content-Length: \u{a0}5\r\n", Err(HeadError::Length)),
            ("Content-Length: \t 5 \t\r\n", Ok(Some(Framing::Length(5)))),
            (": a\r\n", Err(HeadError::Field)),
            ("a\r\n", Err(HeadError::Field)),
        ] {
            assert_eq!(framing(fields, Version::Http11), wanted, "{fields:?}");
        }
        let chunked = "Transfer-Encoding: chunked\r\n";
        assert_eq!(
            framing(chunked, Version::Http10),
            Err(HeadError::TwoFramings)
        );
    }

    #[test]
    fn a_field_is_found_by_its_name_and_a_repeated_one_has_no_single_value() {
        let head = b"GET /a:b HTTP/1.1\r\nHost:a\r\nORIGIN: \tb \r\nX: 1\r\nx: 2\r\nY:\r\n\r\n";
        let fields = Fields::new(head.to_vec());
        assert_eq!(fields.one("host"), Some("a"));
        assert_eq!(fields.one("Origin"), Some("b"));
        assert_eq!(fields.one("y"), Some(""));
        assert_eq!((fields.one("x"), fields.one("z")), (None, None));
        assert_eq!(fields.all("X").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn there_are_at_most_100_fields() {
        let read = |count| framing(&"A: b\r\n".repeat(count), Version::Http11);
        assert_eq!(read(MAX_FIELDS), Ok(None));
        assert_eq!(read(MAX_FIELDS + 1), Err(HeadError::TooManyFields));
    }
}

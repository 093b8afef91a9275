//! The fields of a head that decide what comes after it; all others are checked and passed over.

use super::error::HeadError;

/// More fields are refused; clients send about five.
pub const MAX_FIELDS: usize = 100;

/// Where the body of a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// Where [`super::body::Chunked`] says so.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The fields that matter, of all that there are.
#[derive(Default)]
pub(super) struct Fields {
    length: Option<u64>,
    chunked: bool,
    pub(super) hosts: usize,
    pub(super) close: bool,
    pub(super) expects_continue: bool,
    pub(super) expects_else: bool,
}

/// The minor version of HTTP/1; higher ones than 1 must be taken for 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

// === impl Fields ===

impl Fields {
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Self, HeadError> {
        let mut fields = Self::default();
        for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
            if count == MAX_FIELDS {
                return Err(HeadError::TooManyFields);
            }
            // A folded line has no name, and a blank before the colon makes it no token.
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or(HeadError::Field)?);
            let value = value[1..].trim_ascii();
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
            // Chunked twice is a coding like any other that nobody uses.
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Coding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.close |= value
                .split(|byte| *byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
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

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Digits only. A number that is too big for the type is big enough to be refused as it is.
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
        Fields::read(lines)?.framing(version)
    }

    #[test]
    fn the_framing_is_one_thing_or_refused() {
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
    fn there_are_at_most_100_fields() {
        let read = |count| framing(&"A: b\r\n".repeat(count), Version::Http11);
        assert_eq!(read(MAX_FIELDS), Ok(None));
        assert_eq!(read(MAX_FIELDS + 1), Err(HeadError::TooManyFields));
    }
}

//! RecordIO, the framing of event streams: `<decimal length>\n<that many bytes>`, repeated
//! (`3rdparty/stout/include/stout/recordio.hpp`).
//!
//! Records are independent of the chunks in which they arrive. The decoder takes bytes as they arrive and
//! returns complete records.

/// Longer records are refused. Mesos has no limit for a task's `data`, but such a length can only be
/// garbage, and reading on would fill the memory.
pub const MAX_RECORD: usize = 64 << 20;

/// 20 digits are enough for any 64-bit length.
const MAX_LENGTH_DIGITS: usize = 20;

/// Maximum memory to reserve because of a length prefix. More is allocated as bytes arrive.
const MAX_RESERVE: usize = 16 << 10;

/// Incremental decoder of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

/// Why a stream cannot be read any further. The client has to subscribe again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The length prefix is not a decimal number.
    BadLength,
    /// The length is more than [`MAX_RECORD`].
    TooLong,
}

#[derive(Debug)]
enum State {
    /// Reading digits until the line feed.
    Length { digits: usize, value: usize },
    /// Reading the record; `missing` bytes have not arrived yet.
    Record { bytes: Vec<u8>, missing: usize },
}

// === impl DecodeError ===

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadLength => f.write_str("the length of a record is not a number"),
            Self::TooLong => write!(f, "a record has more than {MAX_RECORD} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self::Length {
            digits: 0,
            value: 0,
        }
    }
}

// === impl Decoder ===

impl Decoder {
    /// Takes bytes from the front of `input` until a record is complete or the input is used up.
    ///
    /// # Errors
    ///
    /// The length is invalid. The decoder must not be used any more.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        loop {
            match &mut self.state {
                State::Record { bytes, missing } => {
                    let (now, rest) = input.split_at(input.len().min(*missing));
                    bytes.extend_from_slice(now);
                    *missing -= now.len();
                    *input = rest;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    let record = std::mem::take(bytes);
                    self.state = State::default();
                    return Ok(Some(record));
                }
                State::Length { digits, value } => {
                    let Some((&byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    match byte {
                        b'0'..=b'9' if *digits < MAX_LENGTH_DIGITS => {
                            *digits += 1;
                            *value = value
                                .saturating_mul(10)
                                .saturating_add(usize::from(byte - b'0'));
                        }
                        b'\n' if *digits > 0 && *value <= MAX_RECORD => {
                            let missing = *value;
                            let bytes = Vec::with_capacity(missing.min(MAX_RESERVE));
                            self.state = State::Record { bytes, missing };
                        }
                        b'\n' if *digits > 0 => return Err(DecodeError::TooLong),
                        _ => return Err(DecodeError::BadLength),
                    }
                }
            }
        }
    }
}

/// Encodes one record.
pub fn encode(record: &[u8]) -> Vec<u8> {
    let mut framed = format!("{}\n", record.len()).into_bytes();
    framed.extend_from_slice(record);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, DecodeError> {
        let mut decoder = Decoder::default();
        let mut records = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(record) = decoder.next(&mut rest)? {
                records.push(record);
            }
        }
        Ok(records)
    }

    #[test]
    fn records_are_complete_wherever_the_bytes_are_split() {
        let wanted = vec![b"hello".to_vec(), Vec::new(), b"1\n2".to_vec()];
        let stream: Vec<u8> = wanted.iter().flat_map(|record| encode(record)).collect();
        assert_eq!(decode_all(&[&stream]), Ok(wanted.clone()));
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            assert_eq!(
                decode_all(&[front, back]),
                Ok(wanted.clone()),
                "cut at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode_all(&bytes), Ok(wanted));
    }

    #[test]
    fn an_incomplete_record_is_not_returned() {
        assert_eq!(decode_all(&[b"5\nhell"]), Ok(Vec::new()));
        assert_eq!(decode_all(&[b"5"]), Ok(Vec::new()));
    }

    #[test]
    fn a_bad_length_is_an_error_and_reserves_nothing() {
        for bad in [
            "\n",
            "-1\n",
            " 5\n",
            "5 \n",
            "abc\n",
            "123456789012345678901\n",
        ] {
            assert_eq!(
                decode_all(&[bad.as_bytes()]),
                Err(DecodeError::BadLength),
                "{bad:?}"
            );
        }
        assert_eq!(decode_all(&[b"67108865\n"]), Err(DecodeError::TooLong));
        assert_eq!(
            decode_all(&[b"99999999999999999999\n"]),
            Err(DecodeError::TooLong)
        );
    }
}

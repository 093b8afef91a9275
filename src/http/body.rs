//! A decoder for chunked bodies. Clients of a server may send one, and the event stream of a Mesos agent is
//! one that never ends.
//!
//! Input may be cut anywhere. The payload comes out as slices of the input, and the decoder keeps only its
//! state, so the caller has to limit the size of what comes out. Every byte either advances the decoder or
//! is an error, so it cannot wait for something that has already arrived. (The decoder of async-h1 can, if
//! the last CR LF is split.)

use std::fmt;

use super::fields::is_control;

/// 16 hexadecimal digits hold any 64-bit size.
const MAX_SIZE_DIGITS: usize = 16;

/// Maximum length of chunk extensions, which are ignored. No known client sends any.
const MAX_EXTENSION: usize = 1 << 10;

/// Maximum length of all trailers, which are dropped: the same as for a head.
const MAX_TRAILERS: usize = super::head::MAX_HEAD;

/// Incremental decoder of one body.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
}

/// One step of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the body, at least one.
    Data(&'a [u8]),
    /// All input is used, and the body is not complete.
    NeedMore,
    /// The body is complete. The rest of the input belongs to the next message.
    Finished,
}

/// Why a body cannot be read. The decoder must not be used after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// The size of a chunk is not a hexadecimal number of at most 64 bits.
    Size,
    /// A line does not end in CR LF, or a chunk does not end where its size said.
    LineEnd,
    /// Extensions or trailers are longer than their limit.
    TooLong,
    /// Extensions or trailers contain a control character.
    Control,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Reading the digits of a chunk's size.
    Size { digits: usize, size: u64 },
    /// Skipping what follows the size, up to the CR.
    Extension { skipped: usize, size: u64 },
    /// Before the LF that ends the size's line.
    SizeLineFeed { size: u64 },
    /// Inside a chunk; `missing` is never 0.
    Data { missing: u64 },
    /// Before the CR after a chunk.
    DataReturn,
    /// Before the LF after a chunk.
    DataLineFeed,
    /// Skipping trailers; an empty line ends them.
    Trailer { skipped: usize, empty: bool },
    /// Before the LF of a trailer, or of the empty line.
    TrailerLineFeed { skipped: usize, empty: bool },
    /// Nothing follows.
    Finished,
}

// === impl ChunkError ===

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "the size of a chunk is not a hexadecimal number of at most 64 bits",
            Self::LineEnd => "a chunk or its size does not end in CR LF",
            Self::TooLong => "the extensions or trailers of a chunked body are too long",
            Self::Control => "the extensions or trailers of a chunked body have control characters",
        })
    }
}

impl std::error::Error for ChunkError {}

// === impl Chunked ===

impl Chunked {
    /// Takes bytes from the front of `input` until there is payload, or the input or the body ends.
    ///
    /// # Errors
    ///
    /// The framing is wrong.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, ChunkError> {
        loop {
            if let State::Finished = self.state {
                return Ok(Piece::Finished);
            }
            if input.is_empty() {
                return Ok(Piece::NeedMore);
            }
            if let State::Data { missing } = self.state {
                let here = usize::try_from(missing).map_or(input.len(), |it| it.min(input.len()));
                let (data, rest) = input.split_at(here);
                *input = rest;
                self.state = match missing - here as u64 {
                    0 => State::DataReturn,
                    missing => State::Data { missing },
                };
                return Ok(Piece::Data(data));
            }
            self.state = self.state.after(input[0])?;
            *input = &input[1..];
        }
    }
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl State {
    /// The state after one more byte of framing.
    fn after(self, byte: u8) -> Result<Self, ChunkError> {
        let hexadecimal = char::from(byte).to_digit(16);
        match (self, byte) {
            (Self::Size { digits, size }, _) if hexadecimal.is_some() => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(ChunkError::Size);
                }
                Ok(Self::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(hexadecimal.unwrap_or_default()),
                })
            }
            (Self::Size { digits: 0, .. }, _) => Err(ChunkError::Size),
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => {
                Ok(Self::SizeLineFeed { size })
            }
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => {
                Ok(Self::Extension { skipped: 0, size })
            }
            (Self::Size { .. }, _) => Err(ChunkError::Size),
            (Self::Extension { .. } | Self::Trailer { .. }, b'\n') => Err(ChunkError::LineEnd),
            (Self::Extension { .. } | Self::Trailer { .. }, byte)
                if byte != b'\r' && is_control(byte) =>
            {
                Err(ChunkError::Control)
            }
            (Self::Extension { skipped, size }, _) if skipped < MAX_EXTENSION => {
                Ok(Self::Extension {
                    skipped: skipped + 1,
                    size,
                })
            }
            (Self::SizeLineFeed { size: 0 }, b'\n') => Ok(Self::Trailer {
                skipped: 0,
                empty: true,
            }),
            (Self::SizeLineFeed { size }, b'\n') => Ok(Self::Data { missing: size }),
            (Self::DataReturn, b'\r') => Ok(Self::DataLineFeed),
            (Self::DataLineFeed, b'\n') => Ok(Self::default()),
            (Self::Trailer { skipped, empty }, b'\r') => {
                Ok(Self::TrailerLineFeed { skipped, empty })
            }
            (Self::Trailer { skipped, .. }, _) if skipped < MAX_TRAILERS => Ok(Self::Trailer {
                skipped: skipped + 1,
                empty: false,
            }),
            (Self::TrailerLineFeed { empty: true, .. }, b'\n') => Ok(Self::Finished),
            (Self::TrailerLineFeed { skipped, .. }, b'\n') => Ok(Self::Trailer {
                skipped,
                empty: true,
            }),
            (Self::Extension { .. } | Self::Trailer { .. }, _) => Err(ChunkError::TooLong),
            (
                Self::SizeLineFeed { .. }
                | Self::DataReturn
                | Self::DataLineFeed
                | Self::TrailerLineFeed { .. },
                _,
            ) => Err(ChunkError::LineEnd),
            // These two states are handled before; staying in them is right.
            (Self::Data { .. } | Self::Finished, _) => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload, how many bytes of the last piece are left, and whether the body is complete.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), ChunkError> {
        let mut decoder = Chunked::default();
        let mut payload = Vec::new();
        let mut left = 0;
        for piece in pieces {
            let mut rest = *piece;
            loop {
                match decoder.next(&mut rest)? {
                    Piece::Data(data) => {
                        assert!(!data.is_empty());
                        payload.extend_from_slice(data);
                    }
                    Piece::NeedMore => break,
                    Piece::Finished => {
                        left += rest.len();
                        break;
                    }
                }
            }
        }
        let finished = decoder.next(&mut &b""[..]) == Ok(Piece::Finished);
        Ok((payload, left, finished))
    }

    #[test]
    fn a_body_is_decoded_wherever_the_input_is_split() {
        let stream: &[u8] =
            b"4\r\nWiki\r\nA;name=\"v\"\r\npedia in\r\n\r\n1 \r\n!\r\n0;x\r\nA: b\r\nC: d\r\n\r\nGET";
        let wanted = Ok((b"Wikipedia in\r\n!".to_vec(), 3, true));
        assert_eq!(decode(&[stream]), wanted);
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            assert_eq!(decode(&[front, back]), wanted, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&bytes), wanted);
    }

    #[test]
    fn the_last_line_feed_may_arrive_separately() {
        assert_eq!(decode(&[b"0\r\n\r", b"\n"]), Ok((Vec::new(), 0, true)));
        assert_eq!(decode(&[b"0\r\n\r"]), Ok((Vec::new(), 0, false)));
    }

    #[test]
    fn an_endless_body_yields_each_byte_as_it_arrives() {
        let (payload, _, finished) = decode(&[b"ffffffffffffffff\r\nab", b"c"]).expect("valid");
        assert_eq!((payload.as_slice(), finished), (&b"abc"[..], false));
    }

    #[test]
    fn bad_framing_is_an_error_at_once() {
        for (bad, error) in [
            ("\r\n", ChunkError::Size),
            (";\r\n", ChunkError::Size),
            ("-1\r\n", ChunkError::Size),
            ("g\r\n", ChunkError::Size),
            ("0x5\r\n", ChunkError::Size),
            ("5\n", ChunkError::Size),
            ("11111111111111111\r\n", ChunkError::Size),
            ("5\rhello", ChunkError::LineEnd),
            ("5;a\nhello", ChunkError::LineEnd),
            ("5\r\nhelloworld", ChunkError::LineEnd),
            ("5\r\nhello\n", ChunkError::LineEnd),
            ("5\r\nhello\rx", ChunkError::LineEnd),
            ("0\r\n\n", ChunkError::LineEnd),
            ("0\r\na: b\n", ChunkError::LineEnd),
            ("0\r\na: b\rc", ChunkError::LineEnd),
            ("5\x0c\r\nhello", ChunkError::Size),
            ("5 \x0c\r\nhello", ChunkError::Control),
            ("5;a=\0\r\nhello", ChunkError::Control),
            ("0\r\na:\x0cb\r\n", ChunkError::Control),
        ] {
            assert_eq!(decode(&[bad.as_bytes()]), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = format!("1;{}\r\n", "a".repeat(MAX_EXTENSION + 1));
        assert_eq!(decode(&[extension.as_bytes()]), Err(ChunkError::TooLong));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(MAX_TRAILERS / 4 + 1));
        assert_eq!(decode(&[trailers.as_bytes()]), Err(ChunkError::TooLong));
    }
}

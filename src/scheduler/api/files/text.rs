//! A part of a file as text.

use std::fs::File;
use std::io;

use super::read_at;

/// The maximum length of an incomplete character at the end of a part.
const MAX_REST: usize = 3;

/// Reads the text at `offset`, at most `length` bytes. Invalid UTF-8 becomes U+FFFD. A character that
/// is incomplete at the end is left for the next part, unless it is all there is.
pub(super) fn read(file: &File, offset: u64, length: u64) -> io::Result<String> {
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let filled = read_at(file, offset, &mut buffer)?;
    let is_cut = filled == buffer.len();
    buffer.truncate(filled);
    let whole = match is_cut {
        true => &buffer[..border(&buffer)],
        false => &buffer[..],
    };
    Ok(String::from_utf8_lossy(whole).into_owned())
}

/// The end of the last complete character.
fn border(piece: &[u8]) -> usize {
    for rest in 1..=MAX_REST.min(piece.len()) {
        let at = piece.len() - rest;
        let needed = match piece[at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return piece.len(),
        };
        return if needed > rest && at > 0 {
            at
        } else {
            piece.len()
        };
    }
    piece.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_split() {
        for (piece, wanted) in [
            (&b""[..], 0),
            (b"abc", 3),
            (b"ab\xc3", 2),
            (b"ab\xc3\xbc", 4),
            (b"a\xe2\x82", 1),
            (b"a\xe2\x82\xac", 4),
            (b"a\xf0\x9f\x98", 1),
            (b"\xc3", 1),
            (b"\x80\x80\x80\x80", 4),
            (b"a\xff", 2),
        ] {
            assert_eq!(border(piece), wanted, "{piece:?}");
        }
    }
}

//! Removes terminal escape sequences from a task's output (ECMA-48, and the extensions of xterm and
//! others). A sequence that moves to the start of the line or to another line, or that erases the line,
//! becomes `\r`, which ends a line.
//!
//! So a progress bar that is drawn with `ESC[2K ESC[1G`, or with as many backspaces as the line has
//! characters, is read like one that is drawn with `\r`, and messages contain no colours. A sequence may be
//! split anywhere, and takes constant memory.

use std::borrow::Cow;

/// The state at the end of the text so far: the position in a sequence, and the column.
#[derive(Clone, Debug, Default)]
pub struct Escapes {
    state: State,
    /// The number of characters in the line, up to [`MAX_COLUMN`].
    column: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes, as in the selection of a character set. One more byte ends the
    /// sequence.
    Intermediate,
    /// After ESC `[`, until a letter ends the sequence.
    Control(Control),
    /// In the title of a window, an image or similar; ends with BEL or ESC `\`.
    String,
    /// After ESC in a string.
    StringEscape,
}

/// The parameters of a control sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Control {
    /// The first parameter, the only one that matters; 0 if missing.
    first: usize,
    has_more: bool,
    /// After `?`, for example: the letter does not have its standard meaning.
    is_private: bool,
    has_intermediate: bool,
}

/// The effect of a sequence on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    /// The following text does not continue the preceding text.
    End,
    /// The cursor moves to the left by one character.
    Back,
    /// The cursor moves to the right.
    Gap,
}

/// More than any terminal has. A move to the left by this much reaches the start of the line.
const MAX_COLUMN: usize = 500;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const BACKSPACE: u8 = 0x08;
/// These cancel a sequence.
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

// === impl Escapes ===

impl Escapes {
    /// The text without sequences and backspaces. If there are none, which is usual, it is not copied.
    pub fn strip<'a>(&mut self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.state == State::Text && memchr::memchr2(ESC, BACKSPACE, text).is_none() {
            self.count(text);
            return Cow::Borrowed(text);
        }
        let mut plain = Vec::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            if self.state == State::Text {
                let length = memchr::memchr2(ESC, BACKSPACE, rest).unwrap_or(rest.len());
                let (run, behind) = rest.split_at(length);
                plain.extend_from_slice(run);
                self.count(run);
                rest = behind;
            }
            let Some((byte, behind)) = rest.split_first() else {
                break;
            };
            let (state, effect, is_taken) = self.take(*byte);
            self.state = state;
            match effect {
                Effect::None => {}
                Effect::End => {
                    plain.push(b'\r');
                    self.column = 0;
                }
                Effect::Back => self.column -= 1,
                Effect::Gap => {
                    plain.push(b' ');
                    self.column = (self.column + 1).min(MAX_COLUMN);
                }
            }
            if is_taken {
                rest = behind;
            }
        }
        Cow::Owned(plain)
    }

    /// The following text does not continue the preceding text.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn count(&mut self, text: &[u8]) {
        let line = match memchr::memrchr2(b'\n', b'\r', text) {
            None => text,
            Some(end) => {
                self.column = 0;
                &text[end + 1..]
            }
        };
        // The rest of a longer line does not change the column.
        let line = &line[..line.len().min(4 * MAX_COLUMN)];
        let characters = line.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        self.column = (self.column + characters).min(MAX_COLUMN);
    }

    /// Handles one byte. Returns the next state, the effect, and whether the byte belongs to a sequence.
    fn take(&self, byte: u8) -> (State, Effect, bool) {
        const NONE: Effect = Effect::None;
        match (self.state, byte) {
            (State::Text, ESC) => (State::Escape, NONE, true),
            (State::Text, BACKSPACE) if self.column > 1 => (State::Text, Effect::Back, true),
            (State::Text, BACKSPACE) => (State::Text, Effect::End, true),
            // A line end is never part of a sequence, not even of a string, so an unterminated string ends
            // with its line.
            (State::Text, _) | (_, b'\n' | b'\r') => (State::Text, NONE, false),
            (_, CAN | SUB) => (State::Text, NONE, true),
            (State::StringEscape, b'\\') => (State::Text, NONE, true),
            (State::Escape | State::StringEscape, ESC) => (State::Escape, NONE, true),
            (State::String, ESC) => (State::StringEscape, NONE, true),
            (State::String, BEL) => (State::Text, NONE, true),
            (State::String, _) => (State::String, NONE, true),
            (State::Escape | State::StringEscape, _) => escape(byte),
            (State::Intermediate | State::Control(_), ESC) => (State::Escape, NONE, true),
            (State::Intermediate, 0x20..=0x2f) => (State::Intermediate, NONE, true),
            (State::Intermediate, 0x30..=0x7e) => (State::Text, NONE, true),
            (State::Control(control), 0x40..=0x7e) => {
                (State::Text, control.effect(byte, self.column), true)
            }
            (State::Control(control), 0x20..=0x3f) => {
                (State::Control(control.with(byte)), NONE, true)
            }
            // Terminals execute control characters within a sequence and continue it.
            (State::Intermediate | State::Control(_), 0..=0x1f | 0x7f) => (self.state, NONE, true),
            (State::Intermediate | State::Control(_), 0x80..) => (State::Text, NONE, false),
        }
    }
}

/// Handles the byte after ESC.
fn escape(byte: u8) -> (State, Effect, bool) {
    match byte {
        b'[' => (State::Control(Control::default()), Effect::None, true),
        b']' | b'P' | b'X' | b'^' | b'_' | b'k' => (State::String, Effect::None, true),
        0x20..=0x2f => (State::Intermediate, Effect::None, true),
        // To another line, to the saved position, or reset.
        b'D' | b'E' | b'M' | b'8' | b'c' => (State::Text, Effect::End, true),
        0x30..=0x7e => (State::Text, Effect::None, true),
        0..=0x1f | 0x7f.. => (State::Text, Effect::None, false),
    }
}

// === impl Control ===

impl Control {
    /// Adds a parameter or intermediate byte.
    fn with(self, byte: u8) -> Self {
        match byte {
            b'0'..=b'9' if !self.has_more => Self {
                first: self
                    .first
                    .saturating_mul(10)
                    .saturating_add(usize::from(byte - b'0')),
                ..self
            },
            b':' | b';' => Self {
                has_more: true,
                ..self
            },
            b'<'..=b'?' => Self {
                is_private: true,
                ..self
            },
            0x20..=0x2f => Self {
                has_intermediate: true,
                ..self
            },
            _ => self,
        }
    }

    /// The effect of the letter with the cursor in this column.
    fn effect(self, letter: u8, column: usize) -> Effect {
        let if_so = |is_end| if is_end { Effect::End } else { Effect::None };
        match letter {
            _ if self.has_intermediate => Effect::None,
            // These parameters erase the beginning of the line. Erasing to the right keeps the text.
            b'J' | b'K' => if_so((1..=3).contains(&self.first)),
            _ if self.is_private => Effect::None,
            b'G' | b'`' if self.first > column + 1 => Effect::Gap,
            b'G' | b'`' => if_so(self.first <= 1),
            b'D' | b'j' => if_so(self.first.max(1) >= column),
            b'C' | b'a' | b'I' => Effect::Gap,
            // Up, down, to a position, inserting, deleting and scrolling lines, to the saved position.
            b'A' | b'B' | b'E' | b'F' | b'H' | b'f' | b'd' | b'e' | b'k' | b'L' | b'M' | b'S'
            | b'T' | b'u' => Effect::End,
            _ => Effect::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(pieces: &[&[u8]]) -> String {
        let mut escapes = Escapes::default();
        let mut plain = Vec::new();
        for piece in pieces {
            plain.extend_from_slice(&escapes.strip(piece));
        }
        String::from_utf8_lossy(&plain).into_owned()
    }

    #[test]
    fn a_sequence_that_leaves_or_erases_the_line_ends_it() {
        for sequence in [
            "\x1b[G",
            "\x1b[1G",
            "\x1b[0G",
            "\x1b[`",
            "\x1b[2K",
            "\x1b[1K",
            "\x1b[?2K",
            "\x1b[2J",
            "\x1b[3J",
            "\x1b[A",
            "\x1b[12A",
            "\x1b[B",
            "\x1b[E",
            "\x1b[F",
            "\x1b[H",
            "\x1b[1;1H",
            "\x1b[;f",
            "\x1b[2M",
            "\x1b[L",
            "\x1b[u",
            "\x1b8",
            "\x1bE",
            "\x1bM",
            "\x1bD",
            "\x1bc",
            "\x1b[3D",
            "\x1b[1000D",
            "\x1b[99999999999999999999999D",
            "\x1b[d",
            "\x08\x08\x08",
        ] {
            let text = format!("abc{sequence}x");
            assert_eq!(strip(&[text.as_bytes()]), "abc\rx", "{sequence:?}");
        }
    }

    #[test]
    fn all_other_sequences_are_removed() {
        for sequence in [
            "\x1b[m",
            "\x1b[01;31m",
            "\x1b[38:2::1:2:3m",
            "\x1b[K",
            "\x1b[0K",
            "\x1b[J",
            "\x1b[?25l",
            "\x1b[?1049h",
            "\x1b[2D",
            "\x1b[2G",
            "\x1b[!p",
            "\x1b[2 q",
            "\x1b[>1u",
            "\x1b[s",
            "\x1b7",
            "\x1b(B",
            "\x1b)0",
            "\x1b#8",
            "\x1b%G",
            "\x1b $A",
            "\x1b=",
            "\x1b>",
            "\x1b]0;title\x07",
            "\x1b]8;;http://x/\x1b\\",
            "\x1bPq#0;2~-\x1b\\",
            "\x1b_a\x1b\\",
            "\x1b^b\x1b\\",
            "\x1bXc\x1b\\",
            "\x1bktitle\x1b\\",
            "\x1b[31\x18",
            "\x1b]0;t\x1b[m",
            "\x1b\x1b[m",
            "\x1b[3\x071m",
            "\x1b[X",
            "\x1b[3P",
            "\x1b[@",
            "\x08\x08",
        ] {
            let text = format!("abc{sequence}x");
            assert_eq!(strip(&[text.as_bytes()]), "abcx", "{sequence:?}");
        }
    }

    #[test]
    fn a_move_to_the_right_becomes_a_blank() {
        for sequence in ["\x1b[C", "\x1b[5C", "\x1b[40G", "\x1b[a"] {
            let text = format!("abc{sequence}x");
            assert_eq!(strip(&[text.as_bytes()]), "abc x", "{sequence:?}");
        }
    }

    #[test]
    fn backspaces_are_counted_by_characters() {
        assert_eq!(strip(&["ä%\x08\x08b".as_bytes()]), "ä%\rb");
        assert_eq!(strip(&[b"abcd\x08\x08", b"\x08\x08e"]), "abcd\re");
        assert_eq!(strip(&[b"ab\ncd\x08\x08e\x08"]), "ab\ncd\re\r");
    }

    #[test]
    fn a_sequence_may_be_split_anywhere() {
        let text = b"a\xc3\xa4\x1b[2K\x1b[1Gb\x1b]0;t\x1b\\c\x1b(Bd\x1b[31me\x1b[2Df\n\x1b[Ag";
        let whole = strip(&[text]);
        assert_eq!(whole, "aä\r\rbcdef\n\rg");
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(strip(&pieces), whole, "{first} {second}");
            }
        }
    }

    #[test]
    fn an_unterminated_sequence_ends_with_its_line() {
        for sequence in ["\x1b]0;", "\x1b[", "\x1bP", "\x1b(", "\x1b"] {
            for end in ["\n", "\r"] {
                let text = format!("a{sequence}{end}next");
                assert_eq!(strip(&[text.as_bytes()]), format!("a{end}next"));
            }
        }
        assert_eq!(strip(&["\x1b[3\u{e4}x".as_bytes()]), "\u{e4}x");
    }

    #[test]
    fn text_without_sequences_is_not_copied() {
        let mut escapes = Escapes::default();
        assert!(matches!(escapes.strip(b"text\n"), Cow::Borrowed(_)));
    }
}

//! Splits the text into tokens, each with its place.

use super::{Error, Place};

/// The longest piece of the file that an error text repeats.
const MAX_QUOTED: usize = 40;

/// Named characters.
const CHARACTERS: [(&str, char); 6] = [
    ("newline", '\n'),
    ("return", '\r'),
    ("space", ' '),
    ("tab", '\t'),
    ("formfeed", '\u{c}'),
    ("backspace", '\u{8}'),
];

/// A token; spaces and comments are not tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `(`, `[`, `{`, `#{`
    Open(Bracket),
    /// `)`, `]`, `}`
    Close(char),
    /// `#_`: the value that follows is skipped.
    Discard,
    /// `#name`: the value that follows has a special meaning.
    Tag(String),
    String(String),
    Character(char),
    /// Everything else: numbers, keywords, symbols, `nil`, `true` and `false`.
    Word(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    List,
    Vector,
    Map,
    Set,
}

pub(super) struct Scanner<'a> {
    rest: std::str::Chars<'a>,
    place: Place,
}

impl Bracket {
    /// The bracket that closes this one.
    pub(super) fn closing(self) -> char {
        match self {
            Self::List => ')',
            Self::Vector => ']',
            Self::Map | Self::Set => '}',
        }
    }

    pub(super) fn opening(self) -> &'static str {
        match self {
            Self::List => "(",
            Self::Vector => "[",
            Self::Map => "{",
            Self::Set => "#{",
        }
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let place = Place { line: 1, column: 1 };
        Self {
            rest: text.chars(),
            place,
        }
    }

    /// The place of the next character.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The next token and its place; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(Place, Token)>, Error> {
        self.skip_blanks();
        let place = self.place;
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let token = match first {
            '(' => self.one(Token::Open(Bracket::List)),
            '[' => self.one(Token::Open(Bracket::Vector)),
            '{' => self.one(Token::Open(Bracket::Map)),
            ')' | ']' | '}' => self.one(Token::Close(first)),
            '"' => self.string()?,
            '\\' => self.character()?,
            '#' => self.dispatch()?,
            '^' | '\'' | '`' | '~' | '@' => {
                let text = format!("{first:?} belongs to Clojure programs, not to EDN data");
                return Err(Error { place, text });
            }
            _ => Token::Word(self.word()),
        };
        Ok(Some((place, token)))
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        match next {
            '\n' => {
                self.place.line = self.place.line.saturating_add(1);
                self.place.column = 1;
            }
            _ => self.place.column = self.place.column.saturating_add(1),
        }
        Some(next)
    }

    fn one(&mut self, token: Token) -> Token {
        self.bump();
        token
    }

    /// Skips spaces, commas and comments.
    fn skip_blanks(&mut self) {
        let mut in_comment = false;
        while let Some(next) = self.peek() {
            match next {
                '\n' => in_comment = false,
                _ if in_comment || next.is_whitespace() || next == ',' => {}
                ';' => in_comment = true,
                _ => return,
            }
            self.bump();
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.peek() {
            let ends = next.is_whitespace() || matches!(next, ',' | ';' | '"' | '(' | ')');
            if ends || matches!(next, '[' | ']' | '{' | '}' | '\\') {
                break;
            }
            word.push(next);
            self.bump();
        }
        word
    }

    fn string(&mut self) -> Result<Token, Error> {
        let start = self.place;
        self.bump();
        let mut text = String::new();
        loop {
            let place = self.place;
            match self.bump() {
                Some('"') => return Ok(Token::String(text)),
                Some('\\') => text.push(self.escape(place)?),
                Some(other) => text.push(other),
                None => {
                    let text = "this string has no closing \"".to_owned();
                    return Err(Error { place: start, text });
                }
            }
        }
    }

    /// The character of an escape sequence in a string.
    fn escape(&mut self, place: Place) -> Result<char, Error> {
        match self.bump() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some(same @ ('"' | '\\')) => Ok(same),
            Some('u') => {
                let digits: String = self.rest.clone().take(4).collect();
                let found = unicode(&digits).ok_or_else(|| Error {
                    place,
                    text: "\\u needs four hexadecimal digits of a character".to_owned(),
                })?;
                for _ in 0..4 {
                    self.bump();
                }
                Ok(found)
            }
            other => {
                let what = other.map_or("nothing".to_owned(), |other| format!("{other:?}"));
                let text = format!(
                    "\\ in a string must be followed by one of n t r b f u \" \\, found {what}"
                );
                Err(Error { place, text })
            }
        }
    }

    /// `\a`, `\newline`, `\u00e9`.
    fn character(&mut self) -> Result<Token, Error> {
        let place = self.place;
        self.bump();
        // The first character may be one that otherwise ends a word, such as in `\(`.
        let mut word: String = self.bump().into_iter().collect();
        word.push_str(&self.word());
        let mut characters = word.chars();
        if let (Some(only), None) = (characters.next(), characters.next())
            && !only.is_whitespace()
        {
            return Ok(Token::Character(only));
        }
        let named = CHARACTERS.iter().find(|(name, _)| *name == word);
        let found = match (named, word.strip_prefix('u')) {
            (Some((_, found)), _) => Some(*found),
            (None, Some(digits)) => unicode(digits),
            (None, None) => None,
        };
        found.map(Token::Character).ok_or_else(|| Error {
            place,
            text: format!("unknown character \\{}", quoted(word.trim_end())),
        })
    }

    fn dispatch(&mut self) -> Result<Token, Error> {
        let place = self.place;
        self.bump();
        match self.peek() {
            Some('{') => Ok(self.one(Token::Open(Bracket::Set))),
            Some('_') => Ok(self.one(Token::Discard)),
            Some(letter) if letter.is_alphabetic() => Ok(Token::Tag(self.word())),
            Some('"') => Err(Error {
                place,
                text: "#\"...\" is a regular expression of Clojure: write a string here".to_owned(),
            }),
            other => {
                let what = other.map_or("the end of the file".to_owned(), |other| {
                    format!("{other:?}")
                });
                let text = format!("# must begin a set, a tag or #_, found {what}");
                Err(Error { place, text })
            }
        }
    }
}

fn unicode(digits: &str) -> Option<char> {
    let all_digits = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = all_digits.then(|| u32::from_str_radix(digits, 16).ok())??;
    char::from_u32(number)
}

/// A piece of the file for an error text, shortened if it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

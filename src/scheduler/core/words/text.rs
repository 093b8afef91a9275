//! Checked texts: commands, names, labels, messages.

use std::fmt;
use std::sync::Arc;

/// Why a text is refused. Displayed after the name of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextError {
    /// It is empty, or has only blanks.
    Blank,
    /// It is longer than this many bytes.
    TooLong(Limit),
    /// It has a character that is not allowed.
    BadCharacter(char),
    /// It has the wrong shape; the text says which shape is required.
    BadShape(&'static str),
}

/// A maximum number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub usize);

/// A command line, run by `sh -c`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Command(Box<str>);

/// The name of a job, for people; it may be empty and need not be unique.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JobName(Box<str>);

/// The name of a job's owner. Shared, because most jobs belong to a few users.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

/// The name of an environment variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(Box<str>);

/// The name or version of an application.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApplicationText(Box<str>);

/// An agent's attribute or its value, in a constraint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelText(Box<str>);

/// A text that is not empty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NotEmpty(Box<str>);

/// The newest message of a job, for people. It is cut if it is too long.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message(Box<str>);

/// The kernel refuses a single argument or variable of 128 KiB or more, including its NUL.
pub(super) const ARGUMENT_LIMIT: usize = 128 * 1024 - 1;

/// The limit of Cook.
const NAME_LIMIT: usize = 128;

/// The limit of Cook.
const USER_LIMIT: usize = 64;

/// The limit of Cook and of Kubernetes labels.
const LABEL_LIMIT: usize = 63;

/// The executor limits progress messages to 512 characters by default, and allows more in a terminal
/// update. The message is part of every reply about the job, and in memory while the job runs.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// The maximum length of a path in Linux; also used for regular expressions.
const NOT_EMPTY_LIMIT: usize = 4096;

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text!(Command);
text!(JobName);
text!(UserName);
text!(EnvName);
text!(ApplicationText);
text!(LabelText);
text!(NotEmpty);
text!(Message);

impl Command {
    /// The text must not be blank, contain a NUL, or be longer than the kernel permits for one argument of a
    /// program.
    ///
    /// # Errors
    /// The text breaks one of these rules.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(TextError::Blank);
        }
        within(&text, ARGUMENT_LIMIT)?;
        each(&text, |character| character != '\0')?;
        Ok(Self(text))
    }
}

impl JobName {
    /// `[.a-zA-Z0-9_-]{0,128}`
    ///
    /// # Errors
    /// The text has another character or is too long.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        within(&text, NAME_LIMIT)?;
        each(&text, is_plain)?;
        Ok(Self(text))
    }
}

impl Default for JobName {
    /// The default of Cook.
    fn default() -> Self {
        Self("cookjob".into())
    }
}

impl UserName {
    /// `[a-z][a-z0-9_-]{0,62}[a-z0-9]`
    ///
    /// # Errors
    /// The text does not match.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, TextError> {
        let text = text.into();
        within(&text, USER_LIMIT)?;
        let lower = |c: char| c.is_ascii_lowercase();
        each(&text, |c| {
            lower(c) || c.is_ascii_digit() || c == '_' || c == '-'
        })?;
        let ends = text.ends_with(|c: char| lower(c) || c.is_ascii_digit());
        if text.len() < 2 || !text.starts_with(lower) || !ends {
            return Err(TextError::BadShape(
                "at least two characters, the first a letter, the last a letter or a digit",
            ));
        }
        Ok(Self(text))
    }
}

impl EnvName {
    /// The name must not be empty or contain `=` or NUL, and with its value must fit into the kernel's
    /// limit (see [`Self::allows`]).
    ///
    /// # Errors
    /// The name breaks one of these rules.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TextError::Blank);
        }
        within(&text, ARGUMENT_LIMIT - 1)?;
        each(&text, |character| character != '\0' && character != '=')?;
        Ok(Self(text))
    }

    /// Checks that the variable may have this value: no NUL, and name and value fit into the kernel's
    /// limit.
    ///
    /// # Errors
    /// The value breaks one of these rules.
    pub fn allows(&self, value: &str) -> Result<(), TextError> {
        within(value, ARGUMENT_LIMIT - 1 - self.0.len())?;
        each(value, |character| character != '\0')
    }
}

impl ApplicationText {
    /// `[.a-zA-Z0-9_-]{1,128}`
    ///
    /// # Errors
    /// The text does not match.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TextError::Blank);
        }
        within(&text, NAME_LIMIT)?;
        each(&text, is_plain)?;
        Ok(Self(text))
    }
}

impl LabelText {
    /// The text must not be empty, longer than 63 bytes, or contain a control character.
    ///
    /// # Errors
    /// The text breaks one of these rules.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TextError::Blank);
        }
        within(&text, LABEL_LIMIT)?;
        each(&text, |character| !character.is_control())?;
        Ok(Self(text))
    }
}

impl NotEmpty {
    /// The text must not be empty, longer than 4096 bytes, or contain a NUL.
    ///
    /// # Errors
    /// The text breaks one of these rules.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TextError::Blank);
        }
        within(&text, NOT_EMPTY_LIMIT)?;
        each(&text, |character| character != '\0')?;
        Ok(Self(text))
    }
}

impl Message {
    /// Cuts a text that is too long, at a character boundary.
    pub fn cut(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(MESSAGE_LIMIT)].into())
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("must not be blank"),
            Self::TooLong(Limit(limit)) => write!(f, "is longer than {limit} bytes"),
            Self::BadCharacter(character) => write!(f, "must not contain {character:?}"),
            Self::BadShape(right) => write!(f, "must have {right}"),
        }
    }
}

impl std::error::Error for TextError {}

fn within(text: &str, limit: usize) -> Result<(), TextError> {
    if text.len() > limit {
        Err(TextError::TooLong(Limit(limit)))
    } else {
        Ok(())
    }
}

fn each(text: &str, is_allowed: impl Fn(char) -> bool) -> Result<(), TextError> {
    match text.chars().find(|&character| !is_allowed(character)) {
        Some(character) => Err(TextError::BadCharacter(character)),
        None => Ok(()),
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_must_fit_into_one_argument() {
        assert_eq!(Command::new(" \n\t").unwrap_err(), TextError::Blank);
        assert_eq!(
            Command::new("a\0b").unwrap_err(),
            TextError::BadCharacter('\0')
        );
        assert!(Command::new("x".repeat(ARGUMENT_LIMIT)).is_ok());
        assert!(Command::new("x".repeat(ARGUMENT_LIMIT + 1)).is_err());
    }

    #[test]
    fn user_names_follow_the_rules_of_cook() {
        for good in ["bob", "b0", "a-b_c9"] {
            assert!(UserName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "b", "Bob", "9b", "bob-", "b b", "bób"] {
            assert!(UserName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_and_its_value_must_fit_the_kernels_limit() {
        let name = EnvName::new("NAME").unwrap();
        assert!(name.allows(&"x".repeat(ARGUMENT_LIMIT - 5)).is_ok());
        assert!(name.allows(&"x".repeat(ARGUMENT_LIMIT - 4)).is_err());
        assert!(EnvName::new("A=B").is_err());
        assert!(EnvName::new("").is_err());
    }

    #[test]
    fn a_message_is_cut_at_a_character_boundary() {
        let message = Message::cut(&"é".repeat(MESSAGE_LIMIT));
        assert_eq!(message.as_str().len(), MESSAGE_LIMIT);
        let odd = Message::cut(&format!("x{}", "é".repeat(MESSAGE_LIMIT)));
        assert_eq!(odd.as_str().len(), MESSAGE_LIMIT - 1);
    }
}

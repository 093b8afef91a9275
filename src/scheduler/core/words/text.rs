//! Texts with rules.

use std::fmt;
use std::sync::Arc;

/// Why a text is not what it should be. Shown behind the name of the key that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextError {
    /// There is nothing in it, or only blanks.
    Blank,
    /// It is longer than this many bytes.
    TooLong(Limit),
    /// It has a character that may not be there.
    BadCharacter(char),
    /// It does not begin or end as it has to; what would be right is the text.
    BadShape(&'static str),
}

/// The most bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub usize);

/// What `sh -c` runs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Command(Box<str>);

/// The name of a job for people; it need not be unique, and may be empty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JobName(Box<str>);

/// Whose a job is. Shared, since most jobs are of a few users.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

/// The name of an environment variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(Box<str>);

/// The name or version of an application.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApplicationText(Box<str>);

/// An attribute of an agent or a value of one, as constraints name them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelText(Box<str>);

/// A text with something in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NotEmpty(Box<str>);

/// What a job has said last. Cut where it is too long, since it is for people.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message(Box<str>);

/// The kernel takes no single argument of 128 KiB or more, its NUL included; neither a variable.
pub(super) const ARGUMENT_LIMIT: usize = 128 * 1024 - 1;

/// Cook's.
const NAME_LIMIT: usize = 128;

/// Cook's.
const USER_LIMIT: usize = 64;

/// Cook's, and that of a Kubernetes label.
const LABEL_LIMIT: usize = 63;

/// A progress message of the executor is 512 characters unless an operator wants more; one in a terminal
/// update may be longer. It stands in every reply, and in memory while the job runs.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// A path or a pattern. The longest path of Linux.
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
    /// Not blank, no NUL, and short enough for the kernel.
    ///
    /// # Errors
    /// What is wrong with it.
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
    /// What is wrong with it.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        within(&text, NAME_LIMIT)?;
        each(&text, is_plain)?;
        Ok(Self(text))
    }
}

impl Default for JobName {
    /// Cook's.
    fn default() -> Self {
        Self("cookjob".into())
    }
}

impl UserName {
    /// `[a-z][a-z0-9_-]{0,62}[a-z0-9]`
    ///
    /// # Errors
    /// What is wrong with it.
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
    /// Not empty, no `=`, no NUL, and with its value short enough for the kernel (see [`Self::allows`]).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TextError::Blank);
        }
        within(&text, ARGUMENT_LIMIT - 1)?;
        each(&text, |character| character != '\0' && character != '=')?;
        Ok(Self(text))
    }

    /// Whether the variable may have this value: no NUL, and both short enough for the kernel.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn allows(&self, value: &str) -> Result<(), TextError> {
        within(value, ARGUMENT_LIMIT - 1 - self.0.len())?;
        each(value, |character| character != '\0')
    }
}

impl ApplicationText {
    /// `[.a-zA-Z0-9_-]{1,128}`
    ///
    /// # Errors
    /// What is wrong with it.
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
    /// Not empty, at most 63 bytes, no control character.
    ///
    /// # Errors
    /// What is wrong with it.
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
    /// Not empty, at most 4096 bytes, no NUL.
    ///
    /// # Errors
    /// What is wrong with it.
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
    /// Cuts what is too long, at the border of a character.
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
    fn a_command_is_one_argument_of_a_shell() {
        assert_eq!(Command::new(" \n\t").unwrap_err(), TextError::Blank);
        assert_eq!(
            Command::new("a\0b").unwrap_err(),
            TextError::BadCharacter('\0')
        );
        assert!(Command::new("x".repeat(ARGUMENT_LIMIT)).is_ok());
        assert!(Command::new("x".repeat(ARGUMENT_LIMIT + 1)).is_err());
    }

    #[test]
    fn names_of_users_are_those_of_cook() {
        for good in ["bob", "b0", "a-b_c9"] {
            assert!(UserName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "b", "Bob", "9b", "bob-", "b b", "bób"] {
            assert!(UserName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_and_its_value_fit_the_kernel() {
        let name = EnvName::new("NAME").unwrap();
        assert!(name.allows(&"x".repeat(ARGUMENT_LIMIT - 5)).is_ok());
        assert!(name.allows(&"x".repeat(ARGUMENT_LIMIT - 4)).is_err());
        assert!(EnvName::new("A=B").is_err());
        assert!(EnvName::new("").is_err());
    }

    #[test]
    fn a_message_is_cut_at_the_border_of_a_character() {
        let message = Message::cut(&"é".repeat(MESSAGE_LIMIT));
        assert_eq!(message.as_str().len(), MESSAGE_LIMIT);
        let odd = Message::cut(&format!("x{}", "é".repeat(MESSAGE_LIMIT)));
        assert_eq!(odd.as_str().len(), MESSAGE_LIMIT - 1);
    }
}

//! Groups of jobs.

use crate::core::words::{GroupId, TextError};

/// A group as it was declared. The jobs name their group, not the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its UUID.
    pub id: GroupId,
    /// Its name, for people.
    pub name: GroupName,
}

/// At most 256 bytes, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupName(Box<str>);

/// The name is repeated in every reply about the group's jobs.
const NAME_LIMIT: usize = 256;

impl GroupName {
    /// A name.
    ///
    /// # Errors
    /// The text has a control character or is too long.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() > NAME_LIMIT {
            return Err(TextError::TooLong(crate::core::words::Limit(NAME_LIMIT)));
        }
        match text.chars().find(|character| character.is_control()) {
            Some(character) => Err(TextError::BadCharacter(character)),
            None => Ok(Self(text)),
        }
    }

    /// The default name of a group that was declared without one.
    pub fn declared() -> Self {
        Self("cookgroup".into())
    }

    /// The name of a group that was never declared, only named by jobs.
    pub fn implied() -> Self {
        Self("defaultgroup".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

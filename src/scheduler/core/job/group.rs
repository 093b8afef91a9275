//! Groups of jobs.

use crate::core::words::{GroupId, TextError};

/// A group as it was declared. Which jobs are in it, the jobs know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its name for programs.
    pub id: GroupId,
    /// Its name for people.
    pub name: GroupName,
}

/// Not longer than a name needs, no control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupName(Box<str>);

/// It stands in every reply about the group's jobs.
const NAME_LIMIT: usize = 256;

impl GroupName {
    /// A name.
    ///
    /// # Errors
    /// What is wrong with it.
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

    /// The name of a group that was declared without one.
    pub fn declared() -> Self {
        Self("cookgroup".into())
    }

    /// The name of a group that only its jobs have named.
    pub fn implied() -> Self {
        Self("defaultgroup".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

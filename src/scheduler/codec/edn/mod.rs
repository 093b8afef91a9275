//! EDN, the notation of Cook's configuration file: data with the line on which each piece of it stands.
//!
//! All of the notation is read, except for what only Clojure knows (metadata, namespaced maps, regular
//! expressions). Three tags have a meaning, those that Cook's own files use; another tag is an error. The reader
//! is bounded and never panics, whatever it is given.

mod reader;
mod scanner;
#[cfg(test)]
mod tests;

use std::fmt;

pub use reader::{Document, read};

/// A place in a file, as editors count: both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What EDN can say.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// `42`, `42N`
    Integer(i64),
    /// `0.5`, `1e3`, `0.5M`
    Float(f64),
    /// `\a`, `\newline`
    Character(char),
    /// `"text"`
    String(String),
    /// `:name`, held without its colon
    Keyword(String),
    /// `name`
    Symbol(String),
    /// `( ... )`
    List(Vec<Node>),
    /// `[ ... ]`
    Vector(Vec<Node>),
    /// `#{ ... }`
    Set(Vec<Node>),
    /// `{ key value ... }`, in the order of the file
    Map(Vec<(Node, Node)>),
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where it was seen.
    pub place: Place,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Value {
    /// What kind of value this is, in words for an error text.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Character(_) => "a character",
            Self::String(_) => "a string",
            Self::Keyword(_) => "a keyword",
            Self::Symbol(_) => "a symbol",
            Self::List(_) => "a list",
            Self::Vector(_) => "a vector",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl std::error::Error for Error {}

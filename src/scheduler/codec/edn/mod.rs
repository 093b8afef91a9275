//! A reader of EDN, the notation of Cook's configuration file. Every value keeps its place in the file.
//!
//! All of EDN is read. What belongs only to Clojure programs (metadata, namespaced maps, regular
//! expressions) is an error. Three tags have a meaning, those that Cook's own files use; any other tag
//! is an error. The reader is bounded and never panics on any input.

mod reader;
mod scanner;
#[cfg(test)]
mod tests;

use std::fmt;

pub use reader::{Document, read};

/// A place in a file, counted as editors do, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// The value.
    pub value: Value,
}

/// A value of EDN.
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
    /// `:name`, stored without its colon
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

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where it was found.
    pub place: Place,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Value {
    /// The kind of a value, for an error text.
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

//! What is wrong with a request, in words for whoever has sent it and in the shape that Cook's clients read.

use std::fmt;

use serde_json::json;

/// A request that cannot be done as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something at one place of the body has the wrong shape.
    Shape {
        /// Where: `jobs[0].before_commands[1].guard`.
        path: String,
        /// Cook's word for it, if it has one.
        code: Option<Code>,
        /// What it is, and what would be right: goes behind the path.
        text: String,
    },
    /// A rule is broken.
    Rule(String),
}

/// Cook's words for keys that are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `disallowed-key`
    Disallowed,
    /// `missing-required-key`
    Missing,
}

impl Fault {
    /// A value of the wrong shape.
    pub fn shape(path: &str, text: impl Into<String>) -> Self {
        Self::Shape {
            path: path.to_owned(),
            code: None,
            text: text.into(),
        }
    }

    /// A key that is not known, and what was probably meant.
    pub fn unknown(path: String, hint: &str) -> Self {
        Self::Shape {
            path,
            code: Some(Code::Disallowed),
            text: format!("is not a known key{hint}"),
        }
    }

    /// A key that is not there.
    pub fn missing(path: String) -> Self {
        Self::Shape {
            path,
            code: Some(Code::Missing),
            text: "is missing".to_owned(),
        }
    }

    /// The body of the reply: `error` for people, and for a wrong shape also `errors`, by its place.
    pub fn json(&self) -> String {
        let error = self.to_string();
        let body = match self {
            Self::Rule(_) => json!({ "error": error }),
            Self::Shape { path, code, text } => {
                let code = match code {
                    Some(Code::Disallowed) => "disallowed-key: ",
                    Some(Code::Missing) => "missing-required-key: ",
                    None => "",
                };
                let place = if path.is_empty() { "body" } else { path };
                json!({ "error": error, "errors": { place: format!("{code}{text}") } })
            }
        };
        body.to_string()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { path, text, .. } if path.is_empty() => write!(f, "the body {text}"),
            Self::Shape { path, text, .. } => write!(f, "{path} {text}"),
            Self::Rule(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

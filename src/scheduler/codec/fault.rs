//! What is wrong with a request: a text for the user, in the JSON format that Cook's clients read.

use std::fmt;

use serde_json::json;

/// A request that is refused because of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value in the body has the wrong shape.
    Shape {
        /// The path of the value, such as `jobs[0].before_commands[1].guard`.
        path: String,
        /// The error code of Cook, if there is one.
        code: Option<Code>,
        /// What is wrong and what would be right; displayed after the path.
        text: String,
    },
    /// Any other broken rule.
    Rule(String),
}

/// Cook's error codes for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `disallowed-key`
    Disallowed,
    /// `missing-required-key`
    Missing,
}

impl Fault {
    /// A value has the wrong shape.
    pub fn shape(path: &str, text: impl Into<String>) -> Self {
        Self::Shape {
            path: path.to_owned(),
            code: None,
            text: text.into(),
        }
    }

    /// A key is unknown; `hint` suggests the intended one.
    pub fn unknown(path: String, hint: &str) -> Self {
        Self::Shape {
            path,
            code: Some(Code::Disallowed),
            text: format!("is not a known key{hint}"),
        }
    }

    /// A required key is missing.
    pub fn missing(path: String) -> Self {
        Self::Shape {
            path,
            code: Some(Code::Missing),
            text: "is missing".to_owned(),
        }
    }

    /// The JSON body of the reply: `error` is for people; for a wrong shape there is also `errors`, by
    /// path.
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

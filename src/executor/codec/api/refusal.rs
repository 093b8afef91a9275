//! An answer of the server's own: why a request comes to nothing, in words for whoever sent it.

use std::borrow::Cow;

use http_types::StatusCode;

/// An answer of the server's own: why the request comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code. 405 goes with [`super::request::METHODS`] in `Allow`.
    pub status: StatusCode,
    /// For the person who sent the request.
    pub text: Cow<'static, str>,
}

// === impl Refusal ===

impl Refusal {
    /// A refusal with a fixed text.
    pub fn new(status: StatusCode, text: &'static str) -> Self {
        let text = Cow::Borrowed(text);
        Self { status, text }
    }

    /// A refusal that says what could not be done.
    pub fn failed(status: StatusCode, task: &str) -> Self {
        let text = Cow::Owned(format!("failed to {task}"));
        Self { status, text }
    }

    /// Says what is wrong with the body.
    pub(super) fn body(text: String) -> Self {
        let text = Cow::Owned(text);
        let status = StatusCode::BadRequest;
        Self { status, text }
    }
}

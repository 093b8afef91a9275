//! A refusal of a request: a status code and the reason.

use std::borrow::Cow;

use cook_http::message::StatusCode;

/// A refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code. A response with 405 also has [`super::request::METHODS`] in `Allow`.
    pub status: StatusCode,
    /// The reason, for people.
    pub text: Cow<'static, str>,
}

// === impl Refusal ===

impl Refusal {
    /// A refusal with this text.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    /// A refusal because of an invalid body.
    pub(super) fn body(text: String) -> Self {
        Self::new(StatusCode::BadRequest, text)
    }
}

//! An answer of the server's own: why a request comes to nothing, in words for whoever sent it.

use std::borrow::Cow;

use cook_http::message::StatusCode;

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
    /// A refusal with this text.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    /// Says what is wrong with the body.
    pub(super) fn body(text: String) -> Self {
        Self::new(StatusCode::BadRequest, text)
    }
}

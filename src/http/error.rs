//! What can be wrong with a head, as a status code and in words.

use std::fmt;

use http_types::StatusCode;

/// Why a head cannot be read; where the next message would begin is unknown then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// A line feed without a carriage return before it.
    BareLineFeed,
    /// The request line or status line is none.
    FirstLine,
    /// A field without a colon, with a bad name, a folded value or a control character.
    Field,
    /// `Content-Length` is not a number, or two that differ.
    Length,
    /// `Transfer-Encoding` beside `Content-Length`, or in HTTP/1.0, which does not have it.
    TwoFramings,
    /// No `Host`, or more than one.
    Host,
    /// The target is over [`super::head::MAX_TARGET`].
    TargetTooLong,
    /// The head is over [`super::head::MAX_HEAD`].
    TooLong,
    /// There are more fields than [`super::head::MAX_FIELDS`].
    TooManyFields,
    /// `Expect` asks for something else than `100-continue`.
    Expectation,
    /// `Transfer-Encoding` is something else than `chunked`.
    Coding,
    /// HTTP, but neither 1.0 nor 1.1.
    Version,
}

// === impl HeadError ===

impl HeadError {
    /// The status code that tells a client what was wrong with its request.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BareLineFeed
            | Self::FirstLine
            | Self::Field
            | Self::Length
            | Self::TwoFramings
            | Self::Host => StatusCode::BadRequest,
            Self::TargetTooLong => StatusCode::UriTooLong,
            Self::TooLong | Self::TooManyFields => StatusCode::RequestHeaderFieldsTooLarge,
            Self::Expectation => StatusCode::ExpectationFailed,
            Self::Coding => StatusCode::NotImplemented,
            Self::Version => StatusCode::HttpVersionNotSupported,
        }
    }

    /// What there was to do when it failed; the rest of a sentence that begins with "failed to".
    pub fn text(self) -> &'static str {
        match self {
            Self::BareLineFeed => "read a line of the head that does not end in CR LF",
            Self::FirstLine => "read the first line of the head",
            Self::Field => "read a header field",
            Self::Length => "read a Content-Length that is not one number",
            Self::TwoFramings => "tell where the body ends, by its length or by its chunks",
            Self::Host => "find one Host field",
            Self::TargetTooLong => "read a request target of more than 4096 bytes",
            Self::TooLong => "read a head of more than 8192 bytes",
            Self::TooManyFields => "read more than 100 header fields",
            Self::Expectation => "meet an Expect other than 100-continue",
            Self::Coding => "decode a Transfer-Encoding other than chunked",
            Self::Version => "speak a version other than HTTP/1.1 and HTTP/1.0",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for HeadError {}

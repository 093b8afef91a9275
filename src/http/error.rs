//! What can be wrong with the head of a message: the status code for the client, and a sentence.

use std::fmt;

use http_types::StatusCode;

use super::fields::MAX_FIELDS;

/// Why a head cannot be read. The connection is of no further use, because nobody knows where the next
/// message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// A line feed without a carriage return before it.
    BareLineFeed,
    /// The first line is not a request line or status line.
    FirstLine,
    /// A field without a colon, with a bad name, a folded value or a control character.
    Field,
    /// `Content-Length` is not a number, or there are two different ones.
    Length,
    /// `Transfer-Encoding` together with `Content-Length`, or in HTTP/1.0, which does not have it.
    TwoFramings,
    /// There is no `Host` field, or more than one.
    Host,
    /// The target is longer than this many bytes.
    TargetTooLong(usize),
    /// The head is longer than this many bytes.
    TooLong(usize),
    /// There are more fields than [`super::head::MAX_FIELDS`].
    TooManyFields,
    /// `Expect` is something other than `100-continue`.
    Expectation,
    /// `Transfer-Encoding` is something other than `chunked`.
    Coding,
    /// A version of HTTP other than 1.0 and 1.1.
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
            Self::TargetTooLong(_) => StatusCode::UriTooLong,
            Self::TooLong(_) | Self::TooManyFields => StatusCode::RequestHeaderFieldsTooLarge,
            Self::Expectation => StatusCode::ExpectationFailed,
            Self::Coding => StatusCode::NotImplemented,
            Self::Version => StatusCode::HttpVersionNotSupported,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareLineFeed => "a line of the head does not end in CR LF",
            Self::FirstLine => "the first line is not an HTTP request line or status line",
            Self::Field => "a header field must be a name, a colon and a value on one line",
            Self::Length => "Content-Length must be one number",
            Self::TwoFramings => {
                "Transfer-Encoding is not allowed with Content-Length or in HTTP/1.0"
            }
            Self::Host => "exactly one Host field is required",
            Self::TargetTooLong(limit) => {
                return write!(f, "the request target has more than {limit} bytes");
            }
            Self::TooLong(limit) => return write!(f, "the head has more than {limit} bytes"),
            Self::TooManyFields => {
                return write!(f, "the head has more than {MAX_FIELDS} header fields");
            }
            Self::Expectation => "the only supported Expect is 100-continue",
            Self::Coding => "the only supported Transfer-Encoding is chunked",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are supported",
        })
    }
}

impl std::error::Error for HeadError {}

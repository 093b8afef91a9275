//! A response, before it is converted to bytes.

use serde::Serialize;

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The type of the body.
    pub content: Content,
    /// Additional header fields.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The type of a body. There is no HTML: text written by a job must never run in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `application/json`
    Json,
    /// `text/plain`
    Text,
    /// The Prometheus text format
    Metrics,
}

impl Content {
    /// The value of `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Response {
    /// A JSON response.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        // Responses consist of text and numbers, which can always be serialized.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self {
            status,
            content: Content::Json,
            fields: Vec::new(),
            body,
        }
    }

    /// A text response.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            content: Content::Text,
            fields: Vec::new(),
            body: text.into().into_bytes(),
        }
    }

    /// `{"error": text}`
    pub fn error(status: u16, text: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": text }))
    }

    /// A response without a body.
    pub fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    /// Adds a header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

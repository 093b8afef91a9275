//! An answer, before it is bytes.

use serde::Serialize;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// What the body is.
    pub content: Content,
    /// More fields of the head.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a body can be. Never HTML: nothing that a job has written may run in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `application/json`
    Json,
    /// `text/plain`
    Text,
    /// `text/plain` of Prometheus
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
    /// JSON of a value.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        // Replies are structs of texts and numbers, and cannot fail.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self {
            status,
            content: Content::Json,
            fields: Vec::new(),
            body,
        }
    }

    /// Text.
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

    /// No body.
    pub fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    /// With one more field in its head.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

//! Shell texts for the commands of tests.

use serde_json::{Value, json};

/// A command that appends a word to `order`.
pub fn say(word: &str) -> String {
    format!("echo {word} >> order")
}

/// A command that waits until a word was appended to `order`.
pub fn wait_for_word(word: &str) -> String {
    format!("until grep -qx '{word}' order 2>/dev/null; do sleep 0.01; done")
}

/// A before or after command without flags.
pub fn hook(value: impl AsRef<str>) -> Value {
    json!({ "value": value.as_ref() })
}

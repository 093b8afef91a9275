//! Strict JSON for requests: a key that occurs twice in an object is an error, and integers keep their
//! full precision.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::query::shortened;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number, 0 or more.
    Unsigned(u64),
    /// A whole number below 0.
    Negative(i64),
    /// A number with a point or an exponent, or with more than 64 bits.
    Float(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the original order, without repeated keys.
    Object(Vec<(String, Json)>),
}

/// Reads a whole body. A byte order mark is skipped.
///
/// # Errors
///
/// What is wrong, with line and column.
pub fn parse(body: &[u8]) -> Result<Json, serde_json::Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body)
}

impl Json {
    /// The kind of a value, for an error text.
    pub fn kind(&self) -> String {
        match self {
            Self::Null => "null (leave the key out)".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Negative(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::String(text) => format!("the string {:?}", shortened(text)),
            Self::Array(_) => "an array".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }

    /// A whole number, 0 or more. `5.0` is accepted too, because some clients write every number with a
    /// point. A number with more than 64 bits becomes the largest one.
    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            // `as` saturates.
            Self::Float(number) if *number >= 0.0 && number.fract() == 0.0 => Some(*number as u64),
            _ => None,
        }
    }

    /// Any number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Negative(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(u64::try_from(number).map_or(Json::Negative(number), Json::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                let key = shortened(&key);
                return Err(A::Error::custom(format!("the key {key:?} is given twice")));
            }
            members.push((key, access.next_value()?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_have_a_point() {
        let whole = |text: &str| parse(text.as_bytes()).expect("valid").whole();
        assert_eq!(whole("5"), Some(5));
        assert_eq!(whole("86400000.0"), Some(86_400_000));
        assert_eq!(whole("9223372036854775807"), Some(u64::MAX / 2));
        assert_eq!(whole("-0.0"), Some(0));
        assert_eq!(whole("1e30"), Some(u64::MAX));
        for text in ["5.5", "-1", "\"5\"", "null", "true"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn a_repeated_key_is_an_error_with_line_and_column() {
        let error = parse(b"{\"a\": 1,\n \"a\": 2}")
            .expect_err("refused")
            .to_string();
        assert_eq!(error, "the key \"a\" is given twice at line 2 column 4");
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(
            parse(b"\xef\xbb\xbf{}").ok(),
            Some(Json::Object(Vec::new()))
        );
    }
}

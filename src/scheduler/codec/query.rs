//! The query string of a request: names and values in their order; a name may be repeated.

use std::fmt;

/// Maximum number of parameters. One request of `cs` has 100; the maximum length of a target allows a
/// few thousand.
const MAX_PARAMETERS: usize = 4_000;

/// A parsed query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

/// What is wrong with a query or one of its parameters, as a text for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError(pub String);

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QueryError {}

impl Query {
    /// Reads the part after the `?`: `name=value&name=value`, where `+` is a space and `%` with two
    /// hexadecimal digits is any byte.
    ///
    /// # Errors
    ///
    /// A `%` without two digits, invalid UTF-8, or too many parameters.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut parameters = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(QueryError(format!(
                    "the query has more than {MAX_PARAMETERS} parameters"
                )));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decoded(name, true)?, decoded(value, true)?));
        }
        Ok(Self { parameters })
    }

    /// All values of a parameter, in order. `-` and `_` in its name are equivalent.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let is_it = move |sent: &str| {
            let plain = |byte| if byte == b'_' { b'-' } else { byte };
            sent.bytes().map(plain).eq(name.bytes().map(plain))
        };
        let found = self.parameters.iter().filter(move |(sent, _)| is_it(sent));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    ///
    /// It is given twice, with different values.
    pub fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, QueryError> {
        let mut values = self.all(name);
        let Some(first) = values.next() else {
            return Ok(None);
        };
        match values.find(|value| *value != first) {
            None => Ok(Some(first)),
            Some(_) => Err(QueryError(format!(
                "the query parameter {name} must not be given twice"
            ))),
        }
    }

    /// A flag: `true`, or `false` if absent.
    ///
    /// # Errors
    ///
    /// Any other value.
    pub fn flag(&self, name: &str) -> Result<bool, QueryError> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(QueryError(format!(
                "the query parameter {name} must be true or false, found {:?}",
                shortened(other)
            ))),
        }
    }

    /// A whole number, 0 or more.
    ///
    /// # Errors
    ///
    /// Any other value.
    pub fn number(&self, name: &str) -> Result<Option<u64>, QueryError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            QueryError(format!(
                "the query parameter {name} must be a whole number, found {:?}",
                shortened(text)
            ))
        })
    }
}

/// Decodes a percent-encoded text; in a query, `+` is a space.
///
/// # Errors
///
/// A `%` without two hexadecimal digits, or invalid UTF-8.
pub fn decoded(text: &str, plus_is_blank: bool) -> Result<String, QueryError> {
    let wrong = |what: &str| {
        let text = shortened(text);
        Err(QueryError(format!("{text:?} in the target {what}")))
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if plus_is_blank => b' ',
            b'%' => match (rest.next().and_then(digit), rest.next().and_then(digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                (_, _) => return wrong("has a % that is not followed by two hexadecimal digits"),
            },
            other => other,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => wrong("is not UTF-8 when it is decoded"),
    }
}

/// Encodes a value for a query.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => {
                encoded.push('%');
                for digit in [other >> 4, other & 15] {
                    encoded.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
    encoded
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// A piece of a request for an error text, shortened if it is long.
pub fn shortened(text: &str) -> String {
    /// The longest piece that an error text repeats.
    const MAX_QUOTED: usize = 80;
    match text.char_indices().nth(MAX_QUOTED) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).expect("valid")
    }

    #[test]
    fn repeated_names_keep_their_order() {
        let query = query("job=a&x=&job=b&&start-ms=1&end_ms=2&y");
        assert_eq!(query.all("job").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(query.one("x"), Ok(Some("")));
        assert_eq!(query.one("y"), Ok(Some("")));
        assert_eq!(query.number("start_ms"), Ok(Some(1)));
        assert_eq!(query.number("end-ms"), Ok(Some(2)));
        assert_eq!(query.one("none"), Ok(None));
        assert!(query.one("job").is_err());
    }

    #[test]
    fn values_are_decoded() {
        let query = query("state=a%2Bb&name=a+b&path=%2Ftmp%2f%C3%BC&n%61me2=1");
        assert_eq!(query.one("state"), Ok(Some("a+b")));
        assert_eq!(query.one("name"), Ok(Some("a b")));
        assert_eq!(query.one("path"), Ok(Some("/tmp/ü")));
        assert_eq!(query.one("name2"), Ok(Some("1")));
        for text in ["a=%", "a=%4", "a=%zz", "%=a", "a=%ff"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        assert!(Query::parse(&"a&".repeat(4_000)).is_ok());
        assert!(Query::parse(&"a&".repeat(4_001)).is_err());
    }

    #[test]
    fn invalid_flags_and_numbers_are_explained() {
        let query = query("partial=true&other=yes&limit=-1&big=99999999999999999999");
        assert_eq!(query.flag("partial"), Ok(true));
        assert_eq!(query.flag("absent"), Ok(false));
        let text = |error: QueryError| error.0;
        assert_eq!(
            query.flag("other").map_err(text),
            Err("the query parameter other must be true or false, found \"yes\"".to_owned())
        );
        assert!(query.number("limit").is_err());
        assert!(query.number("big").is_err());
    }

    #[test]
    fn encoded_values_are_decoded_back() {
        for text in ["", "/a b/ü+%&=?#", "a\u{0}\n"] {
            assert_eq!(decoded(&encoded(text), true), Ok(text.to_owned()));
        }
    }
}

//! The body of a PATCH: a text that people type becomes a [`Patch`] or a refusal.
//!
//! A body is accepted as a whole or not at all. A refusal names the key, what is wrong with it, and what
//! would be right. It quotes names, shortened, but never a value, because that may be a secret.

use serde_json::Value;

use super::refusal::Refusal;
use crate::codec::json::{self, Grammar, kind};
use crate::codec::slip::distance;
use crate::core::environment::{self, Name};
use crate::core::request::Patch;
use crate::words::units::{Percent, truncate};

/// An example of a valid body, for refusals.
const EXAMPLE: &str = r#"write {"progress": 10}"#;

/// Variables to set, or to unset.
type Changes = Vec<(Name, Option<environment::Value>)>;

/// The keys of a PATCH.
const KEYS: [&str; 3] = ["progress", "message", "env"];

/// Longer keys are not compared with known ones, because the comparison takes time in proportion to their
/// length.
const MAX_SLIP: usize = 24;

/// Maximum number of wrong letters in a key that is recognised as misspelt.
const MAX_SLIPS: usize = 2;

/// Maximum length of a quoted name.
const MAX_QUOTED: usize = 64;

/// Parses the body of a PATCH.
///
/// # Errors
///
/// What is wrong with the body. Nothing of it may be applied.
pub fn read(body: &[u8]) -> Result<Patch, Refusal> {
    if json::without_mark(body).trim_ascii().is_empty() {
        return Err(Refusal::body(format!("the body is empty: {EXAMPLE}")));
    }
    let value = json::read(body, Grammar::Lenient).map_err(|error| {
        Refusal::body(format!("the body is not valid JSON: {error}; {EXAMPLE}"))
    })?;
    let Value::Object(members) = value else {
        let kind = kind(&value);
        return Err(Refusal::body(format!(
            "the body must be a JSON object, not {kind}: {EXAMPLE}"
        )));
    };
    let mut patch = Patch::default();
    for (key, value) in members {
        match key.as_str() {
            "progress" => patch.progress = Some(progress(&value)?),
            "message" => patch.message = Some(message(value)?),
            "env" => patch.environment = changes(value)?,
            _ => return Err(unknown(&key)),
        }
    }
    Ok(patch)
}

fn progress(value: &Value) -> Result<Percent, Refusal> {
    let Value::Number(number) = value else {
        let kind = kind(value);
        return Err(Refusal::body(format!(
            r#""progress" must be a number from 0 to 100, not {kind}"#
        )));
    };
    number.as_f64().and_then(Percent::new).ok_or_else(|| {
        Refusal::body(format!(
            r#""progress" must be a number from 0 to 100, not {number}"#
        ))
    })
}

fn message(value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Refusal::body(format!(
            r#""message" must be a string, not {}"#,
            kind(&other)
        ))),
    }
}

/// The variables to set and to unset.
fn changes(value: Value) -> Result<Changes, Refusal> {
    let Value::Object(members) = value else {
        return Err(Refusal::body(format!(
            r#""env" must be an object of strings and nulls, not {}"#,
            kind(&value)
        )));
    };
    let wrong = |name: &str, what: &dyn std::fmt::Display| {
        let name = truncate(name, MAX_QUOTED);
        Refusal::body(format!(r#""env": {name:?}: {what}"#))
    };
    let mut changes = Vec::with_capacity(members.len());
    for (key, value) in members {
        let value = match value {
            Value::Null => None,
            Value::String(text) if text.len() > environment::MAX_VALUE => {
                let what = "a value must not be longer than 65536 bytes";
                return Err(wrong(&key, &what));
            }
            Value::String(text) => {
                Some(environment::Value::new(text).map_err(|invalid| wrong(&key, &invalid))?)
            }
            other => {
                let kind = kind(&other);
                let what = format!("a value must be a string, or null to unset it, not {kind}");
                return Err(wrong(&key, &what));
            }
        };
        if key.len() > environment::MAX_NAME {
            return Err(wrong(&key, &"a name must not be longer than 4096 bytes"));
        }
        match Name::new(key.as_bytes()) {
            Ok(name) => changes.push((name, value)),
            Err(invalid) => return Err(wrong(&key, &invalid)),
        }
    }
    Ok(changes)
}

/// The refusal of an unknown key, with the key that was probably meant.
fn unknown(key: &str) -> Refusal {
    let mut text = format!("unknown key {:?}", truncate(key, MAX_QUOTED));
    if let Some(meant) = KEYS.iter().find(|known| is_slip(key, known)) {
        text.push_str(&format!(" (did you mean {meant:?}?)"));
    }
    text.push_str(r#": allowed are "progress", "message" and "env""#);
    Refusal::body(text)
}

/// Whether `key` is probably a misspelt `known`.
fn is_slip(key: &str, known: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.is_empty() || key.len() > MAX_SLIP {
        return false;
    }
    let near = distance(key.as_bytes(), known.as_bytes()) <= MAX_SLIPS.min(known.len() / 2);
    near || key.contains(known) || key.len() > 1 && known.starts_with(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(body: &str) -> Result<Patch, String> {
        read(body.as_bytes()).map_err(|refusal| {
            assert_eq!(refusal.status as u16, 400);
            refusal.text.into_owned()
        })
    }

    #[test]
    fn the_documented_examples_are_valid_as_printed() {
        let progress = patched("{progress: 10}").expect("documented");
        assert_eq!(progress.progress, Percent::new(10.0));
        let env = patched(r#"{env: {VAR_A: "123", SOME_B: null}}"#).expect("documented");
        let pair = |name: &str, value: Option<&str>| {
            let value = value.map(|value| environment::Value::new(value).expect("valid"));
            (Name::new(name).expect("valid"), value)
        };
        assert_eq!(
            env.environment,
            [pair("SOME_B", None), pair("VAR_A", Some("123"))]
        );
        let both = patched(r#"{"progress": 100, "message": "a custom failure message"}"#);
        let wanted = Patch {
            progress: Percent::new(100.0),
            message: Some("a custom failure message".into()),
            environment: Vec::new(),
        };
        assert_eq!(both, Ok(wanted));
        assert_eq!(patched("{}"), Ok(Patch::default()));
    }

    #[test]
    fn progress_is_a_number_from_0_to_100() {
        for (text, value) in [
            ("0", 0.0),
            ("100", 100.0),
            ("99.5", 99.5),
            ("1e2", 100.0),
            ("-0", 0.0),
        ] {
            let progress = patched(&format!("{{progress: {text}}}")).map(|it| it.progress);
            assert_eq!(progress, Ok(Percent::new(value)), "{text}");
        }
        for wrong in [
            "-1", "101", "100.001", "1e300", "\"10\"", "true", "null", "[10]", "{}", "NaN", "1e999",
        ] {
            assert!(
                patched(&format!("{{progress: {wrong}}}")).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_refusal_names_the_key_and_the_reason() {
        for (body, text) in [
            ("", r#"the body is empty: write {"progress": 10}"#),
            (" \r\n", r#"the body is empty: write {"progress": 10}"#),
            (
                "{progress = 10}",
                r#"the body is not valid JSON: key must be a string at line 1 column 2; write {"progress": 10}"#,
            ),
            (
                "10",
                r#"the body must be a JSON object, not a number: write {"progress": 10}"#,
            ),
            (
                r#"{"progress": 101}"#,
                r#""progress" must be a number from 0 to 100, not 101"#,
            ),
            (
                r#"{"progress": "10"}"#,
                r#""progress" must be a number from 0 to 100, not a string"#,
            ),
            (
                r#"{"message": null}"#,
                r#""message" must be a string, not null"#,
            ),
            (
                r#"{"env": ["A=1"]}"#,
                r#""env" must be an object of strings and nulls, not an array"#,
            ),
            (
                r#"{"env": {"A": 1}}"#,
                r#""env": "A": a value must be a string, or null to unset it, not a number"#,
            ),
            (
                r#"{"env": {"": "1"}}"#,
                r#""env": "": the name of a variable must not be empty"#,
            ),
            (
                r#"{"env": {"A=B": null}}"#,
                r#""env": "A=B": the name of a variable must not contain '='"#,
            ),
            (
                r#"{"env": {"A": "\u0000"}}"#,
                r#""env": "A": names and values of variables must not contain a NUL byte"#,
            ),
            (
                "{message: hello}",
                r#"the body is not valid JSON: expected value at line 1 column 11; write {"progress": 10}"#,
            ),
            (
                r#"{"mesage": "x"}"#,
                r#"unknown key "mesage" (did you mean "message"?): allowed are "progress", "message" and "env""#,
            ),
            (
                r#"{"color": 1}"#,
                r#"unknown key "color": allowed are "progress", "message" and "env""#,
            ),
        ] {
            assert_eq!(patched(body), Err(text.into()), "{body}");
        }
    }

    #[test]
    fn one_bad_key_refuses_the_whole_patch() {
        assert!(patched(r#"{"progress": 10, "message": 5}"#).is_err());
        assert!(patched(r#"{"env": {"A": "1", "B": 2}}"#).is_err());
        assert!(patched(r#"{"progress": 10, "state": "x"}"#).is_err());
    }

    #[test]
    fn a_misspelt_key_is_recognised() {
        for (key, meant) in [
            ("Progress", "progress"),
            ("progess", "progress"),
            ("progress_percent", "progress"),
            ("prog", "progress"),
            ("MESSAGE", "message"),
            ("mesages", "message"),
            ("environment", "env"),
            ("evn", "progress message"),
            ("en", "env"),
            ("envs", "env"),
        ] {
            let found: Vec<_> = KEYS
                .into_iter()
                .filter(|known| is_slip(key, known))
                .collect();
            match meant.contains(' ') {
                true => assert!(found.is_empty(), "{key}"),
                false => assert_eq!(found, [meant], "{key}"),
            }
        }
        assert!(!KEYS.into_iter().any(|known| is_slip("exit_code", known)));
        assert!(!KEYS.into_iter().any(|known| is_slip("", known)));
    }

    #[test]
    fn a_long_name_is_quoted_in_part() {
        let name = "x".repeat(100_000);
        for body in [format!("{{{name}: 1}}"), format!("{{env: {{{name}: 1}}}}")] {
            assert!(patched(&body).is_err_and(|text| text.len() < 300));
        }
    }
}

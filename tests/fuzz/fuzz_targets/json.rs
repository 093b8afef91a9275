//! The lenient JSON parser: it agrees with a strict parser on strict JSON; any other accepted input gives a
//! value that can be written as JSON; and error texts are short.
#![no_main]

use cook_executor::codec::api::patch;
use cook_executor::codec::json::{self, Grammar};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Equal except for the last digits of a fraction, which serde_json does not read exactly.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= a.abs() * 1e-14 + f64::MIN_POSITIVE
        }
        (a, b) => a == b,
    }
}

fuzz_target!(|input: &[u8]| {
    let read = json::read(input, Grammar::Lenient);
    if let Ok(strict) = serde_json::from_slice::<Value>(input) {
        assert!(
            read.as_ref().is_ok_and(|value| *value == strict),
            "it differs from strict JSON"
        );
    }
    if let Ok(value) = &read {
        let text = serde_json::to_vec(value).expect("a value can be written");
        let strict =
            serde_json::from_slice::<Value>(&text).expect("what is written is strict JSON");
        assert!(same(value, &strict), "{value} is read again as {strict}");
        let again = json::read(&text, Grammar::Strict).expect("strict JSON");
        assert_eq!(again, strict);
    }
    match patch::read(input) {
        Ok(_) => assert!(read.is_ok_and(|value| value.is_object())),
        Err(refusal) => assert!(refusal.text.len() < 1024, "{}", refusal.text),
    }
});

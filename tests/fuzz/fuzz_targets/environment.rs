//! The executor's environment; each line of the input is a variable. Parsing never panics, and each parsed
//! duration agrees with a simple floating point parser.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use cook_executor::codec::mesos::arguments::Arguments;
use cook_executor::shell::config::Config;
use cook_mesos::duration::parse_duration;
use libfuzzer_sys::fuzz_target;

fn variables(input: &[u8]) -> impl Iterator<Item = (OsString, OsString)> {
    let fallback = [
        "MESOS_FRAMEWORK_ID=f",
        "MESOS_EXECUTOR_ID=e",
        "MESOS_SLAVE_PID=s@127.0.0.1:1",
    ];
    let fallback = fallback.into_iter().map(str::as_bytes);
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    fallback
        .chain(input.split(|byte| *byte == b'\n'))
        .map(move |line| {
            let equals = line
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(line.len());
            let (name, value) = line.split_at(equals);
            (text(name), text(value.get(1..).unwrap_or_default()))
        })
}

/// The duration in nanoseconds, as a floating point number.
fn roughly(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let unit = match &text[split..] {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "secs" => 1e9,
        "mins" => 60e9,
        "hrs" => 3600e9,
        "days" => 86400e9,
        "weeks" => 604800e9,
        _ => return None,
    };
    Some(text[..split].parse::<f64>().ok()? * unit)
}

fuzz_target!(|input: &[u8]| {
    if let Ok(config) = Config::read(variables(input), Arguments::Command(Vec::new()), [7; 16]) {
        assert!(config.settings.message_limit >= 64);
        assert!(config.settings.progress_interval.as_millis() >= 100);
        let names = config
            .settings
            .environment
            .iter()
            .map(|(name, _)| name.to_owned());
        assert!(names.is_sorted_by(|a, b| a < b));
        assert!(
            config
                .settings
                .environment
                .get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
                .is_none()
        );
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for text in text.lines() {
        if let Some(duration) = parse_duration(text).filter(|found| found.as_secs() < 1_000_000_000) {
            let found = duration.as_nanos() as f64;
            let rough = roughly(text).expect("a number and a unit");
            // Digits below a nanosecond are cut off twice: after the fifteenth digit, and at the end.
            assert!(
                (found - rough).abs() <= 2.0 + rough * 1e-9,
                "{text}: {found} for {rough}"
            );
        }
    }
});

//! Durations in the notation of Mesos, and the decimal numbers that they begin with.

use std::time::Duration;

/// Parses a Mesos duration such as `5secs`, `1.5hrs` or `0ns`
/// (`3rdparty/stout/include/stout/duration.hpp`); `None` if it is not one. A duration of more than five
/// centuries gives a value of at least that length.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("secs", 1_000_000_000),
        ("mins", 60_000_000_000),
        ("hrs", 3_600_000_000_000),
        ("days", 86_400_000_000_000),
        ("weeks", 604_800_000_000_000),
    ];
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (parts, scale) = decimal(number)?;
    let total = parts.saturating_mul(*nanoseconds) / u128::from(scale);
    let whole = u64::try_from(total).map(Duration::from_nanos);
    Some(whole.unwrap_or(Duration::MAX))
}

/// Parses a decimal number such as `5`, `1.5` or `.5` as a numerator and a denominator. An integer part of
/// more than 64 bits counts as 2^64 - 1. Parsing floating point numbers with the standard library would
/// cost 14 kB of tables.
pub fn decimal(text: &str) -> Option<(u128, u64)> {
    /// Further digits of the fraction are less than a nanosecond of a week.
    const MAX_FRACTION: usize = 15;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() < 2 && whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(MAX_FRACTION)];
    let digits = |text: &str| match text.is_empty() {
        true => Some(0),
        // Only digits: the number can only be too large.
        false => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
    };
    let scale = 10_u64.pow(fraction.len() as u32);
    let parts = u128::from(digits(whole)?) * u128::from(scale) + u128::from(digits(fraction)?);
    Some((parts, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_mesos_prints_them() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("5secs"), Some(5.0));
        assert_eq!(seconds("1.5hrs"), Some(5400.0));
        assert_eq!(seconds("15mins"), Some(900.0));
        assert_eq!(seconds("0ns"), Some(0.0));
        assert_eq!(seconds("4.938180864secs"), Some(4.938180864));
        for wrong in [
            "",
            "5",
            "secs",
            "1sec",
            "-1secs",
            "1.2.3secs",
            "1.0000000000000000.3secs",
            "5 secs",
            "corrupt-value",
            "1e9secs",
            ".secs",
            "1e400secs",
            "infsecs",
            "nansecs",
            "+1secs",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_duration_that_is_too_long_becomes_a_very_long_one() {
        for text in [
            "99999999999999999999weeks",
            "99999999999999999999ns",
            "999999.9weeks",
        ] {
            let centuries = Duration::from_secs(500 * 365 * 24 * 3600);
            assert!(parse_duration(text) > Some(centuries), "{text}");
        }
    }
}

//! Dates: milliseconds since 1970 to ISO 8601 and back.

use crate::core::words::Wall;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// `2026-11-26T02:45:00.000Z`
pub fn shown(time: Wall) -> String {
    // The year 9999 is enough for anything that is shown.
    let millis = i64::try_from(time.0)
        .unwrap_or(i64::MAX)
        .min(253_402_300_799_999);
    let (year, month, day) = date(millis.div_euclid(DAY));
    let rest = millis.rem_euclid(DAY);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, millis) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Reads milliseconds since 1970, or a date. After the date there may be a time; after the time there may be
/// a fraction of a second, and an offset from UTC. Without an offset, the time is UTC.
pub fn read(text: &str) -> Option<Wall> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Wall);
    }
    // The `+` of an offset that was not percent-encoded arrives as a space.
    let text = text.trim();
    let (day, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let mut parts = day.split('-');
    let (year, month, day) = (
        digits(parts.next()?, 4)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    );
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days(year, month, day);
    if date(days) != (year, month, day) {
        return None;
    }
    let millis = days * DAY + clock(time)?;
    u64::try_from(millis).ok().map(Wall)
}

/// `12:34`, `12:34:56` or `12:34:56.789`, each followed by `Z`, `+01:00`, `-0100` or nothing.
fn clock(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let end = text.find(['Z', 'z', '+', '-', ' ']).unwrap_or(text.len());
    let (time, zone) = text.split_at(end);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.split(':');
    let (hours, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let seconds = parts.next().map_or(Some(0), |text| digits(text, 2))?;
    if parts.next().is_some() || hours > 24 || minutes > 59 || seconds > 60 {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis = digits(&fraction, 3)?;
    let offset = match zone.chars().next() {
        None | Some('Z' | 'z') if zone.len() <= 1 => 0,
        Some('+' | ' ') => offset(&zone[1..])?,
        Some('-') => -offset(&zone[1..])?,
        _ => return None,
    };
    Some(((hours * 60 + minutes - offset) * 60 + seconds) * 1000 + millis)
}

/// The minutes of `01:00`, `0100` or `01`.
fn offset(text: &str) -> Option<i64> {
    let digits_only = text.replace(':', "");
    match digits_only.len() {
        2 => Some(digits(&digits_only, 2)? * 60),
        4 => Some(digits(&digits_only[..2], 2)? * 60 + digits(&digits_only[2..], 2)?),
        _ => None,
    }
}

/// Exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// The days since 1970 of a date of the Gregorian calendar. Years begin in March here, so that a leap
/// day is the last day of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_time_is_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(shown(Wall(millis)), text);
            assert_eq!(read(text), Some(Wall(millis)));
            assert_eq!(read(&millis.to_string()), Some(Wall(millis)));
        }
        for day in (0..60_000_000_000_000).step_by(86_400_000 * 7) {
            assert_eq!(read(&shown(Wall(day))), Some(Wall(day)));
        }
        assert_eq!(shown(Wall(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_time_may_be_abbreviated_or_in_another_zone() {
        let wanted = read("2023-11-14T22:13:00Z");
        assert!(wanted.is_some());
        for text in [
            "2023-11-14T22:13",
            "2023-11-14 22:13:00.000",
            "2023-11-14T23:13:00+01:00",
            "2023-11-14T23:13:00 0100",
            "2023-11-14T17:13:00-05",
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
        assert_eq!(read("2023-11-14"), read("2023-11-14T00:00:00.000Z"));
        for text in [
            "",
            "x",
            "-5",
            "2023-13-01",
            "2023-02-30",
            "2023-1-1",
            "1900-01-01",
            "2023-11-14T25:00",
            "2023-11-14T1:00",
            "2023-11-14T10:00x",
            "2023-11-14T10:00Zx",
            "99999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! Suggests the key that a client probably meant.

/// Maximum number of differing letters.
const MAX_SLIPS: usize = 2;

/// Longer keys get no suggestion, which also bounds the time for hostile input.
const MAX_LENGTH: usize = 64;

/// The key of `known` that is most similar to `key`: at most two letters inserted, missing or changed,
/// and at most half of them. Case is ignored, and `-` and `_` are equivalent.
pub fn nearest<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if key.is_empty() || key.len() > MAX_LENGTH {
        return None;
    }
    let key = plain(key);
    let near = |name: &'a str| {
        let slips = distance(&key, &plain(name));
        let longer = key.len().abs_diff(name.len());
        (slips <= MAX_SLIPS.min(name.len() / 2)).then_some(((slips, longer), name))
    };
    let found = known.into_iter().filter_map(near);
    found.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

/// ` (did you mean NAME?)`, or an empty text.
pub fn hint<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(key, known).map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn plain(key: &str) -> Vec<u8> {
    let letters = key.bytes().map(|byte| match byte {
        b'-' => b'_',
        other => other.to_ascii_lowercase(),
    });
    letters.collect()
}

/// The number of bytes to insert, remove or change to turn `left` into `right`.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["value", "guard", "async", "max_retries"];

    #[test]
    fn a_typo_finds_its_key() {
        for (key, wanted) in [
            ("gaurd", Some("guard")),
            ("Guard", Some("guard")),
            ("vaule", Some("value")),
            ("max-retires", Some("max_retries")),
            ("asyn", Some("async")),
            ("retries", None),
            ("g", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, KEYS), wanted, "{key}");
        }
        assert_eq!(nearest(&"guard".repeat(1000), KEYS), None);
        assert_eq!(hint("gaurd", KEYS), " (did you mean guard?)");
    }
}

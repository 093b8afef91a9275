//! Misspelt keys: finds the known key that an unknown one probably means.

/// Maximum number of wrong letters.
const MAX_WRONG: usize = 2;

/// Longer keys are not compared, because the comparison takes time in proportion to their length.
const MAX_LENGTH: usize = 64;

/// The known key that `key` differs from by at most two letters and at most half of its letters. Case,
/// hyphens and underscores are ignored.
pub fn meant<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    if key.len() > MAX_LENGTH {
        return None;
    }
    let key = letters(key);
    let allowed = MAX_WRONG.min(key.len() / 2);
    known
        .iter()
        .map(|known| (distance(&key, &letters(known)), *known))
        .filter(|(wrong, _)| *wrong <= allowed)
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, known)| known)
}

/// The letters to compare.
fn letters(key: &str) -> Vec<char> {
    let letters = key.chars().filter(|letter| !matches!(letter, '-' | '_'));
    letters.flat_map(char::to_lowercase).collect()
}

/// The number of letters to insert, remove or change to turn `left` into `right`.
pub fn distance<T: PartialEq>(left: &[T], right: &[T]) -> usize {
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

    #[test]
    fn a_near_miss_has_at_most_two_wrong_letters_and_at_most_half_of_them() {
        const KNOWN: [&str; 3] = ["command", "before_commands", "env"];
        for (key, wanted) in [
            ("Command", Some("command")),
            ("comand", Some("command")),
            ("commands", Some("command")),
            ("cmmnd", Some("command")),
            ("cmnd", None),
            ("cmd", None),
            ("before-commands", Some("before_commands")),
            ("beforeCommands", Some("before_commands")),
            ("before_command", Some("before_commands")),
            ("bfore_comands", Some("before_commands")),
            ("vne", None),
            ("en", Some("env")),
            ("e", None),
            ("", None),
            ("-_-", None),
            ("uris", None),
        ] {
            assert_eq!(meant(key, &KNOWN), wanted, "{key:?}");
        }
        assert_eq!(meant(&"command".repeat(100_000), &KNOWN), None);
    }
}

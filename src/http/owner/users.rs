//! Which users can be distinguished in this user namespace (user_namespaces(7)).

use std::fs::File;
use std::io::{self, Read};

/// The users that the namespace maps, and the overflow user, whom all others look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// Each range: its first user, and how many users it has.
    mapped: Vec<(u32, u32)>,
    overflow: u32,
}

/// The kernel's default overflow user.
const DEFAULT_OVERFLOW: u32 = 65_534;

/// Maximum size of the map: the kernel accepts at most 340 lines, each with three numbers.
const MAX_MAP: u64 = 16 << 10;

// === impl Users ===

impl Users {
    /// Reads the map of this process.
    ///
    /// # Errors
    ///
    /// /proc is not available. A kernel without user namespaces maps everybody.
    pub fn read() -> io::Result<Self> {
        let map = match text("/proc/self/uid_map") {
            Ok(map) => map,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                text("/proc/self/stat")?;
                "0 0 4294967295".to_owned()
            }
            Err(error) => return Err(error),
        };
        let overflow = text("/proc/sys/kernel/overflowuid").unwrap_or_default();
        Ok(Self::parse(&map, &overflow))
    }

    /// Whether the id `user` stands for exactly one user. The overflow user's id does not, even if it is
    /// mapped: the kernel also reports it for users that it cannot represent.
    pub fn is_one(&self, user: u32) -> bool {
        let is_in =
            |&(first, count): &(u32, u32)| user.checked_sub(first).is_some_and(|n| n < count);
        user != self.overflow && self.mapped.iter().any(is_in)
    }

    fn parse(map: &str, overflow: &str) -> Self {
        let ranges = map.lines().filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) => Some((first, count)),
                _ => None,
            }
        });
        Self {
            mapped: ranges.collect(),
            overflow: overflow.trim().parse().unwrap_or(DEFAULT_OVERFLOW),
        }
    }
}

fn text(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_MAP).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_distinct_if_it_is_mapped_and_not_the_overflow_user() {
        let host = Users::parse("         0          0 4294967295\n", "65534\n");
        for (user, is_one) in [(0, true), (1000, true), (65_534, false), (u32::MAX, false)] {
            assert_eq!(host.is_one(user), is_one, "{user}");
        }
        let rootless = Users::parse("0 1000 1\n1 100000 65536\n", "65534\n");
        for (user, is_one) in [(0, true), (65_533, true), (65_534, false), (65_537, false)] {
            assert_eq!(rootless.is_one(user), is_one, "{user}");
        }
        let alone = Users::parse("1000 1000 1\n", "99");
        for (user, is_one) in [(0, false), (1000, true), (1001, false), (99, false)] {
            assert_eq!(alone.is_one(user), is_one, "{user}");
        }
        let unmapped = Users::parse("", "");
        assert!(!unmapped.is_one(0) && !unmapped.is_one(65_534));
    }

    #[test]
    fn this_process_has_a_map() {
        assert!(Users::read().is_ok());
    }
}

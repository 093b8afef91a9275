//! The ids of jobs, groups and instances.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

/// A UUID of any version: some clients put a date or a counter where the version should be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// A job's UUID, chosen by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub Uuid);

/// The id of one attempt at a job; also its Mesos task id and executor id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub Uuid);

/// The UUID of a group of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub Uuid);

/// Generates UUIDs. Sources with different random seeds do not collide in practice; two sources with
/// the same seed generate the same UUIDs, which makes simulated runs repeatable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdSource {
    seed: [u8; 16],
    issued: u64,
}

// === impl Uuid ===

impl Uuid {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads `8-4-4-4-12` hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let mut at = 0;
        for (index, byte) in bytes.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                if text[at] != b'-' {
                    return None;
                }
                at += 1;
            }
            *byte = digit(text[at])? << 4 | digit(text[at + 1])?;
            at += 2;
        }
        Some(Self(bytes))
    }
}

fn digit(byte: u8) -> Option<u8> {
    // A hexadecimal digit fits into a byte.
    char::from(byte)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A list of jobs contains thousands of these, so format the whole text at once.
        let mut text = String::with_capacity(36);
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl IdSource ===

impl IdSource {
    /// Creates a source. The seed must be random for every start of the program.
    pub fn new(seed: [u8; 16]) -> Self {
        Self { seed, issued: 0 }
    }

    /// The next UUID, in the format of version 4. One half is derived from the seed, and so differs from
    /// that of all other sources. The other half is a hash of seed and counter, so that the UUIDs are well
    /// distributed as keys.
    pub fn issue(&mut self) -> Uuid {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.seed);
        hasher.write_u64(self.issued);
        self.issued = self.issued.wrapping_add(1);
        let mut bytes = self.seed;
        bytes[..8].copy_from_slice(&hasher.finish().to_be_bytes());
        for (byte, count) in bytes[12..]
            .iter_mut()
            .zip(self.issued.to_be_bytes()[4..].iter())
        {
            *byte ^= count;
        }
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_of_any_version_and_case_is_read_and_shown_in_lower_case() {
        let uuid = Uuid::parse("A2141DFF-fff7-CBFF-0000-00000000000f").unwrap();
        assert_eq!(uuid.to_string(), "a2141dff-fff7-cbff-0000-00000000000f");
    }

    #[test]
    fn malformed_uuids_are_refused() {
        for text in [
            "",
            "a2141dff",
            "a2141dfffff7cbff000000000000000f",
            "a2141dff-fff7-cbff-0000-00000000000g",
            "a2141dff-fff7-cbff-0000_00000000000f",
            "a2141dff-fff7-cbff-0000-00000000000f ",
            "+2141dff-fff7-cbff-0000-00000000000f",
            "éééééééééééééééééé",
        ] {
            assert_eq!(Uuid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_source_never_repeats_a_uuid() {
        let mut source = IdSource::new([7; 16]);
        let issued: std::collections::HashSet<_> = (0..10_000).map(|_| source.issue()).collect();
        assert_eq!(issued.len(), 10_000);
    }
}

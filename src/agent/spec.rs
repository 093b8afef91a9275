//! What to start: an executor, its one task, and the sandbox it gets.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cook_mesos::messages::TaskInfo;

/// Identifies one start of an executor: 16 random bytes, shown as a uuid. All processes of the container
/// have it in their environment as `MESOS_CONTAINER_ID`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub [u8; 16]);

/// An executor to start, with its task.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The executor's id, used in commands and notices. It must not be reused.
    pub executor_id: String,
    /// Identifies this start.
    pub container: ContainerId,
    /// The task. The agent sets its `agent_id`.
    pub task: TaskInfo,
    /// What to run.
    pub program: Program,
    /// `ExecutorInfo.data`.
    pub executor_data: Option<Vec<u8>>,
    /// The executor's environment, in addition to what the agent sets.
    pub environment: Vec<(OsString, OsString)>,
    /// Files to fetch into the sandbox before the start.
    pub files: Vec<Uri>,
    /// The working directory; created if necessary.
    pub sandbox: PathBuf,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`.
    pub shutdown_grace: Duration,
    /// Memory limit of all processes together in bytes; enforced only with cgroups.
    pub memory: Option<u64>,
    /// CPU limit of all processes together in thousandths of a processor; enforced only with cgroups.
    pub cpu: Option<u64>,
    /// Bytes for the program, which finds them with the executor after a restart.
    pub tag: Vec<u8>,
    /// How long the executor waits for an agent that is away. `None`: there is no record, and the executor
    /// ends with the agent.
    pub recovery_timeout: Option<Duration>,
}

/// What to run as the executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program and its arguments. A relative path starts in the sandbox.
    Direct(Vec<OsString>),
    /// A line for `/bin/sh -c`. The executor must replace the shell's process, with `exec` or as the last
    /// command of the line.
    Shell(OsString),
}

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// A path, or a `file:`, `http:` or `https:` URI.
    pub value: String,
    /// Make it executable, and do not extract it.
    pub executable: bool,
    /// Unpack it if its name is that of an archive.
    pub extract: bool,
}

// === impl ContainerId ===

impl ContainerId {
    /// Creates a random id.
    ///
    /// # Errors
    ///
    /// The kernel cannot supply random numbers.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        let length = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        if length != bytes.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self(bytes))
    }

    /// Parses the text that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || !digits.is_ascii() {
            return None;
        }
        Some(Self(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes()))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_id_is_parsed_from_its_text() {
        let id = ContainerId(*b"0123456789abcdef");
        assert_eq!(id.to_string(), "30313233-3435-3637-3839-616263646566");
        assert_eq!(ContainerId::parse(&id.to_string()), Some(id));
        for wrong in ["", "30313233", "zz313233-3435-3637-3839-616263646566"] {
            assert_eq!(ContainerId::parse(wrong), None, "{wrong}");
        }
    }
}

//! Processes as `/proc` shows them, named so that a reused id cannot be taken for them.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;

use crate::record::RecordedProcess;

/// A process of this boot: no other one has the same id and start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its start in clock ticks since the boot.
    pub started: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The letter of its state; `Z` and `X` have ended.
    pub state: u8,
    /// Its parent's id.
    pub parent: i32,
    /// Its session's id.
    pub session: i32,
    /// Its start in clock ticks since the boot.
    pub started: u64,
}

/// Names this boot of the machine.
///
/// # Errors
///
/// `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// What is known of a process; `None` if it has ended, its zombie included.
pub fn stat(pid: Pid) -> Option<Stat> {
    read(pid).filter(|stat| !matches!(stat.state, b'Z' | b'X'))
}

fn read(pid: Pid) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// The name of a program may have blanks and parentheses in it: what follows the last one is plain.
fn parse(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    // Field 22; the session is field 6.
    let started = fields.nth(15)?.parse().ok()?;
    Some(Stat {
        state,
        parent,
        session,
        started,
    })
}

/// The ids of all processes.
pub fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

// === impl Process ===

impl Process {
    /// The process with this id, if there is one.
    pub fn find(pid: Pid) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    /// A child that was not waited for yet; it may have ended.
    pub fn of_child(pid: Pid) -> Option<Self> {
        let started = read(pid)?.started;
        Some(Self { pid, started })
    }

    /// The process of a record of this boot, unless it has ended.
    pub fn recorded(recorded: RecordedProcess) -> Option<Self> {
        let found = Self::find(Pid::from_raw(recorded.pid)?)?;
        (found.started == recorded.started).then_some(found)
    }

    /// For a record.
    pub fn to_record(self) -> RecordedProcess {
        RecordedProcess {
            pid: self.pid.as_raw_nonzero().get(),
            started: self.started,
        }
    }

    /// A descriptor that is readable when the process has ended; `None` if it has.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub fn open(self) -> Result<Option<OwnedFd>, Errno> {
        let descriptor = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Whoever has the id now is what was opened.
        let is_same = Self::find(self.pid) == Some(self);
        Ok(is_same.then_some(descriptor))
    }

    /// Sends a signal to it and to no other process. It is fine if it has ended.
    ///
    /// # Errors
    ///
    /// The kernel does not let us.
    pub fn signal(self, signal: Signal) -> Result<(), Errno> {
        let Some(descriptor) = self.open()? else {
            return Ok(());
        };
        match pidfd_send_signal(descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let line = b"42 (a) b (c) S 7 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 6 7 8";
        let wanted = Stat {
            state: b'S',
            parent: 7,
            session: 39,
            started: 12345,
        };
        assert_eq!(parse(line), Some(wanted));
        assert_eq!(parse(b"42 (a"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let own = Process::find(rustix::process::getpid()).unwrap();
        assert_eq!(Process::recorded(own.to_record()), Some(own));
        let mut other = own.to_record();
        other.started += 1;
        assert_eq!(Process::recorded(other), None);
        assert!(own.open().unwrap().is_some());
        let other = Process {
            started: own.started + 1,
            ..own
        };
        assert!(other.open().unwrap().is_none());
        // It would end this test.
        other.signal(Signal::KILL).unwrap();
    }
}

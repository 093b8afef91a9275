//! Processes as `/proc` shows them, identified so that a reused process id is not mistaken for them.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;

use crate::record::RecordedProcess;

/// A process of this boot. No other process has the same id and start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its start time in clock ticks since boot.
    pub started: u64,
}

/// Some fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its state as a letter. `Z` and `X` mean that it has ended.
    pub state: u8,
    /// Its parent's id.
    pub parent: i32,
    /// Its session's id.
    pub session: i32,
    /// Its start time in clock ticks since boot.
    pub started: u64,
}

/// Identifies this boot of the machine.
///
/// # Errors
///
/// `/proc` is not available.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// The status of a process; `None` if it has ended, even if it is still a zombie.
pub fn stat(pid: Pid) -> Option<Stat> {
    read(pid).filter(|stat| !matches!(stat.state, b'Z' | b'X'))
}

fn read(pid: Pid) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// A program's name may contain blanks and parentheses. The fields follow the last parenthesis.
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

    /// The recorded process, unless it has ended.
    pub fn recorded(recorded: RecordedProcess) -> Option<Self> {
        let found = Self::find(Pid::from_raw(recorded.pid)?)?;
        (found.started == recorded.started).then_some(found)
    }

    /// The process in the form of a record.
    pub fn to_record(self) -> RecordedProcess {
        RecordedProcess {
            pid: self.pid.as_raw_nonzero().get(),
            started: self.started,
        }
    }

    /// A descriptor that becomes readable when the process ends; `None` if it has ended.
    ///
    /// # Errors
    ///
    /// No descriptor is free.
    pub fn open(self) -> Result<Option<OwnedFd>, Errno> {
        let descriptor = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The descriptor belongs to the process that has the id now. Check that it is the same one.
        let is_same = Self::find(self.pid) == Some(self);
        Ok(is_same.then_some(descriptor))
    }

    /// Sends a signal to this process and to no other one. Nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// The kernel does not allow it.
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
    fn a_stat_line_is_parsed_with_any_program_name() {
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
    fn a_process_is_identified_by_its_start_time_too() {
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
        // Signalling its own id would end this test.
        other.signal(Signal::KILL).unwrap();
    }
}

//! Every process below us, found by `/proc` and reaped by pid.
//!
//! We are a subreaper: whatever loses its parent becomes our child. `waitpid(-1)` would take the
//! statuses of the commands away from async-process, and a peek at "any" child answers the same zombie
//! again and again; so adopted children are listed and reaped one by one.

use std::{fs, io};

use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};
use rustix::time::{ClockId, clock_gettime};

use super::proc;

/// A process below us.
#[derive(Clone, Copy, Debug)]
pub struct Descendant {
    /// Its process id.
    pub pid: Pid,
    /// Its process group.
    pub group: Pid,
    /// It has ended; its parent did not reap it yet.
    pub is_zombie: bool,
    /// When it started, by [`clock`]; with its pid this identifies it.
    pub started: u64,
}

// === impl Descendant ===

impl Descendant {
    /// Differs from that of every other process, earlier or later.
    pub fn identity(&self) -> (Pid, u64) {
        (self.pid, self.started)
    }

    /// Whether its pid still means this process, and it has not ended.
    pub fn is_still_there(&self) -> bool {
        let now = look_at(self.pid);
        now.is_some_and(|now| now.identity() == self.identity() && !now.is_zombie)
    }
}

/// The time since boot in the unit of `/proc/PID/stat`, rounded down.
pub fn clock() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let ticks = clock_ticks_per_second();
    let seconds = now.tv_sec.unsigned_abs() * ticks;
    seconds + now.tv_nsec.unsigned_abs() * ticks / 1_000_000_000
}

/// Makes us the parent of every descendant that loses its own.
///
/// # Errors
///
/// The kernel knows this since 3.4; a seccomp filter may forbid it.
pub fn become_subreaper() -> rustix::io::Result<()> {
    set_child_subreaper(Some(getpid()))
}

/// Whether we have no child, born or adopted, running or ended, and so nothing below us at all: what
/// loses its parent becomes our child in the same moment. This is the only proof of it. Who reads
/// lists of processes can miss one for ever that forks and ends, again and again, between two reads.
pub fn is_alone() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// All descendants, parents before their children. A process that forks meanwhile may hide its
/// child, so one look proves nothing but the existence of what it found.
///
/// # Errors
///
/// We cannot be looked at: there is no `/proc`, or no descriptor left for it.
pub fn find() -> io::Result<Vec<Descendant>> {
    with_descendants(find_children()?)
}

/// What is below those of our children that were started since then and are none of these.
///
/// # Errors
///
/// As [`find`].
pub fn find_since(since: u64, except: &[Pid]) -> io::Result<Vec<Descendant>> {
    let mut children = children_of(SELF)?;
    children.retain(|pid| !except.contains(pid));
    let children = children.into_iter().filter_map(look_at);
    with_descendants(children.filter(|one| one.started >= since).collect())
}

fn with_descendants(mut family: Vec<Descendant>) -> io::Result<Vec<Descendant>> {
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        next += 1;
        for pid in children_of(&parent.pid.as_raw_nonzero().to_string())? {
            let is_known = family.iter().any(|known| known.pid == pid);
            family.extend((!is_known).then(|| look_at(pid)).flatten());
        }
    }
    Ok(family)
}

/// Our children only.
///
/// # Errors
///
/// As [`find`].
pub fn find_children() -> io::Result<Vec<Descendant>> {
    let children = children_of(SELF)?.into_iter();
    Ok(children.filter_map(look_at).collect())
}

/// Reaps adopted children that have ended, and says how many; `commands` are reaped by those who
/// wait for them.
///
/// # Errors
///
/// As [`find`].
pub fn reap(commands: &[Pid]) -> io::Result<usize> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let has_ended = |pid: &Pid| matches!(waitid(WaitId::Pid(*pid), options), Ok(Some(_)));
    let mut adopted = children_of(SELF)?;
    adopted.retain(|pid| !commands.contains(pid));
    Ok(adopted.iter().filter(|pid| has_ended(pid)).count())
}

/// The name of our own folder in `/proc`.
const SELF: &str = "self";

/// The children of all threads of a process; none of those that have just ended, whose children are
/// another's by now.
fn children_of(process: &str) -> io::Result<Vec<Pid>> {
    let has_ended = |error: &io::Error| {
        let errno = Errno::from_io_error(error);
        process != SELF && matches!(errno, Some(Errno::NOENT | Errno::SRCH))
    };
    let mut children = Vec::new();
    let threads = match fs::read_dir(format!("/proc/{process}/task")) {
        Err(error) if has_ended(&error) => return Ok(children),
        threads => threads?,
    };
    for thread in threads {
        let list = thread.and_then(|thread| {
            let thread = thread.file_name();
            let thread = thread.to_string_lossy();
            proc::read_text(&format!("/proc/{process}/task/{thread}/children"))
        });
        let list = match list {
            Err(error) if has_ended(&error) => continue,
            list => list?,
        };
        let pids = list.split_ascii_whitespace();
        let pids = pids.filter_map(|pid| pid.parse().ok());
        children.extend(pids.filter_map(Pid::from_raw));
    }
    Ok(children)
}

/// Reads `/proc/PID/stat`: `pid (name) state ppid pgrp ...`, where the name may hold anything, also
/// parentheses and line feeds.
fn look_at(pid: Pid) -> Option<Descendant> {
    let stat = proc::read(&format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[behind_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let group = fields.nth(1)?.parse().ok()?;
    // From the fifth field to the twenty-second, starttime.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Descendant {
        pid,
        // A group of 0 is outside our pid namespace.
        group: Pid::from_raw(group).unwrap_or(pid),
        is_zombie,
        started,
    })
}

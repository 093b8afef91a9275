//! Our descendant processes, found in `/proc` and reaped by pid.
//!
//! We are a subreaper: a descendant that loses its parent becomes our child. `waitpid(-1)` would take the
//! exit statuses of commands away from async-process, and waiting with WNOWAIT for any child always returns
//! the same zombie. So adopted children are listed and reaped one by one.

use std::{fs, io};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, test_kill_process, waitid,
};
use rustix::time::{ClockId, clock_gettime};

use super::proc;

/// A descendant of ours.
#[derive(Clone, Copy, Debug)]
pub struct Descendant {
    /// Its process id.
    pub pid: Pid,
    /// The pid of its parent.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// It has ended, with all of its threads, but was not reaped yet.
    pub is_zombie: bool,
    /// It is runnable.
    pub is_running: bool,
    /// It was forked, and has not executed a program yet.
    pub is_forked: bool,
    /// Its start time by [`clock`]. Together with the pid it identifies the process.
    pub started: u64,
}

// === impl Descendant ===

impl Descendant {
    /// Unique among all processes of this boot.
    pub fn identity(&self) -> (Pid, u64) {
        (self.pid, self.started)
    }

    /// Whether we may not signal it, because it runs as another user.
    pub fn is_beyond_reach(&self) -> bool {
        is_beyond_reach(self.pid)
    }

    /// The pipe or FIFO that is its stdin, if any.
    pub fn pipe(&self) -> Option<Pipe> {
        Pipe::at(&format!("/proc/{}/fd/0", self.pid.as_raw_nonzero()))
    }

    /// Whether it has just been forked, for example by a shell, and is probably about to execute a program.
    pub fn is_unfinished(&self) -> bool {
        let age = clock().saturating_sub(self.started);
        let is_young = age < YOUNG * clock_ticks_per_second() / 1000;
        // A process that has waited for long, for example for the other end of a FIFO, and continues now,
        // is running.
        self.is_forked && (is_young || self.is_running)
    }

    /// Whether its pid still belongs to this process, and it has not ended.
    pub fn is_still_there(&self) -> bool {
        let now = look_at(self.pid);
        now.is_some_and(|now| now.identity() == self.identity() && !now.is_zombie)
    }
}

/// How many milliseconds a forked process may need until it executes its program.
const YOUNG: u64 = 200;

/// A flag in `/proc/PID/stat`: the process was forked, and has not executed a program yet.
const PF_FORKNOEXEC: u64 = 0x40;

/// A pipe, FIFO or socket, whose reader gets everything that was written before it sees the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipe {
    device: u64,
    inode: u64,
}

// === impl Pipe ===

impl Pipe {
    /// Our own stdin. Processes of commands inherit it, and are not readers because of it.
    pub fn ours() -> Option<Self> {
        Self::at("/proc/self/fd/0")
    }

    fn at(path: &str) -> Option<Self> {
        let stat = rustix::fs::stat(path).ok()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        // Some shells use sockets as pipes.
        matches!(kind, FileType::Fifo | FileType::Socket).then_some(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

/// Whether the process with this identity is alive.
pub fn is_alive(pid: Pid, started: u64) -> bool {
    look_at(pid).is_some_and(|now| now.started == started && !now.is_zombie)
}

/// The time since boot in the unit of `/proc/PID/stat`, rounded down.
pub fn clock() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let ticks = clock_ticks_per_second();
    let seconds = now.tv_sec.unsigned_abs() * ticks;
    seconds + now.tv_nsec.unsigned_abs() * ticks / 1_000_000_000
}

/// Makes us the parent of every descendant that loses its own parent.
///
/// # Errors
///
/// The kernel is older than 3.4, or a seccomp filter does not allow it.
pub fn become_subreaper() -> rustix::io::Result<()> {
    set_child_subreaper(Some(getpid()))
}

/// Whether we have no children, own or adopted, running or ended, and so no descendants: a process that
/// loses its parent becomes our child at the same moment. This is the only proof. A process that forks and
/// ends again and again can escape every reading of process lists.
pub fn is_alone() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// Whether we may not signal this process.
pub fn is_beyond_reach(pid: Pid) -> bool {
    test_kill_process(pid) == Err(Errno::PERM)
}

/// All descendants, parents before their children. A process that forks at the same time can hide its
/// child, so an incomplete list is possible.
///
/// # Errors
///
/// `/proc` is not available, or no descriptor is free.
pub fn find() -> io::Result<Vec<Descendant>> {
    with_descendants(find_children()?)
}

/// The descendants below children that were started after `since` and are not in `except`.
///
/// # Errors
///
/// See [`find`].
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
/// See [`find`].
pub fn find_children() -> io::Result<Vec<Descendant>> {
    let children = children_of(SELF)?.into_iter();
    Ok(children.filter_map(look_at).collect())
}

/// Reaps adopted children that have ended, and returns their number. `commands` are left out; their waiters
/// reap them.
///
/// # Errors
///
/// See [`find`].
pub fn reap(commands: &[Pid]) -> io::Result<usize> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let has_ended = |pid: &Pid| matches!(waitid(WaitId::Pid(*pid), options), Ok(Some(_)));
    let mut adopted = children_of(SELF)?;
    adopted.retain(|pid| !commands.contains(pid));
    Ok(adopted.iter().filter(|pid| has_ended(pid)).count())
}

/// The name of our own folder in `/proc`.
const SELF: &str = "self";

/// The children of all threads of a process. If it has just ended there are none, because they have another
/// parent now.
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

/// A process. Those of other users may be hidden (`hidepid` of /proc) but are returned too.
fn look_at(pid: Pid) -> Option<Descendant> {
    read_stat(pid).or_else(|| {
        is_beyond_reach(pid).then_some(Descendant {
            pid,
            parent: getpid(),
            group: pid,
            is_zombie: false,
            is_running: false,
            is_forked: false,
            started: 0,
        })
    })
}

/// Reads `/proc/PID/stat`: `pid (name) state ppid pgrp ...`. The name may contain parentheses and line
/// feeds.
fn read_stat(pid: Pid) -> Option<Descendant> {
    let stat = proc::read(&format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[behind_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // From field 5 to field 9 (flags), to field 20 (num_threads), and then to field 22 (starttime).
    let flags: u64 = fields.nth(3)?.parse().ok()?;
    let threads: u64 = fields.nth(10)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Descendant {
        pid,
        parent: Pid::from_raw(parent).unwrap_or(pid),
        // 0 means a group outside of our pid namespace.
        group: Pid::from_raw(group).unwrap_or(pid),
        // A main thread that has ended looks like a zombie while other threads run; it cannot be reaped then.
        is_zombie: matches!(state, "Z" | "X") && threads <= 1,
        is_running: state == "R",
        is_forked: flags & PF_FORKNOEXEC != 0,
        started,
    })
}

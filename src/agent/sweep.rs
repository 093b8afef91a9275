//! Finds and ends all processes of a container, when its executor has ended or must end.
//!
//! A process belongs to the container if it has the container's id in its environment, is in the executor's
//! session, has the container's `stdout` or `stderr` as its own, is in the container's cgroup, or descends
//! from such a process. A command can get rid of each of these marks, but hardly of all of them by
//! accident.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid};

use crate::process::{self, Process, Stat};
use crate::record::RecordedProcess;
use crate::spec::ContainerId;

/// What identifies the processes of a container.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// The container's id, the value of `MESOS_CONTAINER_ID`.
    pub container: ContainerId,
    /// The executor's session. Known only if its number cannot have been reused: while this process of the
    /// agent has been watching the executor.
    pub session: Option<Pid>,
    /// The container's sandbox.
    pub sandbox: &'a Path,
    /// The processes in its cgroup.
    pub members: &'a [Pid],
    /// What an earlier sweep found.
    pub found: &'a [RecordedProcess],
}

/// A process that a sweep found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The process.
    pub process: Process,
    /// The program's name.
    pub name: String,
    /// Why SIGKILL could not be sent, if so.
    pub refused: Option<Errno>,
}

/// The variable that contains the container's id.
pub const VARIABLE: &str = "MESOS_CONTAINER_ID";

/// Finds the processes with these marks.
pub fn find(marks: &Marks<'_>) -> Vec<Process> {
    let table: Vec<(Pid, Stat)> = process::all()
        .filter_map(|pid| Some((pid, process::stat(pid)?)))
        .collect();
    let raw = |pid: Pid| pid.as_raw_nonzero().get();
    let is_marked = |pid: Pid, stat: &Stat| {
        marks.members.contains(&pid)
            || marks.found.contains(&RecordedProcess {
                pid: raw(pid),
                started: stat.started,
            })
            || marks
                .session
                .is_some_and(|session| raw(session) == stat.session)
            || carries(pid, marks.container)
            || writes_into(pid, marks.sandbox)
    };
    let marked = table.iter().filter(|(pid, stat)| is_marked(*pid, stat));
    let mut found: BTreeSet<i32> = marked.map(|(pid, _)| raw(*pid)).collect();
    loop {
        let children = table
            .iter()
            .filter(|(pid, stat)| found.contains(&stat.parent) && !found.contains(&raw(*pid)));
        let children: Vec<i32> = children.map(|(pid, _)| raw(*pid)).collect();
        if children.is_empty() {
            break;
        }
        found.extend(children);
    }
    let spared = [1, raw(getpid())];
    let own = |pid: i32| found.contains(&pid) && !spared.contains(&pid);
    table
        .iter()
        .filter(|(pid, _)| own(raw(*pid)))
        .map(|(pid, stat)| Process {
            pid: *pid,
            started: stat.started,
        })
        .collect()
}

/// Sends SIGKILL to all processes with these marks, and returns them. The caller repeats this until there
/// are none.
pub fn kill(marks: &Marks<'_>) -> Vec<Survivor> {
    let found = find(marks).into_iter();
    found
        .map(|process| Survivor {
            process,
            name: name(process.pid),
            refused: process.signal(Signal::KILL).err(),
        })
        .collect()
}

/// The process that was started as the container's executor: it has the container's id, and its parent does
/// not.
pub fn find_root(container: ContainerId) -> Option<Process> {
    process::all().find_map(|pid| {
        let stat = process::stat(pid)?;
        let parent_carries =
            Pid::from_raw(stat.parent).is_some_and(|parent| carries(parent, container));
        let is_root = carries(pid, container) && !parent_carries;
        // A reparented process is in another session, or in the executor's.
        let leads = stat.session == pid.as_raw_nonzero().get();
        (is_root && leads).then_some(Process {
            pid,
            started: stat.started,
        })
    })
}

fn carries(pid: Pid, container: ContainerId) -> bool {
    let wanted = format!("{VARIABLE}={container}");
    // The environment of another user's process cannot be read.
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    environment.is_ok_and(|it| {
        it.split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
    })
}

/// Whether the process's stdout or stderr is the container's file. A process that only reads these files
/// has them under another number.
fn writes_into(pid: Pid, sandbox: &Path) -> bool {
    [(1, "stdout"), (2, "stderr")].iter().any(|(number, name)| {
        let link = fs::read_link(format!("/proc/{}/fd/{number}", pid.as_raw_nonzero()));
        link.is_ok_and(|link| link.parent() == Some(sandbox) && link.ends_with(name))
    })
}

fn name(pid: Pid) -> String {
    let name = fs::read(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

// === impl Survivor ===

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.process.pid.as_raw_nonzero(), self.name)?;
        match self.refused {
            Some(error) => write!(f, ", which cannot be signalled: {error}"),
            None => Ok(()),
        }
    }
}

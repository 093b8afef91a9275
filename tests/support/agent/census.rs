//! Finds the processes that belong to a run: those with a certain variable in their environment, which all
//! descendants inherit.

use std::fmt;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// How often [`kill_all`] reads the process table. Each pass kills everything that it finds, so only a
/// process that forks faster than the table is read survives a pass.
const MAX_PASSES: usize = 100;

/// A running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: Pid,
    /// Its command line, for people.
    pub command: String,
}

// === impl Process ===

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid.as_raw_nonzero(), self.command)
    }
}

/// Finds the processes that have `variable` (`NAME=value`) in their environment.
///
/// A zombie has no environment, so it is not found; its parent has to reap it. The environment of other
/// users' processes cannot be read.
pub fn carrying(variable: &str) -> Vec<Process> {
    let table = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = table.filter_map(|entry| {
        let raw = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(raw)
    });
    pids.filter(|pid| carries(*pid, variable))
        .map(|pid| Process {
            pid,
            command: command_line(pid),
        })
        .collect()
}

/// Sends SIGKILL to all processes with `variable` until there are none. Returns those it found.
pub fn kill_all(variable: &str) -> Vec<Process> {
    let mut killed = Vec::new();
    for _ in 0..MAX_PASSES {
        let found = carrying(variable);
        if found.is_empty() {
            break;
        }
        for process in found {
            // It may have ended by itself.
            let _ = kill_process(process.pid, Signal::KILL);
            if !killed.contains(&process) {
                killed.push(process);
            }
        }
    }
    killed
}

fn carries(pid: Pid, variable: &str) -> bool {
    let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
    fs::read(path).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == variable.as_bytes())
    })
}

fn command_line(pid: Pid) -> String {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    let bytes = fs::read(path).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0);
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_is_found_by_its_variable_until_it_is_killed() {
        let variable = format!("COOK_CENSUS_TEST={}", std::process::id());
        let (name, value) = variable.split_once('=').unwrap();
        assert_eq!(carrying(&variable), []);
        let mut child = Command::new("sleep")
            .arg("600")
            .env(name, value)
            .spawn()
            .unwrap();
        // A program that has just been started may not have its environment yet.
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut found = Vec::new();
        while found.is_empty() && Instant::now() < deadline {
            found = carrying(&variable);
        }
        assert_eq!(found.len(), 1);
        assert!(
            found[0].to_string().ends_with("(sleep 600)"),
            "{}",
            found[0]
        );
        assert_eq!(kill_all(&variable), found);
        child.wait().unwrap();
        assert_eq!(carrying(&variable), []);
    }
}

//! A cgroup for the commands, if this executor may divide its own cgroup. One write there kills all
//! processes in it at once, however fast they fork (`cgroup.kill`, Linux 5.14).
//!
//! It is an additional help: a command is moved there just after its start, so a process that it has forked
//! before is outside. The sweep finds such processes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid, getppid};
use tracing::info;

use super::proc;

/// The cgroup for commands. Dropping it removes it, if it is empty.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
}

/// The folder's name below our own cgroup; our pid is appended.
const NAME: &str = "cook-executor-commands";

/// A write to this file kills all processes of the cgroup. Only version 2 has it.
const KILL: &str = "cgroup.kill";

/// The usual mount point of version 2.
const USUAL_MOUNT: &str = "/sys/fs/cgroup";

// === impl Cgroup ===

impl Cgroup {
    /// `None` unless there is a cgroup v2 with no other processes than us and the launcher that waits for
    /// us. In any other one, a child cgroup could disturb its owner.
    pub fn create() -> Option<Self> {
        let own = own_folder()?;
        let ours = [Some(getpid()), getppid()];
        let members = fs::read_to_string(own.join("cgroup.procs")).ok()?;
        let is_ours = |line: &str| {
            let pid = line.trim().parse().ok().and_then(Pid::from_raw);
            pid.is_some() && ours.contains(&pid)
        };
        if !members.lines().all(is_ours) {
            return None;
        }
        let pid = getpid().as_raw_nonzero();
        let folder = own.join(format!("{NAME}-{pid}"));
        fs::create_dir(&folder).ok()?;
        info!("commands have a cgroup of their own: {}", folder.display());
        Some(Self { folder })
    }

    /// Moves a process there. Processes that it forks from now on are there too.
    ///
    /// # Errors
    ///
    /// The process has ended, or the kernel does not allow it.
    pub fn add(&self, process: Pid) -> io::Result<()> {
        let pid = process.as_raw_nonzero().to_string();
        fs::write(self.folder.join("cgroup.procs"), pid)
    }

    /// Sends SIGKILL to all processes there.
    ///
    /// # Errors
    ///
    /// The kernel does not allow it.
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.folder.join(KILL), "1")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // This fails only if a process is left there that cannot be killed.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The folder of our own cgroup v2 (cgroups(7)), if it has `cgroup.kill`. The root cgroup has none.
fn own_folder() -> Option<PathBuf> {
    let membership = proc::read_text("/proc/self/cgroup").ok()?;
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .filter(|path| !path.is_empty())?;
    let usual = Path::new(USUAL_MOUNT).join(path);
    if usual.join(KILL).exists() {
        return Some(usual);
    }
    // Only then, because the list of mounts is long on a host with many containers.
    let mounts = proc::read_text("/proc/self/mountinfo").ok()?;
    let own = mount_point(&mounts)?.join(path);
    own.join(KILL).exists().then_some(own)
}

/// Where cgroup v2 is mounted: the fifth field of the line with the type `cgroup2`, which is the first
/// field after the single hyphen (proc_pid_mountinfo(5)).
fn mount_point(mounts: &str) -> Option<&Path> {
    mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        back.strip_prefix("cgroup2 ")?;
        front.split(' ').nth(4).map(Path::new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_among_all_mounts() {
        let mounts = "24 30 0:22 / /proc rw,nosuid - proc proc rw\n\
             35 24 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
             36 24 0:31 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            mount_point(mounts),
            Some(Path::new("/sys/fs/cgroup/unified"))
        );
        assert_eq!(mount_point("24 30 0:22 / /proc rw - proc proc rw\n"), None);
    }
}

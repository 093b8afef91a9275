//! A cgroup of the commands' own, where this executor's cgroup is its own to divide: one write there
//! kills everything in it at once, however fast it forks (`cgroup.kill`, Linux 5.14).
//!
//! It is a help and no condition: a command is moved there just after it has started, so what it forked
//! before is outside, and the sweep finds that as it does everywhere else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid, getppid};
use tracing::info;

use super::proc;

/// The cgroup that commands are moved to; removed when it is dropped, which needs it to be empty.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
}

/// The folder's name below our own cgroup, with our pid behind it.
const NAME: &str = "cook-executor-commands";

// === impl Cgroup ===

impl Cgroup {
    /// Nothing unless there is a cgroup v2 that holds nobody but us and the launcher that waits for us:
    /// in any other, a folder of ours would be litter in somebody else's house.
    pub fn create() -> Option<Self> {
        let own = own_folder()?;
        if !own.join("cgroup.kill").exists() {
            return None;
        }
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

    /// Moves a process there; what it forks from now on is there too.
    ///
    /// # Errors
    ///
    /// The process has ended, or the kernel does not allow it.
    pub fn add(&self, process: Pid) -> io::Result<()> {
        let pid = process.as_raw_nonzero().to_string();
        fs::write(self.folder.join("cgroup.procs"), pid)
    }

    /// SIGKILL to everything there.
    ///
    /// # Errors
    ///
    /// The kernel does not allow it.
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.kill"), "1")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It fails only if something lives there that nobody could kill.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The folder of our own cgroup v2 (cgroups(7)).
fn own_folder() -> Option<PathBuf> {
    let membership = proc::read_text("/proc/self/cgroup").ok()?;
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = proc::read_text("/proc/self/mountinfo").ok()?;
    Some(mount_point(&mounts)?.join(path))
}

/// Where the cgroup v2 hierarchy is mounted: the fifth word of the line whose type, the first word
/// behind the lone hyphen, is `cgroup2` (proc_pid_mountinfo(5)).
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

//! A cgroup (version 2) for each container, if a part of the cgroup tree was delegated to this process.
//!
//! systemd delegates with `Delegate=yes`, and marks the cgroup with an extended attribute. A cgroup that
//! contains processes cannot enable controllers for its children. With `DelegateSubgroup=`, this process is
//! in a child of the delegated cgroup, and containers next to it get limits. Without it, containers are
//! below this process's own cgroup: all of their processes can be ended together, but limits are not
//! enforced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::spec::ContainerId;

/// Where version 2 is mounted: alone, or together with version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The attributes with which systemd marks a delegated cgroup.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// The period of the CPU limit: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// The delegated part of the cgroup tree.
#[derive(Clone, Debug)]
pub struct Cgroups {
    root: PathBuf,
    /// Whether the limits of containers are enforced.
    pub enforces: bool,
}

// === impl Cgroups ===

impl Cgroups {
    /// Finds the cgroup that was delegated to this process, if any.
    pub fn detect() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mount = MOUNTS
            .iter()
            .find(|mount| Path::new(mount).join("cgroup.procs").exists())?;
        let own = Path::new(mount).join(own);
        if let Some(parent) = own.parent().filter(|parent| is_delegated(parent)) {
            let root = parent.to_owned();
            let enforces = share_controllers(&root).is_ok();
            return Some(Self { root, enforces });
        }
        is_delegated(&own).then_some(Self {
            root: own,
            enforces: false,
        })
    }

    /// Puts the cgroups of containers below `root`, without limits.
    pub fn below(root: PathBuf) -> Self {
        Self {
            root,
            enforces: false,
        }
    }

    /// Creates the cgroup of a container. Returns the file to which a process writes its id to join it.
    ///
    /// # Errors
    ///
    /// The kernel does not allow it, or a limit cannot be set.
    pub fn create(
        &self,
        container: ContainerId,
        memory: Option<u64>,
        cpu: Option<u64>,
    ) -> io::Result<PathBuf> {
        let folder = self.folder(container);
        fs::create_dir(&folder)?;
        if self.enforces {
            if let Some(bytes) = memory {
                fs::write(folder.join("memory.max"), bytes.to_string())?;
                // Without swap, so that the limit covers all memory. Without swap support there is no such
                // file.
                let _ = fs::write(folder.join("memory.swap.max"), "0");
            }
            if let Some(thousandths) = cpu {
                let quota = thousandths.saturating_mul(CPU_PERIOD / 1000).max(1000);
                fs::write(folder.join("cpu.max"), format!("{quota} {CPU_PERIOD}"))?;
            }
        }
        Ok(folder.join("cgroup.procs"))
    }

    /// Ends all processes of a container, including those that are being forked at this moment.
    pub fn kill(&self, container: ContainerId) {
        // Exists since Linux 5.14. The caller also signals each member.
        let _ = fs::write(self.folder(container).join("cgroup.kill"), "1");
    }

    /// The process ids in a container's cgroup.
    pub fn members(&self, container: ContainerId) -> Vec<Pid> {
        let mut members = Vec::new();
        for folder in with_descendants(self.folder(container)) {
            let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            let pids = list.lines().filter_map(|line| line.parse().ok());
            members.extend(pids.filter_map(Pid::from_raw));
        }
        members
    }

    /// Whether there are processes in the cgroup, including those that have ended but that the kernel has
    /// not removed yet.
    pub fn is_populated(&self, container: ContainerId) -> bool {
        let events = fs::read_to_string(self.folder(container).join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// Whether the kernel has ended a process of the container because of its memory limit.
    pub fn was_out_of_memory(&self, container: ContainerId) -> bool {
        let events = fs::read_to_string(self.folder(container).join("memory.events"));
        let events = events.unwrap_or_default();
        events
            .lines()
            .any(|line| line.starts_with("oom_kill ") && !line.ends_with(" 0"))
    }

    /// Removes a container's cgroup, which must be empty, and the cgroups that the executor created in it.
    pub fn remove(&self, container: ContainerId) {
        for folder in with_descendants(self.folder(container)).iter().rev() {
            // It was empty a moment ago. If it stays, it does no harm, and it is removed together with the
            // delegated cgroup.
            let _ = fs::remove_dir(folder);
        }
    }

    fn folder(&self, container: ContainerId) -> PathBuf {
        self.root.join(format!("container-{container}"))
    }
}

/// A cgroup and all below it, parents before children.
fn with_descendants(folder: PathBuf) -> Vec<PathBuf> {
    let mut all = vec![folder];
    let mut index = 0;
    while let Some(folder) = all.get(index) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let children: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()))
            .map(|entry| entry.path())
            .collect();
        all.extend(children);
        index += 1;
    }
    all
}

fn is_delegated(folder: &Path) -> bool {
    DELEGATED.iter().any(|name| {
        let mut value = [0; 4];
        let length = rustix::fs::getxattr(folder, *name, &mut value);
        matches!(length, Ok(1)) && value[0] == b'1'
    })
}

/// Enables controllers for the children of `root`.
fn share_controllers(root: &Path) -> io::Result<()> {
    let file = root.join("cgroup.subtree_control");
    fs::write(&file, "+memory")?;
    fs::write(&file, "+cpu")
}

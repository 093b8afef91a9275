//! A cgroup (version 2) for each container, where this process has been given a part of the tree.
//!
//! systemd gives it with `Delegate=yes`, and says so in an attribute of the cgroup. A cgroup that has processes in it
//! cannot share out controllers: with `DelegateSubgroup=` this process is in a child of the part that is
//! ours, and containers beside it get limits. Without, containers are below this process's own cgroup: they can be
//! ended as one, and their limits are not enforced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::spec::ContainerId;

/// Where version 2 is mounted: alone, or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// What systemd sets on a cgroup that it does not manage any further.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// The period of a processor limit: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// The part of the tree that is ours.
#[derive(Clone, Debug)]
pub struct Cgroups {
    root: PathBuf,
    /// Whether containers can have limits.
    pub enforces: bool,
}

// === impl Cgroups ===

impl Cgroups {
    /// The part that this process was given, if it was given one.
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

    /// Containers get their cgroups below `root`, without limits.
    pub fn below(root: PathBuf) -> Self {
        Self {
            root,
            enforces: false,
        }
    }

    /// Makes a container's cgroup; the file that a process writes its id into to join it.
    ///
    /// # Errors
    ///
    /// The kernel does not let us, or a limit cannot be set.
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
                // Without swap the limit is what it says; where there is none, there is no file.
                let _ = fs::write(folder.join("memory.swap.max"), "0");
            }
            if let Some(thousandths) = cpu {
                let quota = thousandths.saturating_mul(CPU_PERIOD / 1000).max(1000);
                fs::write(folder.join("cpu.max"), format!("{quota} {CPU_PERIOD}"))?;
            }
        }
        Ok(folder.join("cgroup.procs"))
    }

    /// Ends all processes of a container, those too that are just being forked.
    pub fn kill(&self, container: ContainerId) {
        // Since Linux 5.14; the caller signals the members one by one as well.
        let _ = fs::write(self.folder(container).join("cgroup.kill"), "1");
    }

    /// The processes of a container.
    pub fn members(&self, container: ContainerId) -> Vec<Pid> {
        let mut members = Vec::new();
        for folder in with_descendants(self.folder(container)) {
            let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            let pids = list.lines().filter_map(|line| line.parse().ok());
            members.extend(pids.filter_map(Pid::from_raw));
        }
        members
    }

    /// Whether there are processes in it, those too that have ended and are not yet taken out by the kernel.
    pub fn is_populated(&self, container: ContainerId) -> bool {
        let events = fs::read_to_string(self.folder(container).join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// Whether the kernel has ended one of them because of the memory limit.
    pub fn was_out_of_memory(&self, container: ContainerId) -> bool {
        let events = fs::read_to_string(self.folder(container).join("memory.events"));
        let events = events.unwrap_or_default();
        events
            .lines()
            .any(|line| line.starts_with("oom_kill ") && !line.ends_with(" 0"))
    }

    /// Removes a container's cgroup, which has to be empty, with those that the executor has made in it.
    pub fn remove(&self, container: ContainerId) {
        for folder in with_descendants(self.folder(container)).iter().rev() {
            // It was seen to be empty; one that stays harms nobody, and goes with the part that is ours.
            let _ = fs::remove_dir(folder);
        }
    }

    fn folder(&self, container: ContainerId) -> PathBuf {
        self.root.join(format!("container-{container}"))
    }
}

/// A cgroup and all below it, each before those that it has in it.
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

/// Lets the children of `root` have limits.
fn share_controllers(root: &Path) -> io::Result<()> {
    let file = root.join("cgroup.subtree_control");
    fs::write(&file, "+memory")?;
    fs::write(&file, "+cpu")
}

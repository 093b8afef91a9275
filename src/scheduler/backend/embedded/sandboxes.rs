//! Removes the sandboxes of ended instances when they are too old or too large. It uses a separate
//! thread, because removing a million files takes a while.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::core::words::InstanceId;

/// The minimum time between two checks of ages and sizes. A check is made only after an instance has
/// ended.
const PAUSE: Duration = Duration::from_secs(600);

/// Maximum number of waiting requests. A dropped request is harmless: a later check finds the same
/// sandboxes.
const WAITING: usize = 64;

/// Limits for the sandboxes of ended instances. Those of running instances are always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// The maximum age since the last change.
    pub age: Duration,
    /// The maximum size of all together; `None` for no limit.
    pub bytes: Option<u64>,
}

/// A handle of the thread.
#[derive(Debug)]
pub struct Sandboxes {
    requests: SyncSender<Request>,
    /// The time of the last check.
    looked: Cell<Option<Instant>>,
}

#[derive(Debug)]
enum Request {
    /// Remove the sandboxes of these instances.
    Remove(Vec<InstanceId>),
    /// Check ages and sizes.
    Look,
}

/// A sandbox that may be removed.
struct Candidate {
    path: PathBuf,
    changed: SystemTime,
}

// === impl Sandboxes ===

impl Sandboxes {
    /// Creates the folder and starts the thread.
    pub fn start(folder: PathBuf, keep: SandboxLimits) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        // `/proc` shows paths without symbolic links.
        let place = fs::canonicalize(&folder).map_err(failed)?;
        let (requests, receiver) = sync_channel(WAITING);
        // Not on the thread, which may run only after the clock has been set.
        let clock = CautiousClock::start();
        let builder = thread::Builder::new().name("sandboxes".to_owned());
        builder
            .spawn(move || work(&place, keep, &clock, &receiver))
            .map_err(failed)?;
        Ok(Self {
            requests,
            looked: Cell::new(None),
        })
    }

    /// Removes the sandboxes of these instances.
    pub fn remove(&self, instances: Vec<InstanceId>) {
        let _ = self.requests.try_send(Request::Remove(instances));
    }

    /// Checks ages and sizes, because an instance has ended.
    pub fn look(&self) {
        if self.looked.get().is_none_or(|it| it.elapsed() >= PAUSE)
            && self.requests.try_send(Request::Look).is_ok()
        {
            self.looked.set(Some(Instant::now()));
        }
    }
}

/// Ages are differences to times of files, which are wall clock times.
struct CautiousClock {
    /// Both clocks at the start.
    wall: SystemTime,
    steady: Instant,
}

impl CautiousClock {
    fn start() -> Self {
        Self {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }

    /// The wall clock, but never later than it was at the start plus the time since then: if it is set forward, no sandbox
    /// is removed too early. Some are kept longer.
    fn now(&self) -> SystemTime {
        let steady = self.wall + self.steady.elapsed();
        steady.min(SystemTime::now())
    }
}

fn work(folder: &Path, keep: SandboxLimits, clock: &CautiousClock, requests: &Receiver<Request>) {
    while let Ok(request) = requests.recv() {
        match request {
            Request::Remove(instances) => {
                for instance in instances {
                    remove(&folder.join(instance.to_string()));
                }
            }
            Request::Look => tidy(folder, keep, clock.now()),
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("cannot remove the sandbox {}: {error}", path.display());
    }
}

/// Removes the sandboxes that are too old, then the oldest ones until the rest is small enough.
fn tidy(folder: &Path, keep: SandboxLimits, now: SystemTime) {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // A live executor is protected twice: it writes to its log, so the sandbox is young; and the
        // sandbox is its current folder.
        let log = fs::metadata(path.join("executor.log")).or_else(|_| fs::metadata(&path));
        if let Ok(changed) = log.and_then(|it| it.modified()) {
            all.push(Candidate { path, changed });
        }
    }
    let in_use = in_use(folder);
    all.retain(|old| !in_use.contains(&old.path));
    all.sort_by_key(|old| std::cmp::Reverse(old.changed));
    let mut total = 0_u64;
    for old in all {
        let age = now.duration_since(old.changed).unwrap_or_default();
        let size = keep.bytes.map_or(0, |_| size(&old.path));
        total = total.saturating_add(size);
        if age > keep.age || keep.bytes.is_some_and(|limit| total > limit) {
            remove(&old.path);
            total = total.saturating_sub(size);
        }
    }
}

/// The sandboxes that contain the current folder of a process. An executor stays in its sandbox as long as it lives.
/// All processes are read once, and not once for each sandbox: there may be many of both.
fn in_use(sandboxes: &Path) -> HashSet<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
        .filter_map(|folder| {
            let sandbox = folder.strip_prefix(sandboxes).ok()?.iter().next()?;
            Some(sandboxes.join(sandbox))
        })
        .collect()
}

fn size(folder: &Path) -> u64 {
    let mut total = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // The size of a link itself, not of its target.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => total = total.saturating_add(metadata.len()),
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command};

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_sandbox_in_use_is_kept_even_if_the_data_folder_is_a_link() {
        let data = std::env::temp_dir().join(format!("cook-sandboxes-{}", std::process::id()));
        let _ = fs::remove_dir_all(&data);
        let (real, link) = (data.join("real"), data.join("link"));
        for name in ["used/below", "unused"] {
            fs::create_dir_all(real.join(name)).unwrap();
            fs::write(real.join(name).join("output"), "x").unwrap();
        }
        // Makes it the oldest, which is removed last.
        let log = fs::File::create(real.join("unused/executor.log")).unwrap();
        log.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
        symlink(&real, &link).unwrap();
        let mut command = Command::new("sleep");
        let _process = Ended(
            command
                .arg("600")
                .current_dir(link.join("used/below"))
                .spawn()
                .unwrap(),
        );
        let keep = SandboxLimits {
            age: Duration::from_secs(3600),
            bytes: Some(0),
        };
        let sandboxes = Sandboxes::start(link, keep).unwrap();
        sandboxes.look();
        let deadline = Instant::now() + Duration::from_secs(20);
        while real.join("unused").exists() {
            assert!(
                Instant::now() < deadline,
                "the unused sandbox was not removed"
            );
            thread::yield_now();
        }
        assert!(real.join("used/below/output").exists());
        fs::remove_dir_all(&data).unwrap();
    }
}

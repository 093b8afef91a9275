//! Removes the sandboxes of ended instances when they are too old or too large. It uses a separate
//! thread, because removing a million files takes a while.

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
        let (requests, receiver) = sync_channel(WAITING);
        let builder = thread::Builder::new().name("sandboxes".to_owned());
        let place = folder.clone();
        builder
            .spawn(move || work(&place, keep, &receiver))
            .map_err(failed)?;
        Ok(Self { requests })
    }

    /// Removes the sandboxes of these instances.
    pub fn remove(&self, instances: Vec<InstanceId>) {
        let _ = self.requests.try_send(Request::Remove(instances));
    }

    /// Checks ages and sizes, because an instance has ended.
    pub fn look(&self) {
        let _ = self.requests.try_send(Request::Look);
    }
}

fn work(folder: &Path, keep: SandboxLimits, requests: &Receiver<Request>) {
    let mut looked: Option<Instant> = None;
    while let Ok(request) = requests.recv() {
        match request {
            Request::Remove(instances) => {
                for instance in instances {
                    remove(&folder.join(instance.to_string()));
                }
            }
            Request::Look if looked.is_none_or(|it| it.elapsed() >= PAUSE) => {
                tidy(folder, keep);
                looked = Some(Instant::now());
            }
            Request::Look => {}
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
fn tidy(folder: &Path, keep: SandboxLimits) {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // A live executor is protected twice: it writes to its log, so the sandbox is young; and the
        // sandbox is its current folder.
        let log = fs::metadata(path.join("executor.log")).or_else(|_| fs::metadata(&path));
        if let Ok(changed) = log.and_then(|it| it.modified())
            && !is_in_use(&path)
        {
            all.push(Candidate { path, changed });
        }
    }
    all.sort_by_key(|old| std::cmp::Reverse(old.changed));
    let mut total = 0_u64;
    for old in all {
        let age = old.changed.elapsed().unwrap_or_default();
        let size = keep.bytes.map_or(0, |_| size(&old.path));
        total = total.saturating_add(size);
        if age > keep.age || keep.bytes.is_some_and(|limit| total > limit) {
            remove(&old.path);
            total = total.saturating_sub(size);
        }
    }
}

/// Whether it is the current folder of a process. An executor stays in its sandbox as long as it lives.
fn is_in_use(sandbox: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
        .any(|folder| folder.starts_with(sandbox))
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

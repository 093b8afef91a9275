//! The folder of the data: one process, and a reserve for bad days.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::OpenError;
use crate::core::event::Room;

/// The folder, for as long as this process uses it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The lock goes with the open file, also when the process is killed.
    _lock: File,
    room: Room,
}

/// The size of the reserve: room for some ten thousand ends and kills.
pub const RESERVE: u64 = 16 * 1024 * 1024;

/// How much of the reserve is handed over at once: a few pieces, as file systems with a journal free each of them by
/// a commit of their own.
const PIECE: u64 = 1024 * 1024;

/// How much more there has to be before the reserve is made again: the disk is not to be full at once.
const SPARE: u64 = 16 * 1024 * 1024;

/// How often to look for the lock of a process that is gone, and how long to wait in between.
const MOST_LOOKS: u32 = 200;
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Folder {
    /// Makes the folder if it is not there, for its owner alone, and takes it.
    ///
    /// # Errors
    /// It cannot be made, or another process has it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io {
                path,
                action,
                error,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make the folder", path))?;
        let file = path.join("lock");
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut lock = options.open(&file).map_err(failed("open", &file))?;
        let mut looks = 0;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let pid = owner(&mut lock);
                    // A child that a killed scheduler was about to start has the lock until it is started.
                    if looks == MOST_LOOKS || pid.is_none_or(is_alive) {
                        return Err(OpenError::InUse {
                            path: path.to_owned(),
                            pid,
                        });
                    }
                    looks += 1;
                    pause();
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock", &file)(error)),
            }
        }
        // Only for people: on a full disk, the folder is locked without it.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        let mut folder = Self {
            path: path.to_owned(),
            _lock: lock,
            room: Room::ReserveOnly,
        };
        folder.make_reserve(0);
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is.
    pub fn store(&self) -> PathBuf {
        self.path.join("store.redb")
    }

    /// Whether there is a reserve.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Makes the reserve, if there is room enough. So many bytes (`unused`) become free as soon as it is
    /// made: the store holds them in place of the reserve.
    pub fn make_reserve(&mut self, unused: u64) {
        if self.has_reserve() || self.try_reserve(unused).is_ok() {
            self.room = Room::Ample;
        }
    }

    /// Hands the reserve over to the store, piece by piece: a job that waits for room to become free gets a part
    /// of one piece at most. After each piece `claim` is called with the number of bytes that are free so far.
    pub fn release_reserve(&mut self, mut claim: impl FnMut(u64)) {
        let path = self.reserve();
        if let Ok(file) = OpenOptions::new().write(true).open(&path) {
            let mut left = RESERVE;
            while left > 0 {
                left = left.saturating_sub(PIECE);
                // If it cannot be cut, removing it below frees the rest.
                let _ = file.set_len(left);
                claim(RESERVE - left);
            }
        }
        // If it cannot be removed, there is none that could be released.
        let _ = fs::remove_file(path);
        claim(RESERVE);
        self.room = Room::ReserveOnly;
    }

    fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    fn has_reserve(&self) -> bool {
        fs::metadata(self.reserve()).is_ok_and(|reserve| reserve.len() == RESERVE)
    }

    fn try_reserve(&self, unused: u64) -> io::Result<()> {
        let space = statvfs(&self.path)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free.saturating_add(unused) < RESERVE + SPARE {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let path = self.reserve();
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        let made = match fallocate(&file, FallocateFlags::empty(), 0, RESERVE) {
            Err(rustix::io::Errno::OPNOTSUPP) => fill(&file),
            other => other.map_err(io::Error::from),
        };
        if made.is_err() {
            let _ = fs::remove_file(&path);
        }
        made
    }
}

/// The process that has written its number into the lock.
fn owner(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie holds nothing.
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

#[allow(clippy::disallowed_methods, reason = "nothing is served yet")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

/// For file systems that cannot set room aside.
fn fill(mut file: &File) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    for _ in 0..RESERVE / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    Ok(())
}

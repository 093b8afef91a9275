//! The data folder: its lock, and the reserve for a full disk.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::OpenError;
use crate::core::event::DiskSpace;

/// The data folder, locked by this process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The lock is released when the file is closed, also when the process is killed.
    _lock: File,
    disk_space: DiskSpace,
}

/// The file name of the store.
const STORE: &str = "store.redb";

/// The permissions of the folder that its group and other users must not have.
const WRITE_OF_OTHERS: u32 = 0o022;

/// The size of the reserve, enough for about ten thousand ends and kills.
pub const RESERVE: u64 = 16 * 1024 * 1024;

/// The reserve is released in pieces of this size. Larger pieces give other processes more space to take;
/// with smaller ones, a file system with a journal needs more commits.
const PIECE: u64 = 1024 * 1024;

/// How much free space there has to be, in addition to the reserve, before the reserve is created
/// again.
const SPARE: u64 = 16 * 1024 * 1024;

/// How often, and at which interval, to try the lock again if the process that had it is gone.
const MOST_LOOKS: u32 = 200;
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Folder {
    /// Creates the folder, if necessary, with access for its owner only, and locks it.
    ///
    /// # Errors
    /// It cannot be created, another user can change it, or another process has locked it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make the folder", path))?;
        Self::lock(path)
    }

    /// Locks a folder that has a store, and creates none.
    ///
    /// # Errors
    /// It has no store, another user can change it, or another process has locked it.
    pub fn open_existing(path: &Path) -> Result<Self, OpenError> {
        let store = path.join(STORE);
        match store.try_exists().map_err(failed("open", &store))? {
            true => Self::lock(path),
            false => Err(OpenError::NoStore {
                path: path.to_owned(),
            }),
        }
    }

    fn lock(path: &Path) -> Result<Self, OpenError> {
        check_access(path)?;
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
                    // A child process of a killed scheduler holds the lock until it has executed its
                    // program.
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
        // The process id is for the error text of another scheduler. On a full disk it cannot be
        // written, and the folder is locked without it.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        let mut folder = Self {
            path: path.to_owned(),
            _lock: lock,
            disk_space: DiskSpace::ReserveOnly,
        };
        folder.make_reserve(0);
        Ok(folder)
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the store.
    pub fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Whether the reserve exists.
    pub fn disk_space(&self) -> DiskSpace {
        self.disk_space
    }

    /// Creates the reserve if there is enough free space. `unused` is the number of bytes that the store
    /// has claimed and will release as soon as the reserve exists.
    pub fn make_reserve(&mut self, unused: u64) {
        if self.has_reserve() || self.try_reserve(unused).is_ok() {
            self.disk_space = DiskSpace::Ample;
        }
    }

    /// Releases the reserve for the store, piece by piece, so that a process that waits for free space gets
    /// a part of one piece at most. After each piece it calls `claim` with the number of bytes released so
    /// far.
    pub fn release_reserve(&mut self, mut claim: impl FnMut(u64)) {
        let path = self.reserve();
        if let Ok(file) = OpenOptions::new().write(true).open(&path) {
            let mut left = RESERVE;
            while left > 0 {
                left = left.saturating_sub(PIECE);
                // If it cannot be truncated, removing it below releases the rest.
                let _ = file.set_len(left);
                claim(RESERVE - left);
            }
        }
        // If it cannot be removed, it does not exist.
        let _ = fs::remove_file(path);
        claim(RESERVE);
        self.disk_space = DiskSpace::ReserveOnly;
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

/// Whoever can rename files in the folder can replace the store or the sandboxes, and so run commands as this
/// program's user.
fn check_access(path: &Path) -> Result<(), OpenError> {
    let folder = fs::metadata(path).map_err(failed("read the permissions of", path))?;
    let own = rustix::process::geteuid().as_raw();
    if folder.uid() != own {
        return Err(OpenError::OtherOwner {
            path: path.to_owned(),
            owner: folder.uid(),
            own,
        });
    }
    match folder.mode() & WRITE_OF_OTHERS {
        0 => Ok(()),
        _ => Err(OpenError::WritableByOthers {
            path: path.to_owned(),
            mode: folder.mode() & 0o7777,
        }),
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |error| OpenError::Io {
        path: path.clone(),
        action,
        error,
    }
}

/// The process id in the lock file.
fn owner(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie holds no lock.
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

#[allow(clippy::disallowed_methods, reason = "nothing is served yet")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

/// Fills a file on file systems without `fallocate`.
fn fill(mut file: &File) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    for _ in 0..RESERVE / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    Ok(())
}

//! The file of this program, for commands that use it as a client of the task API.
//!
//! Usually it is the file from which it was started. That file may have no name (an agent starts its own
//! executors from a sealed memory file), and a command may replace or remove it. Then a copy is made in the
//! sandbox.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, OFlags, Stat};
use tracing::{info, warn};

/// The running program, whatever has happened to its file.
const RUNNING: &str = "/proc/self/exe";

/// The name of the copy. It is hidden, because the job did not ask for it.
const COPY: &str = ".cook-executor";

/// How many names are tried if files with these names exist.
const MAX_NAMES: u32 = 8;

/// Everybody may read and execute it; only its owner may change it.
const MODE: Mode = Mode::from_raw_mode(0o755);

/// The file of this program.
#[derive(Debug)]
pub struct OwnFile {
    sandbox: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// The file from which it was started.
    Original { path: PathBuf, file: Identity },
    /// A copy, which is removed when we exit.
    Copy { path: PathBuf, file: Identity },
    /// No copy could be made. This works for processes that may inspect us.
    Process { path: PathBuf },
}

/// Identifies a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

// === impl OwnFile ===

impl OwnFile {
    /// If a copy is needed, it goes into `sandbox`.
    pub fn new(sandbox: &Path) -> Self {
        let path = std::env::current_exe().unwrap_or_default();
        // If it cannot be read, a copy will be made.
        let file = identity(Path::new(RUNNING)).unwrap_or(Identity {
            device: 0,
            inode: 0,
        });
        Self {
            sandbox: std::path::absolute(sandbox).unwrap_or_default(),
            place: Place::Original { path, file },
        }
    }

    /// A path from which this program can be started now.
    pub fn path(&mut self) -> OsString {
        match &self.place {
            Place::Original { path, file } | Place::Copy { path, file } => {
                if identity(path).ok() != Some(*file) || !may_run(path) {
                    let lost = path.display().to_string();
                    self.move_to_a_copy(&lost);
                }
            }
            Place::Process { .. } => {}
        }
        let (Place::Original { path, .. } | Place::Copy { path, .. } | Place::Process { path }) =
            &self.place;
        path.clone().into_os_string()
    }

    fn move_to_a_copy(&mut self, lost: &str) {
        self.place = match copy_into(&self.sandbox) {
            Ok((path, file)) => {
                info!(
                    "{lost:?} was replaced or removed; commands use a copy of this program, {:?}",
                    path.display()
                );
                Place::Copy { path, file }
            }
            Err(error) => {
                warn!("failed to copy this program into the sandbox: {error}");
                let path = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
                Place::Process { path }
            }
        };
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if let Place::Copy { path, file } = &self.place
            && identity(path).ok() == Some(*file)
        {
            // Nobody needs it any more.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    Ok(identity_of(&rustix::fs::stat(path)?))
}

fn identity_of(stat: &Stat) -> Identity {
    Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

fn may_run(path: &Path) -> bool {
    rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// Copies this program into a new file of `folder`. An existing file is never overwritten, and links are
/// never followed.
fn copy_into(folder: &Path) -> io::Result<(PathBuf, Identity)> {
    let mut name = COPY.to_owned();
    for number in 1..=MAX_NAMES {
        let path = folder.join(&name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &path, flags, MODE) {
            Ok(file) => {
                let mut file = File::from(file);
                let copied = File::open(RUNNING)
                    .and_then(|mut program| io::copy(&mut program, &mut file))
                    // Regardless of the umask.
                    .and_then(|_| Ok(rustix::fs::fchmod(&file, MODE)?));
                if let Err(error) = copied {
                    let _ = std::fs::remove_file(&path);
                    return Err(error);
                }
                return Ok((path, identity_of(&rustix::fs::fstat(&file)?)));
            }
            Err(rustix::io::Errno::EXIST) => name = format!("{COPY}-{number}"),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

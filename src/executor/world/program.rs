//! The file that this program is, for commands that use it as a client of the task API.
//!
//! Usually it is the file that it was started from. That may have no name (an agent starts its own
//! executors from a sealed memory file), and a command may replace or remove it: then there is a copy in the
//! sandbox.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, OFlags, Stat};
use tracing::{info, warn};

/// What the kernel runs, whatever has become of its name.
const RUNNING: &str = "/proc/self/exe";

/// The name of the copy; hidden, since nobody asked for it.
const COPY: &str = ".cook-executor";

/// How many names are tried if others have taken them.
const MAX_NAMES: u32 = 8;

/// Everybody may read and run it, only its owner may change it.
const MODE: Mode = Mode::from_raw_mode(0o755);

/// The file that this program is.
#[derive(Debug)]
pub struct OwnFile {
    sandbox: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Where it was started from.
    Original { path: PathBuf, file: Identity },
    /// A copy of ours, which goes when we go.
    Copy { path: PathBuf, file: Identity },
    /// No copy could be made: this works for those who may look into us.
    Process { path: PathBuf },
}

/// Tells one file from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

// === impl OwnFile ===

impl OwnFile {
    /// A copy, should there be need of one, goes into `sandbox`.
    pub fn new(sandbox: &Path) -> Self {
        let path = std::env::current_exe().unwrap_or_default();
        // Unreadable is as good as another file: a copy is made.
        let file = identity(Path::new(RUNNING)).unwrap_or(Identity {
            device: 0,
            inode: 0,
        });
        Self {
            sandbox: std::path::absolute(sandbox).unwrap_or_default(),
            place: Place::Original { path, file },
        }
    }

    /// A path at which this program can be started now.
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
                    "{lost:?} is not this program any more: commands use a copy, {:?}",
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
            // Nobody is left who would use it.
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

/// Copies this program into a new file of `folder`: never over one that is there, nor through a link.
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
                    // Whatever the umask says.
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

//! What can go wrong, and how it is said.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::core::event::StoreFault;

/// A commit has failed.
#[derive(Debug)]
pub struct CommitError(pub StoreFault, pub String);

/// A job cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The store is being opened again.
    Closed,
    /// It cannot be read.
    Failed(String),
}

/// A store cannot be opened. Each is a text for the operator: what is wrong, and what would be right.
#[derive(Debug)]
pub enum OpenError {
    /// A file or folder cannot be used.
    Io {
        /// Which.
        path: PathBuf,
        /// What was to be done with it.
        action: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// Another scheduler uses the folder.
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, if it has left its number.
        pid: Option<u32>,
    },
    /// The file is of a newer format.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest that this program knows.
        known: u32,
        /// The version of the program that wrote it.
        program: String,
    },
    /// The file is damaged, or is something else.
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        how: String,
    },
    /// There is no room on the disk to open it.
    DiskFull {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the store is being opened again"),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                path,
                action,
                error,
            } => write!(f, "cannot {action} {}: {error}", path.display()),
            Self::InUse { path, pid } => {
                write!(f, "another cook-scheduler ")?;
                if let Some(pid) = pid {
                    write!(f, "(process {pid}) ")?;
                }
                write!(
                    f,
                    "uses {}; stop it first, or choose another folder",
                    path.display()
                )
            }
            Self::Newer {
                path,
                format,
                known,
                program,
            } => write!(
                f,
                "{} has format {format}, written by cook-scheduler {program}, and this is {}, which knows \
                 formats up to {known}; start that version or a newer one, or choose another folder",
                path.display(),
                env!("CARGO_PKG_VERSION"),
            ),
            Self::Damaged { path, how } => write!(
                f,
                "{} is damaged, or is no store: {how}; move it away to start with an empty one, or bring \
                 back a copy",
                path.display(),
            ),
            Self::DiskFull { path } => {
                write!(
                    f,
                    "there is no room on the disk to open {}; make some",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for CommitError {}
impl std::error::Error for ReadError {}
impl std::error::Error for OpenError {}

/// Whether there is no room on the disk, or none for this user.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

//! The errors of the store, and their texts.

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
    /// The store is being opened again after a failure.
    Closed,
    /// An error, as a text.
    Failed(String),
}

/// The store cannot be opened. The texts are for the operator: what is wrong, and what to do about it.
#[derive(Debug)]
pub enum OpenError {
    /// An operation on a file or folder failed.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation, such as "open".
        action: &'static str,
        /// The error.
        error: io::Error,
    },
    /// Another scheduler uses the data folder.
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process id of the other scheduler, if it is known.
        pid: Option<u32>,
    },
    /// The file has a newer format.
    Newer {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        format: u32,
        /// The newest format that this program supports.
        known: u32,
        /// The version of the program that wrote it.
        program: String,
    },
    /// The file is damaged or belongs to another program.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        how: String,
    },
    /// The disk is too full to open the file.
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
                "{} has format {format}, written by cook-scheduler {program}, but this is {}, which supports \
                 formats up to {known}; use that version or a newer one, or choose another folder",
                path.display(),
                env!("CARGO_PKG_VERSION"),
            ),
            Self::Damaged { path, how } => write!(
                f,
                "{} is damaged or is not a store: {how}; move it away to start with an empty store, or \
                 restore a copy of it",
                path.display(),
            ),
            Self::DiskFull { path } => {
                write!(
                    f,
                    "the disk is too full to open {}; free some space",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for CommitError {}
impl std::error::Error for ReadError {}
impl std::error::Error for OpenError {}

/// Whether an error means that the disk, or this user's quota, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

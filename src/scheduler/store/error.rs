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
    /// The data folder has no store, and none may be created.
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// The data folder belongs to another user.
    OtherOwner {
        /// The folder.
        path: PathBuf,
        /// The user that owns it.
        owner: u32,
        /// The user of this process.
        own: u32,
    },
    /// Users other than its owner can write to the data folder.
    WritableByOthers {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
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
            Self::NoStore { path } => write!(
                f,
                "there is no store in {path:?}: set --data to the data folder of the scheduler whose jobs are to be ended"
            ),
            Self::OtherOwner { path, owner, own } => write!(
                f,
                "the data folder {path:?} belongs to the user with the id {owner}, who could replace its files, and this \
                 program's user is {own}: run it as {owner}, choose another folder, or give it this one with \
                 chown -R {own} {path:?}"
            ),
            Self::WritableByOthers { path, mode } => write!(
                f,
                "users other than its owner can write to the data folder {path:?} (mode {mode:04o}), and so replace its \
                 files: use chmod go-w {path:?}, or choose another folder"
            ),
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

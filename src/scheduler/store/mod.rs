//! The store on disk: one file with one writer.
//!
//! The core produces [`Batch`]es. A separate thread ([`Writer`]) writes all batches that wait in one
//! transaction, and reports when they are on disk. There are two implementations of [`Store`]: [`Redb`]
//! on a disk, and [`Memory`] for tests. An [`Archive`] reads completed jobs at the same time.
//!
//! # What a crash leaves behind
//!
//! | event | result |
//! |---|---|
//! | kill -9 or power loss before a commit has returned | the whole transaction or nothing: redb writes new pages next to the old ones, syncs them, then switches over with one checksummed header |
//! | .. after the commit has returned | the whole transaction |
//! | .. while a new file is created | an empty file, or one without a format: both are treated as new |
//! | a commit fails (`ENOSPC`, `EIO`, a short write) | redb accepts no further writes; the file is opened again, and the number of its last batch tells which batches it has |
//! | the file cannot be opened again | nothing is accepted or acknowledged until it can; what was accepted before is in the file |
//! | the disk is full | a reserve of [`RESERVE`] bytes is released for the store: space for ends and kills, while new jobs are refused; it is created again when there is enough space |
//! | the file is damaged | the next start reads the whole file, finds the damage by its checksums, and exits with an error text |
//!
//! # Formats
//!
//! Records are protobuf messages: a new field is empty in old records, and unknown fields are ignored.
//! A change that cannot be made this way gets a new format number and a step in `upgrade`. A file with
//! a higher number is refused; the error names the version of the program that wrote it.

mod error;
mod file;
mod folder;
mod image;
mod memory;
mod records;
mod redb;
mod spec_record;
mod upgrade;
mod writer;

use std::sync::Arc;

pub use error::{CommitError, OpenError, ReadError};
pub use file::{Hook, Operation};
pub use folder::{Folder, RESERVE};
pub use image::Image;
pub use memory::{Fault, Memory};
pub use redb::Redb;
pub use writer::Writer;

use crate::core::Start;
use crate::core::effect::{Batch, BatchNumber};
use crate::core::job::{Job, JobKey};
use crate::core::words::Anchor;

/// Writes batches to disk. Only one thread uses it.
pub trait Store: Send {
    /// Writes all these batches, in order, or none of them. They are on disk when it returns.
    ///
    /// # Errors
    /// They are not on disk, or it is unknown; [`Self::reopen`] finds out.
    fn commit(&mut self, batches: &[Batch], anchor: &Anchor) -> Result<(), CommitError>;

    /// Opens the store again after a failed commit. Returns the number of the last batch on disk.
    ///
    /// # Errors
    /// It cannot be opened now.
    fn reopen(&mut self) -> Result<BatchNumber, OpenError>;

    /// Allocates this number of bytes of disk space in advance, as far as there is any, before the
    /// process that filled the disk uses it. A store without a disk does nothing.
    fn claim(&mut self, bytes: u64);

    /// The number of bytes that it has claimed and not used; [`Self::unclaim`] releases them.
    fn unused(&self) -> u64;

    /// Releases the space that was claimed and not used.
    fn unclaim(&mut self);

    /// A reader of the same store. It can be used on any thread, also during a commit.
    fn archive(&self) -> Arc<dyn Archive>;
}

/// Opens the store in a folder, or creates a new one. If the disk is full, it uses the reserve.
///
/// # Errors
/// The text is for the operator.
pub fn open(folder: &mut Folder) -> Result<(Redb, Start, Option<Anchor>), OpenError> {
    let opened = match Redb::open(&folder.store(), None) {
        Err(OpenError::DiskFull { .. }) => {
            let path = folder.store();
            folder.release_reserve(|bytes| file::claim_at(&path, bytes));
            Redb::open(&path, None)
        }
        other => other,
    };
    let (store, mut start, anchor) = opened?;
    start.disk_space = folder.disk_space();
    Ok((store, start, anchor))
}

/// Reads jobs from the store.
pub trait Archive: Send + Sync {
    /// A job with all its instances, as it is on disk.
    ///
    /// # Errors
    /// The store cannot be read at the moment.
    fn job(&self, key: JobKey) -> Result<Option<Job>, ReadError>;

    /// Several jobs, all as they are on disk at one moment.
    ///
    /// # Errors
    /// The store cannot be read at the moment.
    fn jobs(&self, keys: &[JobKey]) -> Result<Vec<Option<Job>>, ReadError> {
        keys.iter().map(|&key| self.job(key)).collect()
    }
}

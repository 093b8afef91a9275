//! What is on disk: one file, one writer.
//!
//! The core hands out [`Batch`]es; a thread of its own ([`Writer`]) writes those that wait together as one
//! transaction, and reports when they are on disk. A [`Store`] is what can do that: [`Redb`] on a disk,
//! [`Memory`] in tests. An [`Archive`] reads completed jobs meanwhile.
//!
//! # Every crash, and what it leaves
//!
//! | when | what is there afterwards |
//! |---|---|
//! | kill -9 or power loss before a commit has returned | all of the transaction, or nothing: redb writes new pages beside the old ones, syncs them, then switches over by one checksummed header |
//! | .. after it has returned | all of it |
//! | .. while a new file is made | an empty file, or one without a format: both are taken for new |
//! | a commit fails (`ENOSPC`, `EIO`, a short write) | redb takes nothing more; the file is opened again, and its own last batch number says what it has |
//! | the file cannot be opened again | nothing is accepted or acknowledged until it can; what was accepted is in the file |
//! | the disk is full | a reserve of [`RESERVE`] bytes beside the store becomes the store's: room for ends and kills, while jobs are refused; it is made again when there is room |
//! | the file is damaged | found by its checksums at the next start, which reads all of it: a text and exit, never half of it |
//!
//! # Formats
//!
//! Records are protobuf messages: a field that is new is empty in an old record, and a field that is unknown is passed over.
//! What that cannot express gets a new format number and a step in `upgrade`; a file of a higher number is
//! refused with the version of the program that wrote it.

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

/// Takes batches to disk. One thread uses it.
pub trait Store: Send {
    /// Writes all of these, in their order, or none. When it returns, they are on disk.
    ///
    /// # Errors
    /// They are not, or nobody knows; only [`Self::reopen`] tells.
    fn commit(&mut self, batches: &[Batch], anchor: &Anchor) -> Result<(), CommitError>;

    /// Opens the store again, after a commit has failed. Answers with the last batch that is on disk.
    ///
    /// # Errors
    /// It cannot be opened now.
    fn reopen(&mut self) -> Result<BatchNumber, OpenError>;

    /// Takes so many bytes of the disk for itself, ahead of need, as far as they are there: whoever has
    /// filled the disk would take them as soon as they are free. A store without a disk needs none.
    fn claim(&mut self, bytes: u64);

    /// How many bytes of the disk it has claimed and not used: [`Self::unclaim`] frees them.
    fn unused(&self) -> u64;

    /// Gives back what it has claimed and not used.
    fn unclaim(&mut self);

    /// Reads from the same store, on any thread, also while it is written.
    fn archive(&self) -> Arc<dyn Archive>;
}

/// Opens the store in a folder, or makes a new one. On a full disk, it gets the reserve for that.
///
/// # Errors
/// A text for the operator.
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
    start.room = folder.room();
    Ok((store, start, anchor))
}

/// Reads jobs.
pub trait Archive: Send + Sync {
    /// A job with everything that belongs to it, as it is on disk.
    ///
    /// # Errors
    /// It cannot be read now.
    fn job(&self, key: JobKey) -> Result<Option<Job>, ReadError>;

    /// The same for many, as they are at one moment.
    ///
    /// # Errors
    /// They cannot be read now.
    fn jobs(&self, keys: &[JobKey]) -> Result<Vec<Option<Job>>, ReadError> {
        keys.iter().map(|&key| self.job(key)).collect()
    }
}

//! The file that redb uses. Tests can let its operations fail, and it can claim disk space in advance.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use rustix::fs::{FallocateFlags, fallocate};

/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

/// The smallest claim that is tried: a page.
const SMALLEST_CLAIM: u64 = 4096;

/// Called before each operation on the file; may let it fail. For tests of failing disks.
#[derive(Clone)]
pub struct Hook(pub Arc<dyn Fn(Operation) -> io::Result<()> + Send + Sync>);

/// An operation on the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A read.
    Read,
    /// A write of this number of bytes. If the hook lets it fail, the first half is written
    /// nevertheless.
    Write(usize),
    /// A change of the file's length.
    SetLength,
    /// A sync to the disk.
    Sync,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// A file that calls a hook before each operation, and can claim disk space in advance.
#[derive(Debug)]
pub(super) struct HookedFile {
    pub file: FileBackend,
    /// Another descriptor of the same file.
    pub descriptor: File,
    /// See [`Hook`].
    pub hook: Option<Hook>,
    /// The number of bytes to claim beyond the end of the file.
    pub claimed: Arc<AtomicU64>,
}

/// Allocates disk space for the holes of a file and for `bytes` beyond its end, as far as there is any.
pub(super) fn claim(file: &File, bytes: u64) {
    let Ok(data) = file.metadata() else { return };
    let length = data.len();
    if data.blocks() * BLOCK < length {
        claim_range(file, 0, length);
    }
    let Ok(data) = file.metadata() else { return };
    claim_range(file, length.max(data.blocks() * BLOCK), length + bytes);
}

/// [`claim`] for a file that is not open, if it exists.
pub(super) fn claim_at(path: &Path, bytes: u64) {
    if let Ok(file) = OpenOptions::new().write(true).open(path) {
        claim(&file, bytes);
    }
}

/// The number of bytes allocated to a file beyond its length.
pub(super) fn beyond_the_end(data: &Metadata) -> u64 {
    (data.blocks() * BLOCK).saturating_sub(data.len())
}

/// Allocates in smaller and smaller pieces: some file systems (tmpfs) allocate nothing of a piece that
/// does not fit completely.
fn claim_range(file: &File, mut from: u64, end: u64) {
    let mut piece = end.saturating_sub(from);
    while from < end && piece >= SMALLEST_CLAIM {
        let size = piece.min(end - from);
        match fallocate(file, FallocateFlags::KEEP_SIZE, from, size) {
            Ok(()) => from += size,
            Err(_) => piece /= 2,
        }
    }
}

impl HookedFile {
    fn ask(&self, operation: Operation) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook.0(operation))
    }
}

impl StorageBackend for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.ask(Operation::Read)?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.ask(Operation::SetLength)?;
        self.file.set_len(len)?;
        // Truncating a file releases the space that was claimed beyond its end.
        match self.claimed.load(Ordering::SeqCst) {
            0 => (),
            bytes => claim(&self.descriptor, bytes),
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ask(Operation::Sync)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Err(error) = self.ask(Operation::Write(data.len())) {
            self.file.write(offset, &data[..data.len() / 2])?;
            return Err(error);
        }
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

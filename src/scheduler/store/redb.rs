//! The store on disk: a file of redb, which is a copy-on-write B-tree.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, TryLockError};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase as _, StorageError, Table, TableDefinition,
};

use super::error::is_full;
use super::file::{Hook, HookedFile, beyond_the_end, claim_at};
use super::records::{
    Head, InvalidRecord, decode_anchor, decode_any_head, decode_group, decode_head,
    decode_instance, encode_anchor, encode_group, encode_head, encode_instance, encode_spec,
};
use super::upgrade::{STEPS, upgrade};
use super::{Archive, CommitError, OpenError, ReadError, Store};
use crate::core::Start;
use crate::core::backend::FrameworkId;
use crate::core::effect::{Batch, BatchNumber, Change};
use crate::core::event::{DiskSpace, StoreFault};
use crate::core::job::{Job, JobKey};
use crate::core::words::{Anchor, Uuid};

pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const HEADS: TableDefinition<u64, &[u8]> = TableDefinition::new("heads");
const SPECS: TableDefinition<u64, &[u8]> = TableDefinition::new("specs");
const INSTANCES: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("instances");
const GROUPS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("groups");

const LAST: &str = "last";
const LAST_KEY: &str = "last key";
const ANCHOR: &str = "anchor";
const FRAMEWORK: &str = "framework";

/// Maximum size of redb's cache in memory. It is enough for the records of about ten thousand completed
/// jobs; an idle scheduler uses none of it.
const CACHE: usize = 16 * 1024 * 1024;

/// The store on disk.
#[derive(Debug)]
pub struct Redb {
    path: PathBuf,
    hook: Option<Hook>,
    /// The number of bytes to claim beyond the end of the file.
    claimed: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

/// The open file; `None` while it is being opened again.
#[derive(Debug)]
struct Shared(RwLock<Option<Database>>);

impl Redb {
    /// Opens a store or creates a new one. Reads and checks the whole content.
    ///
    /// # Errors
    /// The text is for the operator.
    pub fn open(
        path: &Path,
        hook: Option<Hook>,
    ) -> Result<(Self, Start, Option<Anchor>), OpenError> {
        // A process that was killed on a full disk has left what it had claimed.
        let unused = std::fs::metadata(path).map_or(0, |data| beyond_the_end(&data));
        let claimed = Arc::new(AtomicU64::new(unused));
        let database = open(path, hook.as_ref(), &claimed)?;
        let (start, anchor) = read_all(&database).map_err(|error| error.of(path))?;
        let shared = Arc::new(Shared(RwLock::new(Some(database))));
        Ok((
            Self {
                claimed,
                path: path.to_owned(),
                hook,
                shared,
            },
            start,
            anchor,
        ))
    }
}

impl Store for Redb {
    fn commit(&mut self, batches: &[Batch], anchor: &Anchor) -> Result<(), CommitError> {
        let guard = self.shared.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = guard.as_ref() else {
            return Err(CommitError(
                StoreFault::Failed,
                "the store is not open".to_owned(),
            ));
        };
        write(database, batches, anchor).map_err(|error| {
            let fault = if is_disk_full(&error) {
                StoreFault::DiskFull
            } else {
                StoreFault::Failed
            };
            CommitError(
                fault,
                format!("cannot write {}: {error}", self.path.display()),
            )
        })
    }

    fn reopen(&mut self) -> Result<BatchNumber, OpenError> {
        let mut guard = self
            .shared
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // The file has to be closed first, because the old descriptor holds its lock.
        drop(guard.take());
        let database = open(&self.path, self.hook.as_ref(), &self.claimed)?;
        let last = read_last(&database).map_err(|error| redb_error(&self.path, error))?;
        *guard = Some(database);
        Ok(last)
    }

    fn claim(&mut self, bytes: u64) {
        self.claimed.store(bytes, Ordering::SeqCst);
        claim_at(&self.path, bytes);
    }

    fn unused(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |data| beyond_the_end(&data))
    }

    fn unclaim(&mut self) {
        self.claimed.store(0, Ordering::SeqCst);
        // If this fails, the file only uses more disk space than it needs. Only this thread changes the
        // length.
        let _ = OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|file| {
                let length = file.metadata()?.len();
                file.set_len(length)
            });
    }

    fn archive(&self) -> Arc<dyn Archive> {
        Arc::clone(&self.shared) as Arc<dyn Archive>
    }
}

impl Archive for Shared {
    fn job(&self, key: JobKey) -> Result<Option<Job>, ReadError> {
        Ok(self.jobs(&[key])?.pop().flatten())
    }

    fn jobs(&self, keys: &[JobKey]) -> Result<Vec<Option<Job>>, ReadError> {
        // Does not wait while the store is being opened again, because the disk may hang.
        let guard = match self.0.try_read() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(ReadError::Closed),
        };
        let database = guard.as_ref().ok_or(ReadError::Closed)?;
        read_jobs(database, keys).map_err(|error| ReadError::Failed(error.to_string()))
    }
}

// --- opening ---

fn open(path: &Path, hook: Option<&Hook>, claimed: &Arc<AtomicU64>) -> Result<Database, OpenError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let file = options
        .open(path)
        .map_err(|error| io_error(path, "open", error))?;
    let is_new = file
        .metadata()
        .map_err(|error| io_error(path, "open", error))?
        .len()
        == 0;
    let descriptor = file
        .try_clone()
        .map_err(|error| io_error(path, "open", error))?;
    let file = FileBackend::new(file).map_err(|error| redb_error(path, error.into()))?;
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true);
    let database = builder
        .create_with_backend(HookedFile {
            file,
            descriptor,
            hook: hook.cloned(),
            claimed: Arc::clone(claimed),
        })
        .map_err(|error| redb_error(path, error.into()))?;
    if is_new {
        sync_folder(path)?;
    }
    upgrade(&database, path, STEPS)?;
    Ok(database)
}

/// Makes sure that a new file is still in its folder after a power loss.
fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error(folder, "sync the folder", error))
}

fn io_error(path: &Path, action: &'static str, error: io::Error) -> OpenError {
    if is_full(&error) {
        return OpenError::DiskFull {
            path: path.to_owned(),
        };
    }
    OpenError::Io {
        path: path.to_owned(),
        action,
        error,
    }
}

pub(super) fn damaged(path: &Path, how: impl Into<String>) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        how: how.into(),
    }
}

pub(super) fn redb_error(path: &Path, error: redb::Error) -> OpenError {
    match error {
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            damaged(path, error.to_string())
        }
        // The file was truncated.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            damaged(path, "it ends too early")
        }
        redb::Error::Io(error) => io_error(path, "use", error),
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse {
            path: path.to_owned(),
            pid: None,
        },
        other => damaged(path, other.to_string()),
    }
}

fn is_disk_full(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => is_full(error),
        _ => false,
    }
}

// --- reading ---

/// An error while reading.
enum ReadFailure {
    Redb(redb::Error),
    InvalidRecord(JobKey, InvalidRecord),
    Missing(JobKey, &'static str),
}

impl ReadFailure {
    fn of(self, path: &Path) -> OpenError {
        match self {
            Self::Redb(error) => redb_error(path, error),
            wrong @ (Self::InvalidRecord(..) | Self::Missing(..)) => {
                damaged(path, wrong.to_string())
            }
        }
    }
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redb(error) => error.fmt(f),
            Self::InvalidRecord(JobKey(key), InvalidRecord(what)) => {
                write!(f, "{what} cannot be read in record {key}")
            }
            Self::Missing(JobKey(key), what) => write!(f, "record {key} has no {what}"),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for ReadFailure {
            fn from(error: redb::$error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}

from_redb!(Error, TransactionError, TableError, StorageError);

/// The open tables with jobs.
struct Tables {
    heads: ReadOnlyTable<u64, &'static [u8]>,
    specs: ReadOnlyTable<u64, &'static [u8]>,
    instances: ReadOnlyTable<(u64, u32), &'static [u8]>,
}

impl Tables {
    /// `None` if no job was ever stored.
    fn open(read: &redb::ReadTransaction) -> Result<Option<Self>, ReadFailure> {
        let heads = match read.open_table(HEADS) {
            Ok(heads) => heads,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // These tables are created in the same transaction as the first one.
        let (specs, instances) = (read.open_table(SPECS)?, read.open_table(INSTANCES)?);
        Ok(Some(Self {
            heads,
            specs,
            instances,
        }))
    }

    fn job(&self, key: JobKey, head: super::records::OpenHead) -> Result<Job, ReadFailure> {
        let wrong = |wrong| ReadFailure::InvalidRecord(key, wrong);
        let spec = self
            .specs
            .get(key.0)?
            .ok_or(ReadFailure::Missing(key, "description"))?;
        let mut instances = Vec::with_capacity(head.instances);
        for row in self.instances.range((key.0, 0)..=(key.0, u32::MAX))? {
            let (_, bytes) = row?;
            instances.push(Arc::new(decode_instance(bytes.value()).map_err(wrong)?));
        }
        head.into_job(key, spec.value(), instances).map_err(wrong)
    }
}

fn read_jobs(database: &Database, keys: &[JobKey]) -> Result<Vec<Option<Job>>, ReadFailure> {
    let read = database.begin_read()?;
    let Some(tables) = Tables::open(&read)? else {
        return Ok(vec![None; keys.len()]);
    };
    let read_one = |&key: &JobKey| {
        let Some(bytes) = tables.heads.get(key.0)? else {
            return Ok(None);
        };
        let head = decode_any_head(key, bytes.value())
            .map_err(|wrong| ReadFailure::InvalidRecord(key, wrong))?;
        tables.job(key, head).map(Some)
    };
    keys.iter().map(read_one).collect()
}

fn read_all(database: &Database) -> Result<(Start, Option<Anchor>), ReadFailure> {
    let mut start = Start {
        last: read_last(database)?,
        disk_space: DiskSpace::Ample,
        ..Start::default()
    };
    let read = database.begin_read()?;
    let meta = read.open_table(META)?;
    start.last_key = JobKey(number(
        meta.get(LAST_KEY)?.map(|value| value.value().to_vec()),
    ));
    start.framework = meta
        .get(FRAMEWORK)?
        .map(|id| FrameworkId(String::from_utf8_lossy(id.value()).into_owned().into()));
    let anchor = match meta.get(ANCHOR)? {
        None => None,
        Some(bytes) => Some(
            decode_anchor(bytes.value())
                .map_err(|wrong| ReadFailure::InvalidRecord(start.last_key, wrong))?,
        ),
    };
    let Some(tables) = Tables::open(&read)? else {
        return Ok((start, anchor));
    };
    for row in tables.heads.range::<u64>(..)? {
        let (key, bytes) = row?;
        let key = JobKey(key.value());
        match decode_head(key, bytes.value())
            .map_err(|wrong| ReadFailure::InvalidRecord(key, wrong))?
        {
            Head::Archived(archived) => start.archived.push(archived),
            Head::Resident(head) => start.jobs.push(tables.job(key, head)?),
        }
    }
    for row in read.open_table(GROUPS)?.range::<[u8; 16]>(..)? {
        let (id, bytes) = row?;
        let group = decode_group(Uuid::from_bytes(id.value()), bytes.value());
        start
            .groups
            .push(group.map_err(|wrong| ReadFailure::InvalidRecord(start.last_key, wrong))?);
    }
    Ok((start, anchor))
}

fn read_last(database: &Database) -> Result<BatchNumber, redb::Error> {
    let meta = database.begin_read()?.open_table(META)?;
    Ok(BatchNumber(number(
        meta.get(LAST)?.map(|value| value.value().to_vec()),
    )))
}

fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

// --- writing ---

fn write(database: &Database, batches: &[Batch], anchor: &Anchor) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut tables = Writing {
            meta: write.open_table(META)?,
            heads: write.open_table(HEADS)?,
            specs: write.open_table(SPECS)?,
            instances: write.open_table(INSTANCES)?,
            groups: write.open_table(GROUPS)?,
        };
        let mut last_key = None;
        for batch in batches {
            for change in &batch.changes {
                tables.change(change)?;
                if let Change::NewJob(job) = change {
                    last_key = last_key.max(Some(job.key.0));
                }
            }
            tables
                .meta
                .insert(LAST, batch.number.0.to_le_bytes().as_slice())?;
        }
        if let Some(key) = last_key {
            tables.meta.insert(LAST_KEY, key.to_le_bytes().as_slice())?;
        }
        tables
            .meta
            .insert(ANCHOR, encode_anchor(anchor).as_slice())?;
    }
    write.commit()?;
    Ok(())
}

/// All tables, open for writing.
struct Writing<'t> {
    meta: Table<'t, &'static str, &'static [u8]>,
    heads: Table<'t, u64, &'static [u8]>,
    specs: Table<'t, u64, &'static [u8]>,
    instances: Table<'t, (u64, u32), &'static [u8]>,
    groups: Table<'t, [u8; 16], &'static [u8]>,
}

impl Writing<'_> {
    fn change(&mut self, change: &Change) -> Result<(), StorageError> {
        match change {
            Change::NewJob(job) => {
                self.specs.insert(job.key.0, encode_spec(job).as_slice())?;
                self.job(job, 0..job.instances.len())
            }
            Change::Job { job, instances } => self.job(job, instances.iter().copied()),
            Change::DropJob(JobKey(key)) => {
                self.heads.remove(key)?;
                self.specs.remove(key)?;
                self.instances
                    .retain_in((*key, 0)..=(*key, u32::MAX), |_, _| false)
            }
            Change::NewGroup(stored) => {
                self.groups.insert(
                    stored.group.id.0.as_bytes(),
                    encode_group(stored).as_slice(),
                )?;
                Ok(())
            }
            Change::DropGroup(id) => {
                self.groups.remove(id.0.as_bytes())?;
                Ok(())
            }
            Change::Framework(Some(id)) => {
                self.meta.insert(FRAMEWORK, id.0.as_bytes())?;
                Ok(())
            }
            Change::Framework(None) => {
                self.meta.remove(FRAMEWORK)?;
                Ok(())
            }
        }
    }

    fn job(
        &mut self,
        job: &Job,
        instances: impl Iterator<Item = usize>,
    ) -> Result<(), StorageError> {
        self.heads.insert(job.key.0, encode_head(job).as_slice())?;
        for index in instances {
            // A job has far fewer instances than a u32 can count.
            let place = (job.key.0, u32::try_from(index).unwrap_or(u32::MAX));
            self.instances
                .insert(place, encode_instance(&job.instances[index]).as_slice())?;
        }
        Ok(())
    }
}

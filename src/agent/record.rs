//! The records of containers on disk. The next process of the agent finds its executors with them.
//!
//! Each live container has one file. When the container has ended, its file is used for another one: on some file systems
//! it takes long to create a file when many were deleted shortly before. The layout of a file:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | the state: free, or a record, before or after the first acknowledged update |
//! | 4 + 8 | the executor's process: id and start time, little-endian; zero until it runs |
//! | 4 | the length of the rest, little-endian |
//! | ... | the [`Record`] |
//!
//! The state is written last, so an incomplete record stays free. Later changes overwrite bytes in place, which works
//! on a full disk too. Nothing is synced: a power failure ends the executors together with the records, and a
//! damaged record then belongs to an earlier boot.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cook_mesos::messages::TaskInfo;
use prost::Message;

use crate::spec::ContainerId;

/// The state of a free file. A hole in a file reads the same.
const FREE: u8 = 0;

/// The states of a record: before and after the first acknowledged update.
const NEW: u8 = b'-';
const ACKNOWLEDGED: u8 = b'+';

/// The offset and size of the process.
const PROCESS: usize = 1;
const PROCESS_SIZE: usize = 4 + 8;

/// The folder of the records. Only one process uses it.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    slots: RefCell<Slots>,
}

/// The files. Their names are numbers.
#[derive(Debug, Default)]
struct Slots {
    used: BTreeMap<ContainerId, Slot>,
    /// Files that exist and are free.
    free: BTreeSet<u32>,
    /// No file has this number or a higher one.
    next: u32,
}

#[derive(Debug)]
struct Slot {
    number: u32,
    file: File,
}

/// Whether the executor has got its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Not known. The executor says so when it subscribes: it lists its unacknowledged tasks.
    Unknown,
    /// It has: an update was acknowledged.
    Acknowledged,
}

/// The record of one container.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// The executor's id.
    #[prost(string, tag = "1")]
    pub executor_id: String,
    /// The [`ContainerId`] as text.
    #[prost(string, tag = "2")]
    pub container: String,
    /// `/proc/sys/kernel/random/boot_id`: process ids of another boot mean nothing.
    #[prost(string, tag = "3")]
    pub boot: String,
    /// The sandbox's path.
    #[prost(bytes = "vec", tag = "4")]
    pub sandbox: Vec<u8>,
    /// The task; it is sent if the executor does not have it yet.
    #[prost(message, optional, tag = "5")]
    pub task: Option<TaskInfo>,
    /// The shutdown grace period in milliseconds.
    #[prost(uint64, tag = "8")]
    pub grace: u64,
    /// `ExecutorInfo.data`.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub executor_data: Option<Vec<u8>>,
    /// Bytes that the program attached to it.
    #[prost(bytes = "vec", tag = "10")]
    pub tag: Vec<u8>,
}

/// A process, identified uniquely within its boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedProcess {
    /// Its id.
    pub pid: i32,
    /// Its start in clock ticks since the boot (`/proc/PID/stat`, field 22).
    pub started: u64,
}

/// A record that was found at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The container.
    pub container: ContainerId,
    /// Its content.
    pub record: Record,
    /// The executor's process; `None` if it had not started, or the agent ended too early to record it.
    pub process: Option<RecordedProcess>,
    /// Whether the executor has the task.
    pub delivery: Delivery,
}

// === impl Records ===

impl Records {
    /// Opens the folder, or creates it. Returns the records of an earlier process as well.
    ///
    /// # Errors
    ///
    /// The folder cannot be created or read.
    pub fn open(folder: &Path) -> io::Result<(Self, Vec<Found>)> {
        fs::create_dir_all(folder)?;
        let mut slots = Slots::default();
        let mut all = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let number: Option<u32> = name.and_then(|name| name.parse().ok());
            if let Some(number) = number {
                slots.next = slots.next.max(number.saturating_add(1));
            }
            let read = fs::read(&path).map(|bytes| decode(&bytes));
            match (number, read) {
                (Some(number), Ok(Content::Free)) => {
                    slots.free.insert(number);
                }
                (Some(number), Ok(Content::Record(found))) => {
                    let file = File::options().write(true).open(&path)?;
                    slots.used.insert(found.container, Slot { number, file });
                    all.push(*found);
                }
                // Kept for inspection.
                (None, _) | (_, Err(_) | Ok(Content::Unknown)) => {
                    tracing::warn!("the record {} cannot be read; skipped", path.display());
                }
            }
        }
        let slots = RefCell::new(slots);
        let folder = folder.to_owned();
        Ok((Self { folder, slots }, all))
    }

    /// Writes the record of a container, or replaces it.
    ///
    /// # Errors
    ///
    /// The disk is full, or fails.
    pub fn write(&self, container: ContainerId, record: &Record) -> io::Result<()> {
        let mut slots = self.slots.borrow_mut();
        let number = slots.free.pop_first().unwrap_or(slots.next);
        slots.next = slots.next.max(number.saturating_add(1));
        let written = self.write_slot(number, record);
        let replaced = match written {
            Ok(slot) => slots.used.insert(container, slot),
            Err(error) => {
                slots.free.insert(number);
                return Err(error);
            }
        };
        if let Some(replaced) = replaced {
            slots.release(replaced);
        }
        Ok(())
    }

    fn write_slot(&self, number: u32, record: &Record) -> io::Result<Slot> {
        let path = self.folder.join(number.to_string());
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.write_all_at(&encode(record)?, PROCESS as u64)?;
        file.write_all_at(&[NEW], 0)?;
        Ok(Slot { number, file })
    }

    /// Adds the executor's process to the record.
    ///
    /// # Errors
    ///
    /// There is no record, or the disk fails.
    pub fn set_process(&self, container: ContainerId, process: RecordedProcess) -> io::Result<()> {
        self.change(container, &encode_process(process), PROCESS as u64)
    }

    /// Records that an update of this container's task was acknowledged.
    ///
    /// # Errors
    ///
    /// There is no record, or the disk fails.
    pub fn mark_acknowledged(&self, container: ContainerId) -> io::Result<()> {
        self.change(container, &[ACKNOWLEDGED], 0)
    }

    fn change(&self, container: ContainerId, bytes: &[u8], at: u64) -> io::Result<()> {
        let slots = self.slots.borrow();
        let slot = slots.used.get(&container);
        let slot = slot.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        slot.file.write_all_at(bytes, at)
    }

    /// Removes the record of a container, if there is one.
    pub fn erase(&self, container: ContainerId) {
        let mut slots = self.slots.borrow_mut();
        if let Some(slot) = slots.used.remove(&container) {
            slots.release(slot);
        }
    }
}

impl Slots {
    /// A record that cannot be freed is harmless: the next process finds that its container is gone.
    fn release(&mut self, slot: Slot) {
        if slot.file.write_all_at(&[FREE], 0).is_ok() {
            self.free.insert(slot.number);
        }
    }
}

// --- the format ---

/// The content of a file.
enum Content {
    Free,
    Record(Box<Found>),
    Unknown,
}

/// Everything but the state.
fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let body = record.encode_to_vec();
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; PROCESS_SIZE];
    bytes.extend(length.to_le_bytes());
    bytes.extend(body);
    Ok(bytes)
}

fn encode_process(process: RecordedProcess) -> [u8; PROCESS_SIZE] {
    let mut bytes = [0; PROCESS_SIZE];
    let (pid, started) = bytes.split_at_mut(4);
    pid.copy_from_slice(&process.pid.to_le_bytes());
    started.copy_from_slice(&process.started.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Content {
    let delivery = match bytes.first() {
        None | Some(&FREE) => return Content::Free,
        Some(&NEW) => Delivery::Unknown,
        Some(&ACKNOWLEDGED) => Delivery::Acknowledged,
        Some(_) => return Content::Unknown,
    };
    match decode_record(bytes, delivery) {
        Some(found) => Content::Record(Box::new(found)),
        None => Content::Unknown,
    }
}

fn decode_record(bytes: &[u8], delivery: Delivery) -> Option<Found> {
    let (pid, rest) = bytes.get(PROCESS..)?.split_first_chunk()?;
    let (started, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // The file may have contained a longer record before.
    let record = Record::decode(rest.get(..length)?).ok()?;
    let process = RecordedProcess {
        pid: i32::from_le_bytes(*pid),
        started: u64::from_le_bytes(*started),
    };
    let found = Found {
        container: ContainerId::parse(&record.container)?,
        record,
        process: Some(process).filter(|process| process.pid != 0),
        delivery,
    };
    (!found.record.executor_id.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("cook-records-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn record(id: ContainerId, executor_id: &str) -> Record {
        Record {
            executor_id: executor_id.to_owned(),
            container: id.to_string(),
            ..Record::default()
        }
    }

    fn found(id: ContainerId, executor_id: &str) -> Found {
        Found {
            container: id,
            record: record(id, executor_id),
            process: None,
            delivery: Delivery::Unknown,
        }
    }

    fn read(folder: &Path) -> Vec<Found> {
        Records::open(folder).unwrap().1
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn records_are_read_back_and_incomplete_ones_are_ignored() {
        let folder = folder("read");
        let (records, empty) = Records::open(&folder).unwrap();
        assert_eq!(empty, []);
        let id = ContainerId([7; 16]);
        records.write(id, &record(id, "a")).unwrap();
        let mut wanted = found(id, "a");
        assert_eq!(read(&folder), [wanted.clone()]);
        let process = RecordedProcess { pid: 5, started: 6 };
        records.set_process(id, process).unwrap();
        wanted.process = Some(process);
        // As if the agent was killed before it wrote the state, or before it wrote anything.
        let bytes = fs::read(folder.join("0")).unwrap();
        fs::write(folder.join("1"), [&[FREE], &bytes[1..]].concat()).unwrap();
        fs::write(folder.join("2"), b"").unwrap();
        // Damaged files.
        fs::write(folder.join("3"), &bytes[..bytes.len() - 1]).unwrap();
        fs::write(folder.join("4"), b"x").unwrap();
        assert_eq!(read(&folder), [wanted.clone()]);
        records.mark_acknowledged(id).unwrap();
        wanted.delivery = Delivery::Acknowledged;
        assert_eq!(read(&folder), [wanted]);
        records.erase(id);
        assert_eq!(read(&folder), []);
        assert!(records.mark_acknowledged(id).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_are_reused_for_shorter_records_and_by_the_next_process() {
        let folder = folder("again");
        let (first, second) = (ContainerId([1; 16]), ContainerId([2; 16]));
        let (records, _) = Records::open(&folder).unwrap();
        let process = RecordedProcess { pid: 5, started: 6 };
        for _ in 0..3 {
            let long = record(first, &"a".repeat(5000));
            records.write(first, &long).unwrap();
            records.set_process(first, process).unwrap();
            records.erase(first);
            records.write(second, &record(second, "b")).unwrap();
            assert_eq!(read(&folder), [found(second, "b")]);
            records.erase(second);
        }
        assert_eq!(files(&folder), 1);
        let (records, _) = Records::open(&folder).unwrap();
        records.write(first, &record(first, "c")).unwrap();
        assert_eq!(files(&folder), 1);
        records.write(first, &record(first, "d")).unwrap();
        assert_eq!(read(&folder), [found(first, "d")], "it was replaced");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn after_a_failed_write_the_file_is_used_again() {
        let folder = folder("full");
        let (records, _) = Records::open(&folder).unwrap();
        // A folder with the name of the first file.
        fs::create_dir(folder.join("0")).unwrap();
        let id = ContainerId([1; 16]);
        records.write(id, &record(id, "a")).unwrap_err();
        fs::remove_dir(folder.join("0")).unwrap();
        records.write(id, &record(id, "a")).unwrap();
        assert_eq!(read(&folder), [found(id, "a")]);
        fs::remove_dir_all(&folder).unwrap();
    }
}

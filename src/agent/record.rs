//! The records of containers on disk, with which the next process of the agent finds them again.
//!
//! There is one file for each container. It is replaced as a whole, except for its first byte, which says
//! whether an update of the task was acknowledged. That byte is changed in place, which works on a full
//! disk too. Nothing is synced: a power failure ends the executors as well, and a record that it damages
//! belongs to an earlier boot.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cook_mesos::messages::TaskInfo;
use prost::Message;

use crate::spec::ContainerId;

/// The first byte of a file, before and after the first acknowledgement.
const NEW: u8 = b'-';
const ACKNOWLEDGED: u8 = b'+';

/// The folder of the records.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
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
    /// The executor's process, once it was started.
    #[prost(message, optional, tag = "6")]
    pub process: Option<RecordedProcess>,
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
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RecordedProcess {
    /// Its id.
    #[prost(int32, tag = "1")]
    pub pid: i32,
    /// Its start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    #[prost(uint64, tag = "2")]
    pub started: u64,
}

// === impl Records ===

impl Records {
    /// Opens the records below `folder`, which is created if necessary.
    ///
    /// # Errors
    ///
    /// The folder cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes or replaces a record.
    ///
    /// # Errors
    ///
    /// The disk is full or fails.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let new = self.folder.join(format!("{}.new", record.container));
        let mut bytes = vec![NEW];
        bytes.extend(record.encode_to_vec());
        fs::write(&new, bytes)?;
        fs::rename(&new, self.folder.join(&record.container))
    }

    /// Records that an update of this container's task was acknowledged.
    ///
    /// # Errors
    ///
    /// The record does not exist, or the disk fails.
    pub fn mark_acknowledged(&self, container: ContainerId) -> io::Result<()> {
        let path = self.folder.join(container.to_string());
        let file = fs::OpenOptions::new().write(true).open(path)?;
        file.write_all_at(&[ACKNOWLEDGED], 0)
    }

    /// Removes a record. If that fails, it does no harm: the next process finds that the container is gone.
    pub fn erase(&self, container: ContainerId) {
        let _ = fs::remove_file(self.folder.join(container.to_string()));
    }

    /// All readable records. Unreadable ones are named in the log and kept for inspection.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn read(&self) -> io::Result<Vec<(Record, Delivery)>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some() {
                // An incomplete replacement: the old record is still valid.
                let _ = fs::remove_file(&path);
                continue;
            }
            match fs::read(&path).map(|bytes| decode(&bytes)) {
                Ok(Some(read)) => records.push(read),
                _ => tracing::warn!("the record {} cannot be read; skipped", path.display()),
            }
        }
        Ok(records)
    }
}

fn decode(bytes: &[u8]) -> Option<(Record, Delivery)> {
    let (first, rest) = bytes.split_first()?;
    let delivery = match *first {
        NEW => Delivery::Unknown,
        ACKNOWLEDGED => Delivery::Acknowledged,
        _ => return None,
    };
    let record = Record::decode(rest).ok()?;
    (!record.executor_id.is_empty()).then_some((record, delivery))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_records_are_read_and_incomplete_ones_ignored() {
        let folder = std::env::temp_dir().join(format!("cook-records-{}", std::process::id()));
        let records = Records::open(&folder).unwrap();
        let id = ContainerId([7; 16]);
        let mut record = Record {
            executor_id: "a".to_owned(),
            container: id.to_string(),
            ..Record::default()
        };
        records.write(&record).unwrap();
        record.process = Some(RecordedProcess { pid: 5, started: 6 });
        records.write(&record).unwrap();
        fs::write(folder.join("half.new"), b"x").unwrap();
        fs::write(folder.join("empty"), b"").unwrap();
        assert_eq!(
            records.read().unwrap(),
            [(record.clone(), Delivery::Unknown)]
        );
        records.mark_acknowledged(id).unwrap();
        assert_eq!(records.read().unwrap(), [(record, Delivery::Acknowledged)]);
        assert!(!folder.join("half.new").exists());
        records.erase(id);
        assert_eq!(records.read().unwrap(), []);
        fs::remove_dir_all(&folder).unwrap();
    }
}

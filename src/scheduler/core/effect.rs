//! Everything that the scheduler wants done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::event::StoreFault;
use crate::core::face::{Call, FrameworkId, TaskState};
use crate::core::job::{Group, Job, JobKey, Outcome};
use crate::core::request::{Reply, RequestId};
use crate::core::words::{GroupId, InstanceId, JobId, Moment};

/// Everything that the scheduler wants done, in order. What others can see comes only when what it rests
/// on is on disk: nothing outside the core has to wait for anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Write this to disk; [`Event::Stored`](crate::core::event::Event::Stored) follows. Batches that wait
    /// together may be written together.
    Store(Batch),
    /// Open the store again; until then it takes nothing.
    ReopenStore,
    /// Read a completed job; [`Event::Loaded`](crate::core::event::Event::Loaded) follows.
    Load(JobKey),
    /// Answer a client.
    Reply(RequestId, Reply),
    /// Ask something of the backend.
    Call(Call),
    /// Leave at once, and touch nothing.
    Leave(LeaveReason),
    /// Write a line to the log.
    Note(Note),
}

/// Why the scheduler leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveReason {
    /// Another scheduler has taken this framework's id: the jobs are its own now.
    FrameworkTaken,
}

/// Counts batches, over restarts too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(pub u64);

/// Changes that are written together, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Its number.
    pub number: BatchNumber,
    /// When it was made.
    pub moment: Moment,
    /// At least one; each thing once.
    pub changes: Vec<Change>,
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A job that the store does not have.
    NewJob(Arc<Job>),
    /// A job has changed.
    Job {
        /// As it is now.
        job: Arc<Job>,
        /// Which of its instances are new or have changed.
        instances: Vec<usize>,
    },
    /// A job, with everything that belongs to it, is not kept any longer.
    DropJob(JobKey),
    /// A new group.
    NewGroup(Arc<StoredGroup>),
    /// A group is not kept any longer.
    DropGroup(GroupId),
    /// The framework's id; `None` if it is dead.
    Framework(Option<FrameworkId>),
}

/// A group, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredGroup {
    /// The group.
    pub group: Group,
    /// When it was made.
    pub created: Moment,
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// A job was accepted.
    Accepted(JobId),
    /// An instance was sent.
    Launched(InstanceId, JobId),
    /// An instance has ended.
    Ended(InstanceId, JobId, Outcome),
    /// A task is ended that nobody here has started, or that was written off.
    KillOnSight(InstanceId, TaskState),
    /// An instance does not end.
    KillRepeated(InstanceId, Duration),
    /// An instance cannot be reached.
    Unreachable(InstanceId),
    /// A commit has failed.
    StoreFailed(StoreFault),
    /// The store works again; so many batches were lost, none of which was promised.
    StoreReopened {
        /// How many.
        lost: usize,
    },
    /// The framework's id is dead; so many instances were written off.
    FrameworkRemoved {
        /// How many.
        lost: usize,
    },
    /// So many completed jobs are not kept any longer.
    Dropped(usize),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(job) => write!(f, "job {job}: accepted"),
            Self::Launched(instance, job) => write!(f, "job {job}: instance {instance} starts"),
            Self::Ended(instance, job, Outcome::Success) => {
                write!(f, "job {job}: instance {instance} succeeded")
            }
            Self::Ended(instance, job, Outcome::Failed(reason)) => {
                let (text, code) = (reason.text(), reason.code());
                write!(f, "job {job}: instance {instance} failed: {text} ({code})")
            }
            Self::KillOnSight(instance, state) => {
                write!(
                    f,
                    "task {instance} is {state:?} and no instance that should run: it is ended"
                )
            }
            Self::KillRepeated(instance, since) => {
                let seconds = since.as_secs();
                write!(
                    f,
                    "instance {instance} has not ended {seconds} s after it was asked to; asking again"
                )
            }
            Self::Unreachable(instance) => {
                write!(f, "instance {instance}: its agent cannot be reached")
            }
            Self::StoreFailed(StoreFault::DiskFull) => {
                f.write_str("the store cannot be written: the disk is full")
            }
            Self::StoreFailed(StoreFault::Failed) => {
                f.write_str("the store cannot be written; it is opened again")
            }
            Self::StoreReopened { lost } => {
                write!(
                    f,
                    "the store works again; {lost} changes that were not promised to anybody are lost"
                )
            }
            Self::FrameworkRemoved { lost } => {
                write!(
                    f,
                    "the master has removed this framework; {lost} running instances are written off"
                )
            }
            Self::Dropped(count) => write!(f, "{count} completed jobs are not kept any longer"),
        }
    }
}

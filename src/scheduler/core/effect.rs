//! What the core asks the rest of the program to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::backend::{Call, FrameworkId, TaskState};
use crate::core::event::StoreFault;
use crate::core::job::{Group, Job, JobKey, Outcome};
use crate::core::request::{Reply, RequestId};
use crate::core::words::{GroupId, InstanceId, JobId, Moment};

/// What the core asks the rest of the program to do, in order. The core itself holds back every effect
/// that others can see until the data it depends on is on disk, so nothing outside the core has to
/// wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Write this batch to disk; [`Event::Stored`](crate::core::event::Event::Stored) follows. Several
    /// waiting batches may be written in one commit.
    Store(Batch),
    /// Open the store again after a failure. The store accepts no batch until then.
    ReopenStore,
    /// Read a completed job; [`Event::Loaded`](crate::core::event::Event::Loaded) follows.
    Load(JobKey),
    /// Send the reply to a client's request.
    Reply(RequestId, Reply),
    /// Make a call to the backend.
    Call(Call),
    /// Exit at once, without touching tasks or store.
    Leave(LeaveReason),
    /// Write a line to the log.
    Log(LogLine),
}

/// Why the program has to exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveReason {
    /// Another scheduler has subscribed with this framework's id; the jobs now belong to it.
    FrameworkTaken,
}

/// The number of a batch. Numbering continues after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(pub u64);

/// Changes that are written in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Its number.
    pub number: BatchNumber,
    /// When it was made.
    pub moment: Moment,
    /// At least one. No job, group or id occurs twice.
    pub changes: Vec<Change>,
}

/// One change in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A job that the store does not have.
    NewJob(Arc<Job>),
    /// A job has changed.
    Job {
        /// The job after the change.
        job: Arc<Job>,
        /// Which of its instances are new or have changed.
        instances: Vec<usize>,
    },
    /// Remove a job with all its instances.
    DropJob(JobKey),
    /// A new group.
    NewGroup(Arc<StoredGroup>),
    /// Remove a group.
    DropGroup(GroupId),
    /// The framework's id; `None` if it is no longer valid.
    Framework(Option<FrameworkId>),
}

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredGroup {
    /// The group.
    pub group: Group,
    /// When it was created.
    pub created: Moment,
}

/// An event for the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogLine {
    /// A job was accepted.
    Accepted(JobId),
    /// An instance was sent to the backend.
    Launched(InstanceId, JobId),
    /// An instance has ended.
    Ended(InstanceId, JobId, Outcome),
    /// A task is killed because this scheduler did not start it or has given it up.
    KillOnSight(InstanceId, TaskState),
    /// An instance has not ended after a kill.
    KillRepeated(InstanceId, Duration),
    /// The agent of an instance cannot be reached.
    Unreachable(InstanceId),
    /// A commit has failed.
    StoreFailed(StoreFault),
    /// The store works again. Some changes were lost; no client had been told about them.
    StoreReopened {
        /// The number of lost batches.
        lost: usize,
    },
    /// The framework's id is no longer valid; its running instances are given up.
    FrameworkRemoved {
        /// The number of these instances.
        lost: usize,
    },
    /// This number of old completed jobs was removed.
    Dropped(usize),
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(job) => write!(f, "job {job}: accepted"),
            Self::Launched(instance, job) => write!(f, "job {job}: starting instance {instance}"),
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
                    "task {instance} is {state:?} but should not run; killing it"
                )
            }
            Self::KillRepeated(instance, since) => {
                let seconds = since.as_secs();
                write!(
                    f,
                    "instance {instance} has not ended {seconds} s after the first kill; killing it again"
                )
            }
            Self::Unreachable(instance) => {
                write!(f, "instance {instance}: its agent cannot be reached")
            }
            Self::StoreFailed(StoreFault::DiskFull) => {
                f.write_str("cannot write to the store: the disk is full")
            }
            Self::StoreFailed(StoreFault::Failed) => {
                f.write_str("cannot write to the store; opening it again")
            }
            Self::StoreReopened { lost } => {
                write!(
                    f,
                    "the store works again; {lost} unconfirmed changes were lost"
                )
            }
            Self::FrameworkRemoved { lost } => {
                write!(
                    f,
                    "the master has removed this framework; {lost} running instances are lost"
                )
            }
            Self::Dropped(count) => write!(f, "removed {count} old completed jobs"),
        }
    }
}

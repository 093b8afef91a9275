//! The input of the core.

use crate::core::backend::BackendEvent;
use crate::core::effect::BatchNumber;
use crate::core::job::{Job, JobKey};
use crate::core::request::{ApiRequest, RequestId};

/// Something that has happened and that the core has to handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client asks for a change.
    Request(RequestId, ApiRequest),
    /// The backend reports something.
    Backend(BackendEvent),
    /// This batch and all earlier ones are on disk.
    Stored(BatchNumber),
    /// A commit has failed. The store accepts no batch until
    /// [`Effect::ReopenStore`](crate::core::effect::Effect::ReopenStore).
    StoreFailed(StoreFault),
    /// The store was opened again. Batches after `last` are lost.
    StoreReopened {
        /// The last batch that is on disk.
        last: BatchNumber,
        /// The free space.
        disk_space: DiskSpace,
    },
    /// The free space of the store has changed.
    DiskSpaceChanged(DiskSpace),
    /// The answer to [`Effect::Load`](crate::core::effect::Effect::Load).
    Loaded(JobKey, LoadAnswer),
    /// Start no more instances: the program is ending the running jobs and will exit.
    Drain,
    /// A deadline has come; see [`Scheduler::next_deadline`](crate::core::Scheduler::next_deadline).
    Tick,
}

/// The answer to a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LoadAnswer {
    /// The job.
    Found(Box<Job>),
    /// The store has no such job.
    Missing,
    /// The store cannot be read now.
    Failed,
}

/// The free space of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DiskSpace {
    /// There is enough.
    #[default]
    Ample,
    /// The disk was full and the reserve was released: only ends of instances and kills are recorded.
    ReserveOnly,
}

/// Why a commit has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreFault {
    /// The disk is full, and the reserve is used up.
    DiskFull,
    /// Any other error.
    Failed,
}

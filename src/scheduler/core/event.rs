//! Everything that can happen to the scheduler.

use crate::core::effect::BatchNumber;
use crate::core::face::BackendEvent;
use crate::core::job::{Job, JobKey};
use crate::core::request::{ApiRequest, RequestId};

/// Everything that can happen to the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client wants something changed.
    Request(RequestId, ApiRequest),
    /// The backend says something.
    Backend(BackendEvent),
    /// This batch, and every one before it, is on disk.
    Stored(BatchNumber),
    /// A commit has failed. The store takes nothing more until
    /// [`Effect::ReopenStore`](crate::core::effect::Effect::ReopenStore).
    StoreFailed(StoreFault),
    /// The store was opened again. Batches after `last` are lost.
    StoreReopened {
        /// The last batch that is on disk.
        last: BatchNumber,
        /// How much room there is.
        room: Room,
    },
    /// There is more or less room for the store.
    RoomChanged(Room),
    /// What [`Effect::Load`](crate::core::effect::Effect::Load) asked for.
    Loaded(JobKey, LoadAnswer),
    /// Start nothing more: the program is about to leave, and ends what runs.
    Drain,
    /// A deadline has come; see [`Scheduler::next_deadline`](crate::core::Scheduler::next_deadline).
    Tick,
}

/// What became of a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LoadAnswer {
    /// Here it is.
    Found(Box<Job>),
    /// The store has no such job.
    Missing,
    /// It cannot be read now.
    Failed,
}

/// How much room there is for the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Room {
    /// Enough.
    #[default]
    Ample,
    /// The disk was full, and the reserve is in use: for ends and kills only.
    ReserveOnly,
}

/// Why a commit has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreFault {
    /// There is no room on the disk, and no reserve either.
    DiskFull,
    /// Anything else.
    Failed,
}

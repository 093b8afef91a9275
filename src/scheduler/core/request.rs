//! What clients ask for that changes something, and the answers. Reading needs no request: see `view`.

use crate::core::job::{Group, JobSpec, Retries};
use crate::core::words::{GroupId, InstanceId, JobId, UserName};

/// Tells the answers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What clients ask for. Whether they may is decided before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ApiRequest {
    /// Accept all of these jobs, or none.
    Submit(Submission),
    /// End all of these, or none.
    Kill(KillOrder),
    /// Try these more often.
    Retry(RetryOrder),
}

/// Jobs to accept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Submission {
    /// Whose they will be.
    pub user: UserName,
    /// The jobs, in the order in which they are numbered.
    pub jobs: Vec<NewJob>,
    /// Groups that are declared with them.
    pub groups: Vec<Group>,
    /// What may become of groups that exist.
    pub group_rule: GroupRule,
}

/// One job to accept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewJob {
    /// Its name; one is made for a job that has none.
    pub id: Option<JobId>,
    /// The job.
    pub spec: JobSpec,
}

/// What may become of groups that exist (`override-group-immutability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupRule {
    /// They get no more jobs.
    #[default]
    Immutable,
    /// They may get more jobs.
    MayGrow,
}

/// What to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KillOrder {
    /// Jobs: completed at once, their instances end as soon as can be.
    pub jobs: Vec<JobId>,
    /// Instances: their jobs go on, if they have attempts left.
    pub instances: Vec<InstanceId>,
    /// All jobs of these groups.
    pub groups: Vec<GroupId>,
}

/// What to try more often.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetryOrder {
    /// Jobs.
    pub jobs: Vec<JobId>,
    /// All jobs of these groups.
    pub groups: Vec<GroupId>,
    /// Which of them.
    pub which: RetryWhich,
    /// How often.
    pub change: RetryChange,
    /// The operator's limit (`:retry-limit`).
    pub limit: Retries,
}

/// Which jobs are tried again (`failed_only`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryWhich {
    /// Those that are completed without success.
    Failed,
    /// All.
    All,
}

/// How often they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryChange {
    /// So often in total (`retries`).
    Total(Retries),
    /// So many times more (`increment`).
    Increment(Retries),
}

/// An answer. It is given when what it says is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Accepted.
    Submitted {
        /// In the order of the submission.
        jobs: Vec<JobId>,
        /// Those that were declared, and those that only jobs have named.
        groups: Vec<GroupId>,
    },
    /// The kill is recorded.
    Killed,
    /// The new total; of the last job, if there were several.
    Retried(Retries),
    /// There was nothing to be tried again.
    NothingToRetry,
    /// Not done; nothing has changed.
    Refused(Refusal),
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// These uuids are twice in one submission (400).
    DuplicateJobs(Vec<JobId>),
    /// This group exists already, or is declared twice (400).
    GroupExists(GroupId),
    /// A job names a group that exists, without [`GroupRule::MayGrow`] (400).
    GroupIsImmutable(GroupId),
    /// These uuids belong to jobs that exist (409).
    JobsExist(Vec<JobId>),
    /// So many jobs would be unfinished; this is the limit (422).
    TooManyJobs {
        /// The limit.
        limit: u64,
    },
    /// These are no jobs (404).
    UnknownJobs(Vec<JobId>),
    /// These are no instances (404).
    UnknownInstances(Vec<InstanceId>),
    /// These are no groups (404).
    UnknownGroups(Vec<GroupId>),
    /// `retries` above the limit (400).
    RetriesAboveLimit(Retries),
    /// Fewer than are used up already (400).
    RetriesBelowUsed {
        /// What is used up.
        used: u32,
    },
    /// These will not be tried again by that (409).
    WillNotRetry(Vec<JobId>),
    /// Nothing can be recorded now (503).
    Unavailable(Unavailable),
}

/// Why nothing can be recorded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unavailable {
    /// The disk is full. Ends and kills are still recorded; jobs are not accepted.
    DiskFull,
    /// The store has failed, and is being opened again.
    StoreFailed,
    /// The store has failed while this request was recorded: it may have been done, or not.
    /// Ask for the job before submitting it again.
    Undecided,
}

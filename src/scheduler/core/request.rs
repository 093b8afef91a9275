//! The requests of clients that change something, and the replies. Reading needs no request: see
//! `view`.

use crate::core::job::{Group, JobSpec, Retries};
use crate::core::words::{GroupId, InstanceId, JobId, UserName};

/// Matches a reply to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A change that a client asks for. The client's permission was checked before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ApiRequest {
    /// Accept all of these jobs, or none.
    Submit(Submission),
    /// Kill all of these, or none.
    Kill(KillOrder),
    /// Change how often these jobs are tried.
    Retry(RetryOrder),
}

/// Jobs to accept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Submission {
    /// The owner of the jobs.
    pub user: UserName,
    /// The jobs, in the order in which they get their numbers.
    pub jobs: Vec<NewJob>,
    /// Groups that are declared in the same request.
    pub groups: Vec<Group>,
    /// Whether groups that exist already may get more jobs.
    pub group_rule: GroupRule,
}

/// One job to accept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewJob {
    /// Its UUID; one is generated for a job that has none.
    pub id: Option<JobId>,
    /// The job.
    pub spec: JobSpec,
}

/// Whether groups that exist already may get more jobs (`override-group-immutability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupRule {
    /// They may not.
    #[default]
    Immutable,
    /// They may.
    MayGrow,
}

/// What to kill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KillOrder {
    /// Jobs: they are completed at once, and their instances are killed.
    pub jobs: Vec<JobId>,
    /// Instances: their jobs are tried again if they have attempts left.
    pub instances: Vec<InstanceId>,
    /// All jobs of these groups.
    pub groups: Vec<GroupId>,
}

/// Which jobs to try more often.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetryOrder {
    /// Jobs.
    pub jobs: Vec<JobId>,
    /// All jobs of these groups.
    pub groups: Vec<GroupId>,
    /// Which of them.
    pub which: RetryWhich,
    /// The new number of attempts.
    pub change: RetryChange,
    /// The operator's limit (`:retry-limit`).
    pub limit: Retries,
}

/// Which jobs are tried again (`failed_only`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryWhich {
    /// Only jobs that are completed without success.
    Failed,
    /// All of them.
    All,
}

/// The new number of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryChange {
    /// The new total (`retries`).
    Total(Retries),
    /// This many more than before (`increment`).
    Increment(Retries),
}

/// A reply. It is sent only when everything it says is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The jobs are accepted.
    Submitted {
        /// Their ids, in the order of the submission.
        jobs: Vec<JobId>,
        /// The new groups: those declared in the request, and those that only its jobs name.
        groups: Vec<GroupId>,
    },
    /// The kill is recorded.
    Killed,
    /// The new total number of attempts; if there were several jobs, that of the last one.
    Retried(Retries),
    /// No job had to be retried.
    NothingToRetry,
    /// Refused; nothing has changed.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// These UUIDs occur twice in one submission (400).
    DuplicateJobs(Vec<JobId>),
    /// This group exists already, or is declared twice (400).
    GroupExists(GroupId),
    /// A job names a group that exists, without [`GroupRule::MayGrow`] (400).
    GroupIsImmutable(GroupId),
    /// Jobs with these UUIDs exist already (409).
    JobsExist(Vec<JobId>),
    /// Too many jobs would be unfinished (422).
    TooManyJobs {
        /// The limit.
        limit: u64,
    },
    /// There are no such jobs (404).
    UnknownJobs(Vec<JobId>),
    /// There are no such instances (404).
    UnknownInstances(Vec<InstanceId>),
    /// There are no such groups (404).
    UnknownGroups(Vec<GroupId>),
    /// `retries` is above the limit (400).
    RetriesAboveLimit(Retries),
    /// The new total is below the number of attempts already used (400).
    RetriesBelowUsed {
        /// The attempts already used.
        used: u32,
    },
    /// This change would not make these jobs run again (409).
    WillNotRetry(Vec<JobId>),
    /// The change cannot be stored now (503).
    Unavailable(Unavailable),
}

/// Why a change cannot be stored now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unavailable {
    /// The disk is full. The ends of instances and kills are still recorded; new jobs are not accepted.
    DiskFull,
    /// The store has failed and is being opened again.
    StoreFailed,
    /// The store failed while this request was being stored: the change may have been made or not. A
    /// client should look the job up before it submits it again.
    Undecided,
}

//! All jobs and the indexes over them. For each job the table has the version on disk, which readers
//! see, and the newest version, on which decisions are based.
//!
//! Jobs that can still change by themselves are *resident*: complete in memory. Completed jobs are
//! *archived*: an entry of an index is in memory, the rest in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::live::{Lives, Sent};
use super::queue::Queue;
use crate::core::effect::{BatchNumber, StoredGroup};
use crate::core::job::{Instance, Job, JobKey, JobStatus, Runtime, Verdict};
use crate::core::words::{GroupId, InstanceId, JobId, JobName, Moment, Steady, UserName};

/// All jobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Table {
    limits: Limits,
    entries: BTreeMap<JobKey, Entry>,
    ids: BTreeMap<JobId, JobKey>,
    instances: BTreeMap<InstanceId, JobKey>,
    users: BTreeMap<UserName, BTreeSet<JobKey>>,
    groups: BTreeMap<GroupId, GroupEntry>,
    /// Groups without a job, the oldest first.
    empty_groups: BTreeSet<(Steady, GroupId)>,
    /// Archived jobs, the oldest first.
    ended: BTreeSet<(Steady, JobKey)>,
    /// The number of jobs that are not archived.
    residents: usize,
    /// Jobs that can start.
    pub queue: Queue,
    /// Instances that have not ended.
    pub lives: Lives,
}

/// The limits that determine an instance's deadlines, together with those of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Limits {
    /// The operator's limit for all instances.
    pub max_runtime: Option<Runtime>,
    /// How long an instance may be unreachable.
    pub unreachable_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Entry {
    Resident(Resident),
    Archived(Arc<Archived>),
    /// Archived, and about to be removed.
    Leaving(Arc<Archived>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Resident {
    /// The version on disk.
    stored: Option<Arc<Job>>,
    /// The newest version, and the batch that will store it.
    newer: Option<(BatchNumber, Arc<Job>)>,
}

/// What is kept in memory of a completed job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Archived {
    /// Its number.
    pub key: JobKey,
    /// Its UUID.
    pub id: JobId,
    /// Its owner.
    pub user: UserName,
    /// Its name, for people.
    pub name: JobName,
    /// Its group.
    pub group: Option<GroupId>,
    /// When it was accepted.
    pub submitted: Moment,
    /// When it was completed.
    pub at: Moment,
    /// Its result.
    pub verdict: Verdict,
    /// The ids of its instances.
    pub instances: Box<[InstanceId]>,
}

/// A group and its jobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupEntry {
    /// The group.
    pub stored: Arc<StoredGroup>,
    /// Whether it is on disk.
    pub is_on_disk: bool,
    /// Its jobs.
    pub jobs: BTreeSet<JobKey>,
}

/// A job as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The whole job.
    Job(Arc<Job>),
    /// The job is in the store; this is what is known without loading it.
    Archived(Arc<Archived>),
}

/// Executors enforce the maximum run time themselves, to the millisecond; the scheduler acts only when
/// an executor does not.
const RUNTIME_SLACK: Duration = Duration::from_secs(1);

impl Archived {
    /// The archive entry of a job; `None` unless the job is completed and all its instances have ended.
    pub fn of(job: &Job) -> Option<Self> {
        let (at, verdict) = match job.status {
            JobStatus::Waiting | JobStatus::Running => return None,
            JobStatus::Completed { at, verdict } => (at, verdict),
        };
        if job.live().is_some() {
            return None;
        }
        Some(Self {
            key: job.key,
            id: job.id,
            user: job.user.clone(),
            name: job.spec.name.clone(),
            group: job.spec.group,
            submitted: job.submitted,
            at,
            verdict,
            instances: job.instances.iter().map(|instance| instance.id).collect(),
        })
    }
}

impl Resident {
    fn newest(&self) -> Option<&Arc<Job>> {
        self.newer
            .as_ref()
            .map(|(_, job)| job)
            .or(self.stored.as_ref())
    }
}

impl Table {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            ids: BTreeMap::new(),
            instances: BTreeMap::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            empty_groups: BTreeSet::new(),
            ended: BTreeSet::new(),
            residents: 0,
            queue: Queue::default(),
            lives: Lives::default(),
        }
    }

    // --- newest versions ---

    /// The job with this UUID, whether it is on disk yet or not.
    pub fn key(&self, id: JobId) -> Option<JobKey> {
        self.ids.get(&id).copied()
    }

    /// The job of this instance, whether it is on disk yet or not.
    pub fn key_of_instance(&self, id: InstanceId) -> Option<JobKey> {
        self.instances.get(&id).copied()
    }

    /// The newest version of a job; `None` if it is archived or unknown.
    pub fn job(&self, key: JobKey) -> Option<&Arc<Job>> {
        match self.entries.get(&key)? {
            Entry::Resident(resident) => resident.newest(),
            Entry::Archived(_) | Entry::Leaving(_) => None,
        }
    }

    /// The archive entry of a job, if it is archived.
    pub fn archived(&self, key: JobKey) -> Option<&Arc<Archived>> {
        match self.entries.get(&key)? {
            Entry::Archived(archived) => Some(archived),
            Entry::Resident(_) | Entry::Leaving(_) => None,
        }
    }

    /// A group.
    pub fn group(&self, id: GroupId) -> Option<&GroupEntry> {
        self.groups.get(&id)
    }

    /// The number of jobs that are not archived.
    pub fn residents(&self) -> usize {
        self.residents
    }

    /// The number of archived jobs.
    pub fn archived_count(&self) -> usize {
        self.ended.len()
    }

    /// Adds a job or its new version, which will be on disk with batch `number`.
    pub fn put(&mut self, job: Arc<Job>, number: BatchNumber) {
        let before = self.job(job.key).cloned();
        self.reindex(before.as_deref(), Some(&job), Sent::Held);
        match self.entries.get_mut(&job.key) {
            Some(Entry::Resident(resident)) => resident.newer = Some((number, job)),
            // Only resident jobs change; an archived one is loaded first.
            Some(Entry::Archived(_) | Entry::Leaving(_)) | None => {
                self.residents += 1;
                let resident = Resident {
                    stored: None,
                    newer: Some((number, Arc::clone(&job))),
                };
                self.entries.insert(job.key, Entry::Resident(resident));
                self.register(job.key, job.id, &job.user, job.spec.group);
            }
        }
    }

    /// Adds a group that is not on disk yet.
    pub fn put_group(&mut self, stored: Arc<StoredGroup>) {
        self.insert_group(stored, false);
    }

    // --- versions on disk ---

    /// Adds a job as it is on disk: at the start, or when it was loaded.
    pub fn load(&mut self, job: Job) {
        let job = Arc::new(job);
        match self.entries.get(&job.key) {
            Some(Entry::Resident(_) | Entry::Leaving(_)) => return,
            Some(Entry::Archived(archived)) => {
                self.ended.remove(&(archived.at.steady, job.key));
            }
            None => self.register(job.key, job.id, &job.user, job.spec.group),
        }
        self.residents += 1;
        self.reindex(None, Some(&job), Sent::Sent);
        let resident = Resident {
            stored: Some(Arc::clone(&job)),
            newer: None,
        };
        self.entries.insert(job.key, Entry::Resident(resident));
    }

    /// Adds an archived job, at the start.
    pub fn load_archived(&mut self, archived: Archived) {
        let key = archived.key;
        self.register(key, archived.id, &archived.user, archived.group);
        for &instance in &archived.instances {
            self.instances.insert(instance, key);
        }
        self.ended.insert((archived.at.steady, key));
        self.entries
            .insert(key, Entry::Archived(Arc::new(archived)));
    }

    /// Adds a group that is on disk, at the start, before its jobs.
    pub fn load_group(&mut self, stored: Arc<StoredGroup>) {
        self.insert_group(stored, true);
    }

    /// Records that this version of a job is on disk.
    pub fn stored(&mut self, number: BatchNumber, job: Arc<Job>) {
        if let Some(Entry::Resident(resident)) = self.entries.get_mut(&job.key) {
            resident.newer.take_if(|(newer, _)| *newer == number);
            resident.stored = Some(job);
        }
    }

    /// Records that this group is on disk.
    pub fn stored_group(&mut self, id: GroupId) {
        if let Some(entry) = self.groups.get_mut(&id) {
            entry.is_on_disk = true;
        }
    }

    /// Archives a job if only a client can change it from now on.
    pub fn archive(&mut self, key: JobKey) {
        let Some(Entry::Resident(Resident {
            stored: Some(job),
            newer: None,
        })) = self.entries.get(&key)
        else {
            return;
        };
        let job = Arc::clone(job);
        let Some(archived) = Archived::of(&job) else {
            return;
        };
        self.residents -= 1;
        self.ended.insert((archived.at.steady, key));
        self.entries
            .insert(key, Entry::Archived(Arc::new(archived)));
    }

    /// Resets a job to its version on disk.
    pub fn roll_back(&mut self, key: JobKey) {
        match self.entries.get_mut(&key) {
            Some(Entry::Resident(resident)) => {
                let Some((_, lost)) = resident.newer.take() else {
                    return;
                };
                let stored = resident.stored.clone();
                self.reindex(Some(&lost), stored.as_deref(), Sent::Sent);
                if stored.is_none() {
                    self.residents -= 1;
                    self.entries.remove(&key);
                    self.unregister(key, lost.id, &lost.user, lost.spec.group);
                }
            }
            Some(Entry::Leaving(archived)) => {
                let archived = Arc::clone(archived);
                self.ended.insert((archived.at.steady, key));
                self.entries.insert(key, Entry::Archived(archived));
            }
            Some(Entry::Archived(_)) | None => (),
        }
    }

    /// Removes a group: it could not be stored, or is too old.
    pub fn remove_group(&mut self, id: GroupId) {
        if let Some(entry) = self.groups.remove(&id) {
            self.empty_groups.remove(&(entry.stored.created.steady, id));
        }
    }

    // --- retention ---

    /// The archived job that ended first, and when it ended.
    pub fn oldest(&self) -> Option<(Steady, JobKey)> {
        self.ended.first().copied()
    }

    /// The oldest group without jobs.
    pub fn oldest_empty_group(&self) -> Option<(Steady, GroupId)> {
        self.empty_groups.first().copied()
    }

    /// Marks an archived job as about to be removed. Readers see it until its removal is on disk.
    pub fn leave(&mut self, key: JobKey) -> Option<Arc<Archived>> {
        let Some(Entry::Archived(archived)) = self.entries.get(&key) else {
            return None;
        };
        let archived = Arc::clone(archived);
        self.ended.remove(&(archived.at.steady, key));
        self.entries
            .insert(key, Entry::Leaving(Arc::clone(&archived)));
        Some(archived)
    }

    /// Removes a job whose removal is on disk.
    pub fn dropped(&mut self, key: JobKey) {
        if let Some(Entry::Leaving(archived)) = self.entries.remove(&key) {
            for instance in &archived.instances {
                self.instances.remove(instance);
            }
            self.unregister(key, archived.id, &archived.user, archived.group);
        }
    }

    // --- for readers ---

    /// A job as it is on disk.
    pub fn find(&self, key: JobKey) -> Option<Found> {
        match self.entries.get(&key)? {
            Entry::Resident(resident) => resident.stored.clone().map(Found::Job),
            Entry::Archived(archived) | Entry::Leaving(archived) => {
                Some(Found::Archived(Arc::clone(archived)))
            }
        }
    }

    /// The jobs of a user, on disk or not, in the order of submission.
    pub fn of_user(&self, user: &UserName) -> impl DoubleEndedIterator<Item = JobKey> + '_ {
        self.users.get(user).into_iter().flatten().copied()
    }

    /// All users that have jobs.
    pub fn users(&self) -> impl Iterator<Item = &UserName> {
        self.users.keys()
    }

    // --- indexes ---

    fn register(&mut self, key: JobKey, id: JobId, user: &UserName, group: Option<GroupId>) {
        self.ids.insert(id, key);
        self.users.entry(user.clone()).or_default().insert(key);
        if let Some(group) = group
            && let Some(entry) = self.groups.get_mut(&group)
        {
            self.empty_groups
                .remove(&(entry.stored.created.steady, group));
            entry.jobs.insert(key);
        }
    }

    fn unregister(&mut self, key: JobKey, id: JobId, user: &UserName, group: Option<GroupId>) {
        self.ids.remove(&id);
        if let Some(keys) = self.users.get_mut(user) {
            keys.remove(&key);
            if keys.is_empty() {
                self.users.remove(user);
            }
        }
        if let Some(group) = group
            && let Some(entry) = self.groups.get_mut(&group)
        {
            entry.jobs.remove(&key);
            if entry.jobs.is_empty() {
                self.empty_groups
                    .insert((entry.stored.created.steady, group));
            }
        }
    }

    fn insert_group(&mut self, stored: Arc<StoredGroup>, is_on_disk: bool) {
        let id = stored.group.id;
        self.empty_groups.insert((stored.created.steady, id));
        self.groups.insert(
            id,
            GroupEntry {
                stored,
                is_on_disk,
                jobs: BTreeSet::new(),
            },
        );
    }

    /// Updates the indexes after a job has changed. Instances are only added at the end, so those at
    /// the beginning that are the same in both versions are skipped.
    fn reindex(&mut self, before: Option<&Job>, after: Option<&Job>, sent: Sent) {
        if let Some(job) = before.filter(|job| can_start(job)) {
            self.queue.remove(job);
        }
        if let Some(job) = after.filter(|job| can_start(job)) {
            self.queue.insert(job);
        }
        let old = before.map_or(&[][..], |job| &job.instances);
        let new = after.map_or(&[][..], |job| &job.instances);
        let same = old
            .iter()
            .zip(new)
            .take_while(|(old, new)| Arc::ptr_eq(old, new))
            .count();
        for lost in old.iter().skip(new.len()) {
            self.instances.remove(&lost.id);
            self.lives.remove(lost.id);
        }
        let Some(job) = after else { return };
        for instance in &new[same..] {
            self.instances.insert(instance.id, job.key);
            if instance.is_ended() {
                self.lives.remove(instance.id);
            } else {
                self.lives.insert(instance, job.key, sent);
                self.deadlines(job, instance);
            }
        }
    }

    /// Computes the deadlines of all unfinished instances again.
    pub fn renew_deadlines(&mut self) {
        let all: Vec<_> = self.lives.iter().map(|(_, live)| live.key).collect();
        for key in all {
            let Some(job) = self.job(key).cloned() else {
                continue;
            };
            if let Some(instance) = job.live() {
                self.deadlines(&job, instance);
            }
        }
    }

    fn deadlines(&mut self, job: &Job, instance: &Instance) {
        let limit = [job.spec.max_runtime, self.limits.max_runtime]
            .into_iter()
            .flatten()
            .min();
        let began = instance.began.unwrap_or(instance.created).steady;
        let runtime_at = limit
            .filter(|_| instance.kill.is_none())
            .map(|limit| began.plus(limit.get()).plus(RUNTIME_SLACK));
        let timeout = self.limits.unreachable_timeout;
        let write_off_at = instance.unreachable_since.map(|since| since.plus(timeout));
        self.lives.edit(instance.id, |live| {
            live.runtime_at = runtime_at;
            live.write_off_at = write_off_at;
        });
    }
}

/// Whether a job waits and has no unfinished instance. A job that was killed and retried still has one
/// until that instance has ended.
fn can_start(job: &Job) -> bool {
    match job.status {
        JobStatus::Waiting => job.live().is_none(),
        JobStatus::Running | JobStatus::Completed { .. } => false,
    }
}

//! The content of a store in memory. It is the reference for tests of other stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::backend::FrameworkId;
use crate::core::effect::{Batch, BatchNumber, Change, StoredGroup};
use crate::core::event::DiskSpace;
use crate::core::job::{Job, JobKey};
use crate::core::words::{GroupId, InstanceId};
use crate::core::{Archived, Start};

/// The content of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image {
    last: BatchNumber,
    last_key: JobKey,
    framework: Option<FrameworkId>,
    groups: BTreeMap<GroupId, Arc<StoredGroup>>,
    jobs: BTreeMap<JobKey, Arc<Job>>,
}

impl Image {
    /// Applies a batch. Only the listed changes are applied: a change that the batch does not list is
    /// lost, as it would be on disk.
    pub fn apply(&mut self, batch: &Batch) {
        self.last = batch.number;
        for change in &batch.changes {
            match change {
                Change::NewJob(job) => {
                    self.last_key = self.last_key.max(job.key);
                    self.jobs.insert(job.key, Arc::clone(job));
                }
                Change::Job { job, instances } => {
                    let Some(old) = self.jobs.get(&job.key) else {
                        continue;
                    };
                    let mut new = Job::clone(job);
                    new.spec = Arc::clone(&old.spec);
                    new.instances = old.instances.clone();
                    for &index in instances {
                        let instance = Arc::clone(&job.instances[index]);
                        match new.instances.get_mut(index) {
                            Some(place) => *place = instance,
                            None => new.instances.push(instance),
                        }
                    }
                    self.jobs.insert(job.key, Arc::new(new));
                }
                Change::DropJob(key) => {
                    self.jobs.remove(key);
                }
                Change::NewGroup(stored) => {
                    self.groups.insert(stored.group.id, Arc::clone(stored));
                }
                Change::DropGroup(id) => {
                    self.groups.remove(id);
                }
                Change::Framework(id) => self.framework.clone_from(id),
            }
        }
    }

    /// The content for a start of the scheduler.
    pub fn start(&self) -> Start {
        let mut start = Start {
            last: self.last,
            framework: self.framework.clone(),
            groups: self
                .groups
                .values()
                .map(|stored| StoredGroup::clone(stored))
                .collect(),
            jobs: Vec::new(),
            archived: Vec::new(),
            last_key: self.last_key,
            disk_space: DiskSpace::Ample,
        };
        for job in self.jobs.values() {
            match Archived::of(job) {
                Some(archived) => start.archived.push(archived),
                None => start.jobs.push(Job::clone(job)),
            }
        }
        start
    }

    /// The newest batch.
    pub fn last(&self) -> BatchNumber {
        self.last
    }

    /// A job.
    pub fn job(&self, key: JobKey) -> Option<&Arc<Job>> {
        self.jobs.get(&key)
    }

    /// All jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values()
    }

    /// The job with this instance.
    pub fn job_of(&self, id: InstanceId) -> Option<&Arc<Job>> {
        self.jobs
            .values()
            .find(|job| job.instances.iter().any(|instance| instance.id == id))
    }

    /// The framework's id.
    pub fn framework(&self) -> Option<&FrameworkId> {
        self.framework.as_ref()
    }
}

//! Requests that change something: submit, kill, retry. Each is done as a whole or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::disk::{Deferred, Wanted};
use super::live::Repeat;
use super::{Scheduler, Step};
use crate::core::backend::Call;
use crate::core::effect::{Effect, LogLine, StoredGroup};
use crate::core::event::DiskSpace;
use crate::core::job::{Group, GroupName, Job, JobKey, JobStatus, Reason, Retries, Verdict};
use crate::core::request::{
    ApiRequest, GroupRule, KillOrder, Refusal, Reply, RequestId, RetryChange, RetryOrder,
    RetryWhich, Submission, Unavailable,
};
use crate::core::words::{GroupId, JobId};

impl Scheduler {
    pub(super) fn request(&mut self, step: &mut Step, id: RequestId, request: ApiRequest) {
        if let Some(unavailable) = self.unavailable(&request) {
            let reply = Reply::Refused(Refusal::Unavailable(unavailable));
            return step.perform(Effect::Reply(id, reply));
        }
        let reply = match request {
            ApiRequest::Submit(submission) => self.submit(step, submission),
            ApiRequest::Kill(order) => self.kill(step, &order),
            ApiRequest::Retry(order) => {
                let missing = self.archived_of(&order);
                if !missing.is_empty() {
                    let wanted = Wanted::Request(id, ApiRequest::Retry(order));
                    return self.defer(step, Deferred { wanted, missing });
                }
                self.retry(step, &order)
            }
        };
        step.reply(id, reply.unwrap_or_else(Reply::Refused));
    }

    /// Why this request cannot be stored now; `None` if it can.
    fn unavailable(&self, request: &ApiRequest) -> Option<Unavailable> {
        if let Some(unavailable) = self.disk.unavailable() {
            return Some(unavailable);
        }
        match (self.disk_space, request) {
            (DiskSpace::Ample, _) | (DiskSpace::ReserveOnly, ApiRequest::Kill(_)) => None,
            (DiskSpace::ReserveOnly, ApiRequest::Submit(_) | ApiRequest::Retry(_)) => {
                Some(Unavailable::DiskFull)
            }
        }
    }

    // --- submit ---

    fn submit(&mut self, step: &mut Step, submission: Submission) -> Result<Reply, Refusal> {
        let groups = self.check_submission(&submission)?;
        let Submission {
            user,
            jobs,
            groups: _,
            group_rule: _,
        } = submission;
        let ids = groups.iter().map(|group| group.id).collect();
        for group in groups {
            let stored = Arc::new(StoredGroup {
                group,
                created: step.now,
            });
            self.table.put_group(Arc::clone(&stored));
            step.groups.push(stored);
        }
        let mut names = Vec::with_capacity(jobs.len());
        for new in jobs {
            let id = new.id.unwrap_or_else(|| self.unused_id());
            let key = self.next_key;
            self.next_key = JobKey(key.0 + 1);
            let job = Job {
                key,
                id,
                user: user.clone(),
                submitted: step.now,
                max_retries: new.spec.max_retries,
                spec: Arc::new(new.spec),
                status: JobStatus::Waiting,
                instances: Vec::new(),
            };
            self.put(step, job);
            step.log(LogLine::Accepted(id));
            names.push(id);
        }
        self.figures.submitted += names.len() as u64;
        self.offer_demand.has_new_work = true;
        Ok(Reply::Submitted {
            jobs: names,
            groups: ids,
        })
    }

    /// Checks a submission. Returns the groups that have to be created.
    fn check_submission(&self, submission: &Submission) -> Result<Vec<Group>, Refusal> {
        let ids = || submission.jobs.iter().filter_map(|job| job.id);
        let mut known = BTreeSet::new();
        let twice: BTreeSet<JobId> = ids().filter(|&id| !known.insert(id)).collect();
        if !twice.is_empty() {
            return Err(Refusal::DuplicateJobs(twice.into_iter().collect()));
        }
        let mut declared = BTreeSet::new();
        for group in &submission.groups {
            if self.table.group(group.id).is_some() || !declared.insert(group.id) {
                return Err(Refusal::GroupExists(group.id));
            }
        }
        let mut groups = submission.groups.clone();
        for group in submission.jobs.iter().filter_map(|job| job.spec.group) {
            if self.table.group(group).is_some() {
                match submission.group_rule {
                    GroupRule::Immutable => return Err(Refusal::GroupIsImmutable(group)),
                    GroupRule::MayGrow => (),
                }
            } else if declared.insert(group) {
                groups.push(Group {
                    id: group,
                    name: GroupName::implied(),
                });
            }
        }
        let limit = self.settings.unfinished_limit;
        if self.table.residents().saturating_add(submission.jobs.len()) > limit {
            return Err(Refusal::TooManyJobs {
                limit: limit as u64,
            });
        }
        let exist: Vec<_> = ids().filter(|&id| self.table.key(id).is_some()).collect();
        if exist.is_empty() {
            Ok(groups)
        } else {
            Err(Refusal::JobsExist(exist))
        }
    }

    /// A UUID that no job has: a client may have chosen one that this source generates.
    fn unused_id(&mut self) -> JobId {
        loop {
            let id = JobId(self.ids.issue());
            if self.table.key(id).is_none() {
                return id;
            }
        }
    }

    // --- kill ---

    fn kill(&mut self, step: &mut Step, order: &KillOrder) -> Result<Reply, Refusal> {
        let mut keys = self.keys_of_jobs(&order.jobs)?;
        let unknown = |id: &&_| self.table.key_of_instance(**id).is_none();
        let unknown_ids: Vec<_> = order.instances.iter().filter(unknown).copied().collect();
        if !unknown_ids.is_empty() {
            return Err(Refusal::UnknownInstances(unknown_ids));
        }
        keys.extend(self.keys_of_groups(&order.groups)?);
        for key in keys {
            self.kill_job(step, key);
        }
        for &id in &order.instances {
            self.kill_instance(step, id, Reason::KilledByUser, true);
        }
        Ok(Reply::Killed)
    }

    /// Kills a job; completed and archived jobs are left alone.
    fn kill_job(&mut self, step: &mut Step, key: JobKey) {
        let Some(job) = self.table.job(key) else {
            return;
        };
        if job.is_completed() {
            return;
        }
        let mut job = Job::clone(job);
        let live = job.live().map(|instance| instance.id);
        job.status = JobStatus::Completed {
            at: step.now,
            verdict: Verdict::Killed,
        };
        self.put(step, job);
        if let Some(id) = live {
            self.kill_instance(step, id, Reason::KilledByUser, false);
        }
    }

    /// Records that an instance has to end, and kills it. Does nothing if it has ended.
    pub(super) fn kill_instance(
        &mut self,
        step: &mut Step,
        id: crate::core::words::InstanceId,
        reason: Reason,
        is_cancelled: bool,
    ) {
        let Some(live) = self.table.lives.get(id) else {
            return;
        };
        let Some(job) = self.table.job(live.key) else {
            return;
        };
        let Some(instance) = job.live() else { return };
        let agent = instance.place.agent.clone();
        if instance.kill.is_none() || (is_cancelled && !instance.is_cancelled) {
            let mut instance = instance.as_ref().clone();
            instance.kill = instance.kill.or(Some(reason));
            instance.is_cancelled |= is_cancelled;
            let job = job.with_newest(instance);
            self.put(step, job);
        }
        let now = step.now.steady;
        self.table.lives.edit(id, |live| {
            live.kill = live
                .kill
                .or(Some(Repeat::starting(now, super::tick::KILL_AGAIN)));
        });
        step.call(Call::Kill {
            instance: id,
            agent: Some(agent),
        });
    }

    // --- retry ---

    fn retry(&mut self, step: &mut Step, order: &RetryOrder) -> Result<Reply, Refusal> {
        let mut keys = self.keys_of_jobs(&order.jobs)?;
        keys.extend(self.keys_of_groups(&order.groups)?);
        let mut seen = BTreeSet::new();
        keys.retain(|&key| seen.insert(key));
        let mut changes = Vec::new();
        let mut unchanged = Vec::new();
        for job in keys.iter().filter_map(|&key| self.table.job(key)) {
            let failed = match job.status {
                JobStatus::Waiting | JobStatus::Running => false,
                JobStatus::Completed { verdict, .. } => verdict != Verdict::Success,
            };
            match order.which {
                RetryWhich::Failed if !failed => continue,
                RetryWhich::Failed | RetryWhich::All => (),
            }
            match self.retried(job, order)? {
                Some(job) => changes.push(job),
                None => unchanged.push(job.id),
            }
        }
        if !unchanged.is_empty() {
            return Err(Refusal::WillNotRetry(unchanged));
        }
        let Some(last) = changes.last() else {
            return Ok(Reply::NothingToRetry);
        };
        let total = last.max_retries;
        for job in changes {
            self.put(step, job);
        }
        self.offer_demand.has_new_work = true;
        Ok(Reply::Retried(total))
    }

    /// The job after the change; `None` if the request would change nothing.
    fn retried(&self, job: &Job, order: &RetryOrder) -> Result<Option<Job>, Refusal> {
        let total = match order.change {
            RetryChange::Total(total) => total.get(),
            RetryChange::Increment(more) => job.max_retries.get().saturating_add(more.get()),
        };
        let total = Retries::new(total)
            .filter(|&total| total <= order.limit)
            .ok_or(Refusal::RetriesAboveLimit(order.limit))?;
        let used = job.tally(self.settings.free_failures).used;
        let is_completed = job.is_completed();
        if is_completed && total.get() <= used || !is_completed && total == job.max_retries {
            return Ok(None);
        }
        if total.get() < used {
            return Err(Refusal::RetriesBelowUsed { used });
        }
        let mut job = job.clone();
        job.max_retries = total;
        if is_completed {
            job.status = JobStatus::Waiting;
        }
        Ok(Some(job))
    }

    /// The jobs of this request that have to be loaded first.
    fn archived_of(&self, order: &RetryOrder) -> BTreeSet<JobKey> {
        let named = order.jobs.iter().filter_map(|&id| self.table.key(id));
        let groups = order.groups.iter().filter_map(|&id| self.table.group(id));
        let grouped = groups.flat_map(|group| group.jobs.iter().copied());
        named
            .chain(grouped)
            .filter(|&key| self.table.archived(key).is_some())
            .collect()
    }

    // --- lookups ---

    fn keys_of_jobs(&self, ids: &[JobId]) -> Result<Vec<JobKey>, Refusal> {
        let unknown: Vec<_> = ids
            .iter()
            .copied()
            .filter(|&id| self.table.key(id).is_none())
            .collect();
        if unknown.is_empty() {
            Ok(ids.iter().filter_map(|&id| self.table.key(id)).collect())
        } else {
            Err(Refusal::UnknownJobs(unknown))
        }
    }

    fn keys_of_groups(&self, ids: &[GroupId]) -> Result<Vec<JobKey>, Refusal> {
        let unknown: Vec<_> = ids
            .iter()
            .copied()
            .filter(|&id| self.table.group(id).is_none())
            .collect();
        if unknown.is_empty() {
            let groups = ids.iter().filter_map(|&id| self.table.group(id));
            Ok(groups
                .flat_map(|group| group.jobs.iter().copied())
                .collect())
        } else {
            Err(Refusal::UnknownGroups(unknown))
        }
    }
}

//! What must hold at every moment, as clients, the disk and the agent see it.

use std::collections::{BTreeMap, BTreeSet};

use cook_scheduler::core::backend::{Task as Launched, TaskState};
use cook_scheduler::core::job::{Instance, InstanceState, Job, JobStatus, Outcome};
use cook_scheduler::core::request::{ApiRequest, Refusal, Reply, Unavailable};
use cook_scheduler::core::words::{InstanceId, JobId};
use cook_scheduler::store::Image;

use crate::world::{Task, is_end};

/// What clients were promised so far.
#[derive(Clone, Hash, Default)]
pub struct Promises {
    /// Answered with 201.
    accepted: BTreeSet<JobId>,
    /// Submitted without an answer.
    unsure: BTreeSet<JobId>,
    /// Killed, and not retried since.
    killed: BTreeSet<JobId>,
    /// Retried by a client.
    retried: BTreeSet<JobId>,
    /// How often each job was submitted.
    submissions: BTreeMap<JobId, u8>,
}

fn find(image: &Image, id: JobId) -> Option<&std::sync::Arc<Job>> {
    image.jobs().find(|job| job.id == id)
}

impl Promises {
    pub fn requested(&mut self, request: &ApiRequest) {
        match request {
            ApiRequest::Retry(order) => {
                for job in &order.jobs {
                    self.retried.insert(*job);
                    self.killed.remove(job);
                }
            }
            ApiRequest::Submit(submission) => {
                for job in submission.jobs.iter().filter_map(|job| job.id) {
                    *self.submissions.entry(job).or_default() += 1;
                }
            }
            ApiRequest::Kill(_) => (),
        }
    }

    pub fn unanswered(&mut self, request: &ApiRequest) {
        if let ApiRequest::Submit(submission) = request {
            self.unsure
                .extend(submission.jobs.iter().filter_map(|job| job.id));
        }
    }

    pub fn replied(&mut self, request: &ApiRequest, reply: &Reply, image: &Image) {
        match (request, reply) {
            (ApiRequest::Submit(_), Reply::Submitted { jobs, .. }) => {
                for &job in jobs {
                    assert!(
                        find(image, job).is_some(),
                        "201 for {job}, which is not on disk"
                    );
                    self.accepted.insert(job);
                }
            }
            (ApiRequest::Submit(_), Reply::Refused(Refusal::JobsExist(jobs))) => {
                // A client that repeats a submission takes this answer for success.
                for &job in jobs {
                    assert!(
                        find(image, job).is_some(),
                        "409 for {job}, which is not on disk"
                    );
                    self.accepted.insert(job);
                }
            }
            (
                ApiRequest::Submit(_),
                Reply::Refused(Refusal::Unavailable(Unavailable::Undecided)),
            ) => {
                self.unanswered(request);
            }
            (ApiRequest::Submit(submission), Reply::Refused(_)) => {
                for job in submission.jobs.iter().filter_map(|job| job.id) {
                    let is_there = find(image, job).is_some();
                    // Another submission of the same job may be stored, or be on its way.
                    let is_only = self.submissions[&job] == 1 && !self.unsure.contains(&job);
                    assert!(!is_only || !is_there, "{job} was refused, and is on disk");
                }
            }
            (ApiRequest::Kill(order), Reply::Killed) => {
                for &id in &order.jobs {
                    let job = find(image, id).expect("a job that can be killed is on disk");
                    // A retry that was requested after the kill may be on disk too.
                    if !self.retried.contains(&id) {
                        assert!(
                            job.is_completed(),
                            "204 for {id}, but it is not completed on disk"
                        );
                        self.killed.insert(id);
                    }
                }
                for &id in &order.instances {
                    let job = image
                        .job_of(id)
                        .expect("an instance that can be killed is on disk");
                    let instance = job.instances.iter().find(|instance| instance.id == id);
                    let instance = instance.expect("it has it");
                    assert!(
                        instance.kill.is_some() || instance.is_ended(),
                        "204 for {id}"
                    );
                }
            }
            (ApiRequest::Kill(_), Reply::Refused(_)) | (ApiRequest::Retry(_), _) => (),
            (request, reply) => panic!("{request:?} was answered with {reply:?}"),
        }
    }

    /// States on disk only move forward.
    pub fn written(&self, before: &Image, after: &Image) {
        for old in before.jobs() {
            let new = after.job(old.key).expect("nothing is dropped so soon");
            if let JobStatus::Completed { .. } = old.status
                && old.status != new.status
            {
                assert!(
                    self.retried.contains(&old.id),
                    "{} was completed: {new:#?}",
                    old.id
                );
            }
            assert!(old.instances.len() <= new.instances.len());
            for (old, new) in old.instances.iter().zip(&new.instances) {
                assert!(rank(old) <= rank(new), "{old:?} became {new:?}");
                if old.is_ended() {
                    assert_eq!(old.state, new.state, "an end never changes");
                    assert!(old.report == new.report || old.report.exit_code.is_none());
                }
            }
        }
        let mut names = BTreeSet::new();
        for job in after.jobs() {
            assert!(names.insert(job.id), "{} exists twice", job.id);
            let live = job
                .instances
                .iter()
                .filter(|instance| !instance.is_ended())
                .count();
            assert!(live <= 1, "one instance at a time: {job:#?}");
        }
    }

    /// Called when the agent starts a task.
    pub fn launched(&self, task: &Launched, image: &Image, tasks: &BTreeMap<InstanceId, Task>) {
        let job = image
            .job_of(task.instance)
            .expect("what is started is on disk");
        assert_eq!(job.id, task.job.id);
        assert_eq!(job.instances.len() as u32, task.number + 1);
        let instance = job.live().expect("it has not ended");
        assert_eq!(instance.id, task.instance);
        assert!(
            !self.killed.contains(&job.id),
            "{} was killed, and starts again",
            job.id
        );
        let used = job.tally(5).used;
        assert!(
            used < job.max_retries.get(),
            "{used} attempts are used up: {job:#?}"
        );
        let overlaps =
            |other: &&Task| other.job == job.id && other.is_alive && !other.is_unreachable;
        assert_eq!(
            tasks.values().find(overlaps).map(|task| task.job),
            None,
            "two instances of one job at once"
        );
    }

    /// Called when an update is acknowledged.
    pub fn acknowledged(&self, id: InstanceId, state: TaskState, image: &Image) {
        let job = image.job_of(id).expect("only what is on disk was started");
        let instance = job
            .instances
            .iter()
            .find(|instance| instance.id == id)
            .expect("it has it");
        if is_end(state) {
            assert!(instance.is_ended(), "the end of {id} is not on disk");
            assert_eq!(
                instance.report.exit_code,
                Some(7),
                "its codes are not on disk"
            );
        } else {
            assert!(
                instance.state != InstanceState::Unknown,
                "{id} is not known to run on disk"
            );
        }
    }

    /// Called when nothing can happen any more: every promise must have been kept.
    pub fn settled(&self, image: &Image, tasks: &BTreeMap<InstanceId, Task>) {
        for &id in &self.accepted {
            let job = find(image, id).expect("an accepted job is never lost");
            assert!(job.is_completed(), "{id} never ends: {job:#?}");
            assert!(
                job.live().is_none(),
                "{id} has an instance that never ends: {job:#?}"
            );
        }
        for job in image.jobs() {
            assert!(job.is_completed(), "{} never ends: {job:#?}", job.id);
            let succeeded = |instance: &&std::sync::Arc<Instance>| {
                instance
                    .end()
                    .is_some_and(|end| end.outcome == Outcome::Success)
            };
            let successes = job.instances.iter().filter(succeeded).count();
            assert!(
                successes <= 1 || self.retried.contains(&job.id),
                "{} succeeded twice",
                job.id
            );
        }
        for (id, task) in tasks {
            assert!(!task.is_alive, "task {id} is never killed");
            assert!(
                task.updates.is_empty(),
                "task {id} waits for an acknowledgement for ever"
            );
        }
    }
}

/// The order of an instance's states.
fn rank(instance: &Instance) -> u8 {
    match instance.state {
        InstanceState::Unknown => 0,
        InstanceState::Running => 1,
        InstanceState::Ended(_) => 2,
    }
}

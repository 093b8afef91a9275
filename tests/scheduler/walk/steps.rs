//! The steps that can happen next.

use cook_scheduler::core::backend::TaskState;
use cook_scheduler::core::event::Event;
use cook_scheduler::core::job::{JobKey, JobSpec, Retries};
use cook_scheduler::core::request::{ApiRequest, KillOrder, RetryChange, RetryOrder, RetryWhich};
use cook_scheduler::core::words::{InstanceId, JobId};

use crate::jobs::{job_id, submit};
use crate::world::{Task, World};

/// A step that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Submit(usize),
    Kill(usize),
    KillInstance(InstanceId),
    Retry(usize),
    Write(usize),
    ReportStored,
    FailCommit {
        is_written: bool,
    },
    Reopen {
        works: bool,
    },
    Load(JobKey),
    Crash,
    Subscribe,
    Disconnect,
    Offer,
    Deliver(InstanceId),
    /// The agent sends an update again, because it was not acknowledged in time.
    Resend(InstanceId),
    Repeat(InstanceId),
    Answer,
    LoseAnswer,
    End(InstanceId, TaskState),
    LoseLaunch,
    Vanish(InstanceId),
    LoseSight(InstanceId),
    RegainSight(InstanceId),
    Tick,
}

/// A plan: the jobs to submit, and how often each fault may happen.
#[derive(Clone, Hash, Default)]
pub struct Plan {
    pub jobs: Vec<JobSpec>,
    pub users: Vec<&'static str>,
    pub submitted: Vec<bool>,
    pub resubmissions: u8,
    pub kills: u8,
    pub instance_kills: u8,
    pub retries: u8,
    pub crashes: u8,
    pub failures: u8,
    pub disconnects: u8,
    pub repeats: u8,
    pub lost_answers: u8,
    pub lost_launches: u8,
    pub vanishings: u8,
    pub lost_sights: u8,
    /// The number of tasks that fail.
    pub bad_ends: u8,
}

/// Longer than any repetition and shorter than any retention.
const HOUR: u64 = 60 * 60 * 1000;

impl Plan {
    pub fn new(jobs: Vec<JobSpec>) -> Self {
        let count = jobs.len();
        Self {
            users: vec!["alice"; count],
            submitted: vec![false; count],
            jobs,
            ..Self::default()
        }
    }

    /// All steps that can happen now.
    pub fn steps(&self, world: &World) -> Vec<Step> {
        let mut steps = self.due(world);
        let is_quiet = steps.is_empty();
        self.misfortunes(world, &mut steps);
        if is_quiet {
            let waits = |(&id, task): (&InstanceId, &Task)| {
                (!task.updates.is_empty()).then_some(Step::Resend(id))
            };
            steps.extend(world.master.tasks.iter().filter_map(waits));
            if deadline(world).is_some() {
                steps.push(Step::Tick);
            }
        }
        steps
    }

    /// Steps that must happen at some time.
    fn due(&self, world: &World) -> Vec<Step> {
        let mut steps = Vec::new();
        let (disk, master) = (&world.disk, &world.master);
        for (index, submitted) in self.submitted.iter().enumerate() {
            if !submitted {
                steps.push(Step::Submit(index));
            }
        }
        if disk.unreported.is_some() {
            steps.push(Step::ReportStored);
        } else if !disk.flying.is_empty() {
            steps.push(Step::Write(1));
            if disk.flying.len() > 1 {
                steps.push(Step::Write(disk.flying.len()));
            }
        }
        if disk.reopening {
            steps.push(Step::Reopen { works: true });
        }
        steps.extend(disk.loads.iter().copied().map(Step::Load));
        if !master.is_subscribed {
            steps.push(Step::Subscribe);
            return steps;
        }
        if !master.answers.is_empty() {
            steps.push(Step::Answer);
        }
        let has_room = master.free().cpus.thousandths() > 0;
        if master.wants && !master.is_declined && master.offers.is_empty() && has_room {
            steps.push(Step::Offer);
        }
        for (&id, task) in &master.tasks {
            if task.is_unreachable {
                steps.push(Step::RegainSight(id));
                continue;
            }
            if !task.updates.is_empty() && !task.is_sent {
                steps.push(Step::Deliver(id));
            }
            if task.is_alive {
                let state = if task.is_wanted_dead {
                    TaskState::Killed
                } else {
                    TaskState::Finished
                };
                steps.push(Step::End(id, state));
            }
        }
        steps
    }

    /// Faults that may happen.
    fn misfortunes(&self, world: &World, steps: &mut Vec<Step>) {
        let (disk, master) = (&world.disk, &world.master);
        for (index, &submitted) in self.submitted.iter().enumerate() {
            if submitted {
                let wanted = [
                    (self.resubmissions, Step::Submit(index)),
                    (self.kills, Step::Kill(index)),
                    (self.retries, Step::Retry(index)),
                ];
                steps.extend(
                    wanted
                        .into_iter()
                        .filter(|(left, _)| *left > 0)
                        .map(|(_, step)| step),
                );
            }
        }
        if self.crashes > 0 {
            steps.push(Step::Crash);
        }
        if self.failures > 0 && !disk.flying.is_empty() && disk.unreported.is_none() {
            steps.push(Step::FailCommit { is_written: false });
            steps.push(Step::FailCommit { is_written: true });
        }
        if self.failures > 0 && disk.reopening {
            steps.push(Step::Reopen { works: false });
        }
        if !master.is_subscribed {
            return;
        }
        if self.disconnects > 0 {
            steps.push(Step::Disconnect);
        }
        if self.lost_answers > 0 && !master.answers.is_empty() {
            steps.push(Step::LoseAnswer);
        }
        if self.lost_launches > 0 && !master.offers.is_empty() && !master.loses_launch {
            steps.push(Step::LoseLaunch);
        }
        for (&id, task) in &master.tasks {
            if self.repeats > 0 && task.is_sent && !task.updates.is_empty() {
                steps.push(Step::Repeat(id));
            }
            if !task.is_alive {
                continue;
            }
            if self.instance_kills > 0 {
                steps.push(Step::KillInstance(id));
            }
            if self.bad_ends > 0 && !task.is_unreachable {
                steps.push(Step::End(id, TaskState::Failed));
            }
            if self.vanishings > 0 {
                steps.push(Step::Vanish(id));
            }
            if self.lost_sights > 0 && !task.is_unreachable {
                steps.push(Step::LoseSight(id));
            }
        }
    }

    /// Makes a step happen.
    pub fn take(&mut self, world: &mut World, step: Step) {
        match step {
            Step::Submit(index) => {
                if std::mem::replace(&mut self.submitted[index], true) {
                    self.resubmissions -= 1;
                }
                let job = (id(index), self.jobs[index].clone());
                world.request(submit(self.users[index], vec![job]));
            }
            Step::Kill(index) => {
                self.kills -= 1;
                let order = KillOrder {
                    jobs: vec![id(index)],
                    ..KillOrder::default()
                };
                world.request(ApiRequest::Kill(order));
            }
            Step::KillInstance(instance) => {
                self.instance_kills -= 1;
                let order = KillOrder {
                    instances: vec![instance],
                    ..KillOrder::default()
                };
                world.request(ApiRequest::Kill(order));
            }
            Step::Retry(index) => {
                self.retries -= 1;
                world.request(ApiRequest::Retry(RetryOrder {
                    jobs: vec![id(index)],
                    groups: Vec::new(),
                    which: RetryWhich::All,
                    change: RetryChange::Increment(Retries::ONE),
                    limit: Retries::new(20).expect("a limit"),
                }));
            }
            Step::Write(count) => world.write(count),
            Step::ReportStored => world.report_stored(),
            Step::FailCommit { is_written } => {
                self.failures -= 1;
                world.fail_commit(is_written);
            }
            Step::Reopen { works } => {
                self.failures -= u8::from(!works);
                world.reopen(works);
            }
            Step::Load(key) => world.load(key),
            Step::Crash => {
                self.crashes -= 1;
                world.crash();
            }
            Step::Subscribe => world.subscribe(),
            Step::Disconnect => {
                self.disconnects -= 1;
                world.disconnect();
            }
            Step::Offer => world.offer(),
            Step::Deliver(id) | Step::Resend(id) => world.deliver(id),
            Step::Repeat(id) => {
                self.repeats -= 1;
                world.deliver(id);
            }
            Step::Answer => world.give_answer(),
            Step::LoseAnswer => {
                self.lost_answers -= 1;
                world.master.answers.pop_front();
            }
            Step::End(id, state) => {
                self.bad_ends -= u8::from(state == TaskState::Failed);
                world.end(id, state);
            }
            Step::LoseLaunch => {
                self.lost_launches -= 1;
                world.master.loses_launch = true;
            }
            Step::Vanish(id) => {
                self.vanishings -= 1;
                world.vanish(id);
            }
            Step::LoseSight(id) => {
                self.lost_sights -= 1;
                world.lose_sight(id);
            }
            Step::RegainSight(id) => world.regain_sight(id),
            Step::Tick => {
                let at = deadline(world).expect("a tick has a deadline");
                world.now.steady = world.now.steady.max(at);
                world.event(Event::Tick);
            }
        }
    }
}

/// The next deadline while a job is unfinished, unless it is one of retention.
fn deadline(world: &World) -> Option<cook_scheduler::core::words::Steady> {
    let at = world.core.next_deadline()?;
    let view = world.core.view();
    if view.live() == 0 && view.waiting() == 0 && !world.disk.has_failed {
        return None;
    }
    (at.0 < world.now.steady.0 + HOUR).then_some(at)
}

fn id(index: usize) -> JobId {
    job_id(index as u64)
}

//! What readers see: only what is on disk.
//!
//! A [`View`] answers from memory. Of a completed job it has only an entry of an index ([`Archived`]);
//! to show more of the job, the caller loads it from the store.

use std::sync::Arc;

use super::Scheduler;
use super::disk::Disk;
use super::offers::holds;
pub use super::table::{Archived, Found};
use crate::core::backend::FrameworkId;
use crate::core::effect::StoredGroup;
use crate::core::event::{DiskSpace, StoreFault};
use crate::core::job::{Job, JobKey, JobStatus, Outcome, Reason, Verdict};
use crate::core::words::{Demand, GroupId, InstanceId, JobId, JobName, Moment, UserName, Wall};

/// A read-only view of the scheduler.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(&'a Scheduler);

/// The state of a job, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// `waiting`
    Waiting,
    /// `running`
    Running,
    /// `success`
    Success,
    /// `failed`
    Failed,
}

/// Selects jobs of a user.
#[derive(Clone, Debug)]
pub struct Query<'q> {
    /// The user.
    pub user: &'q UserName,
    /// Jobs in one of these states.
    pub states: &'q [State],
    /// Jobs submitted at this time or later.
    pub start: Wall,
    /// Jobs submitted before this time.
    pub end: Wall,
    /// Jobs whose name matches; `*` matches any text.
    pub name: Option<&'q str>,
    /// Maximum number of jobs.
    pub limit: usize,
}

/// A group and its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub stored: Arc<StoredGroup>,
    /// Its jobs, in the order of submission.
    pub jobs: Vec<JobId>,
    /// The number of waiting jobs.
    pub waiting: usize,
    /// The number of running jobs.
    pub running: usize,
    /// The number of completed jobs.
    pub completed: usize,
}

/// The resources that a user's running jobs use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Cpus, memory and ports.
    pub demand: Demand,
    /// The jobs.
    pub jobs: Vec<Arc<Job>>,
}

/// Why a job is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyWaiting {
    /// It is running.
    Runs,
    /// It is completed: successful or killed.
    Completed,
    /// It is completed: all its attempts are used.
    Exhausted,
    /// An earlier instance has not ended yet; the text, if any, says why.
    EarlierInstance(InstanceId, Option<Box<str>>),
    /// This number of jobs of the same user come first.
    Ahead(usize),
    /// No known host has enough free resources.
    NoPlace {
        /// The number of hosts with too few cpus.
        cpus: usize,
        /// The number of hosts with too little memory.
        mem: usize,
        /// The number of hosts with too few ports.
        ports: usize,
        /// The number of hosts that do not meet the constraints.
        constraints: usize,
        /// The number of all known hosts.
        hosts: usize,
    },
    /// The backend is not connected.
    NoBackend,
    /// The scheduler will exit soon.
    Draining,
    /// The disk is full.
    DiskFull,
    /// The store has failed.
    StoreFailed,
    /// None of these: it will start soon.
    Soon,
}

/// Counters since the program started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Figures {
    /// Jobs accepted.
    pub submitted: u64,
    /// Instances started.
    pub started: u64,
    /// Instances that succeeded.
    pub succeeded: u64,
    /// Instances that failed, by reason.
    pub failed: std::collections::BTreeMap<Reason, u64>,
    /// Batches on disk.
    pub batches: u64,
    /// Number of first starts by the time since submission, in the buckets of [`WAITS`].
    pub waits: [u64; WAITS.len() + 1],
    /// The sum of these times in milliseconds.
    pub waited: u64,
}

/// The upper bounds of [`Figures::waits`] in milliseconds; the last bucket has none.
pub const WAITS: [u64; 8] = [10, 30, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000];

impl Figures {
    pub(super) fn started(&mut self, job: &Job, number: u32, now: Moment) {
        self.started += 1;
        if number == 0 {
            let waited = now.steady.since(job.submitted.steady).as_millis();
            let waited = u64::try_from(waited).unwrap_or(u64::MAX);
            let bucket = WAITS.iter().take_while(|&&bound| waited > bound).count();
            self.waits[bucket] += 1;
            self.waited = self.waited.saturating_add(waited);
        }
    }

    pub(super) fn ended(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.succeeded += 1,
            Outcome::Failed(reason) => *self.failed.entry(reason).or_default() += 1,
        }
    }
}

impl Scheduler {
    /// A read-only view.
    pub fn view(&self) -> View<'_> {
        View(self)
    }
}

impl Found {
    /// Its number.
    pub fn key(&self) -> JobKey {
        match self {
            Self::Job(job) => job.key,
            Self::Archived(archived) => archived.key,
        }
    }

    /// Its UUID.
    pub fn id(&self) -> JobId {
        match self {
            Self::Job(job) => job.id,
            Self::Archived(archived) => archived.id,
        }
    }

    /// Its owner.
    pub fn user(&self) -> &UserName {
        match self {
            Self::Job(job) => &job.user,
            Self::Archived(archived) => &archived.user,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &JobName {
        match self {
            Self::Job(job) => &job.spec.name,
            Self::Archived(archived) => &archived.name,
        }
    }

    /// When it was accepted.
    pub fn submitted(&self) -> Moment {
        match self {
            Self::Job(job) => job.submitted,
            Self::Archived(archived) => archived.submitted,
        }
    }

    /// Its state.
    pub fn state(&self) -> State {
        match self {
            Self::Job(job) => State::of(job.status),
            Self::Archived(archived) => State::of_verdict(archived.verdict),
        }
    }
}

impl State {
    /// The state of a job.
    pub fn of(status: JobStatus) -> Self {
        match status {
            JobStatus::Waiting => Self::Waiting,
            JobStatus::Running => Self::Running,
            JobStatus::Completed { verdict, .. } => Self::of_verdict(verdict),
        }
    }

    fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Success => Self::Success,
            Verdict::Failed | Verdict::Killed => Self::Failed,
        }
    }
}

impl<'a> View<'a> {
    /// The job with this UUID.
    pub fn job(&self, id: JobId) -> Option<Found> {
        self.0.table.find(self.0.table.key(id)?)
    }

    /// The job of an instance.
    pub fn job_of(&self, id: InstanceId) -> Option<Found> {
        let found = self.0.table.find(self.0.table.key_of_instance(id)?)?;
        let has_it = match &found {
            Found::Job(job) => job.instances.iter().any(|instance| instance.id == id),
            Found::Archived(archived) => archived.instances.contains(&id),
        };
        has_it.then_some(found)
    }

    /// The jobs that a query selects, the newest first.
    pub fn list(&self, query: &Query<'_>) -> Vec<Found> {
        let wanted = |found: &Found| {
            let submitted = found.submitted().wall;
            (query.start..query.end).contains(&submitted)
                && query.states.contains(&found.state())
                && query
                    .name
                    .is_none_or(|pattern| matches(pattern, found.name().as_str()))
        };
        let keys = self.0.table.of_user(query.user).rev();
        keys.filter_map(|key| self.0.table.find(key))
            .filter(wanted)
            .take(query.limit)
            .collect()
    }

    /// A group.
    pub fn group(&self, id: GroupId) -> Option<GroupView> {
        let entry = self.0.table.group(id).filter(|entry| entry.is_on_disk)?;
        let mut view = GroupView {
            stored: Arc::clone(&entry.stored),
            jobs: Vec::new(),
            waiting: 0,
            running: 0,
            completed: 0,
        };
        for found in entry.jobs.iter().filter_map(|&key| self.0.table.find(key)) {
            view.jobs.push(found.id());
            match found.state() {
                State::Waiting => view.waiting += 1,
                State::Running => view.running += 1,
                State::Success | State::Failed => view.completed += 1,
            }
        }
        Some(view)
    }

    /// Jobs with an unfinished instance, of one user or of all.
    pub fn running(&self, user: Option<&UserName>) -> Vec<Arc<Job>> {
        let keys = self.0.table.lives.iter().map(|(_, live)| live.key);
        keys.filter_map(|key| match self.0.table.find(key)? {
            Found::Job(job) => Some(job),
            Found::Archived(_) => None,
        })
        .filter(|job| job.live().is_some() && user.is_none_or(|user| job.user == *user))
        .collect()
    }

    /// The resources that a user's running jobs use.
    pub fn usage(&self, user: &UserName) -> Usage {
        let jobs = self.running(Some(user));
        let demand = jobs
            .iter()
            .fold(Demand::default(), |sum, job| sum.plus(&job.spec.demand));
        Usage { demand, jobs }
    }

    /// All users that have jobs.
    pub fn users(&self) -> impl Iterator<Item = &'a UserName> {
        self.0.table.users()
    }

    /// Why a job is not started.
    pub fn why_waiting(&self, found: &Found) -> Vec<WhyWaiting> {
        let job = match found {
            Found::Job(job) => job,
            Found::Archived(archived) => return vec![completed(archived.verdict)],
        };
        match (job.status, job.live()) {
            (JobStatus::Completed { verdict, .. }, _) => vec![completed(verdict)],
            (JobStatus::Running, Some(instance)) => match self.stuck(instance.id) {
                Some(text) => vec![
                    WhyWaiting::Runs,
                    WhyWaiting::EarlierInstance(instance.id, Some(text)),
                ],
                None => vec![WhyWaiting::Runs],
            },
            (JobStatus::Running, None) => vec![WhyWaiting::Runs],
            (JobStatus::Waiting, Some(instance)) => {
                vec![WhyWaiting::EarlierInstance(
                    instance.id,
                    self.stuck(instance.id),
                )]
            }
            (JobStatus::Waiting, None) => self.why_not_started(job),
        }
    }

    fn why_not_started(&self, job: &Job) -> Vec<WhyWaiting> {
        let mut reasons = Vec::new();
        match (&self.0.disk, self.0.disk_space) {
            (Disk::Failed(failed), _) => reasons.push(match failed.fault {
                StoreFault::DiskFull => WhyWaiting::DiskFull,
                StoreFault::Failed => WhyWaiting::StoreFailed,
            }),
            (Disk::Works, DiskSpace::ReserveOnly) => reasons.push(WhyWaiting::DiskFull),
            (Disk::Works, DiskSpace::Ample) => (),
        }
        if !self.0.link.is_up() {
            reasons.push(WhyWaiting::NoBackend);
        }
        if self.0.is_draining {
            reasons.push(WhyWaiting::Draining);
        }
        let ahead = self.0.table.queue.ahead_of(job);
        if ahead > 0 {
            reasons.push(WhyWaiting::Ahead(ahead));
        }
        reasons.extend(self.no_place(job));
        if reasons.is_empty() {
            reasons.push(WhyWaiting::Soon);
        }
        reasons
    }

    /// Checks whether any known host has enough free resources, and counts what is missing.
    fn no_place(&self, job: &Job) -> Option<WhyWaiting> {
        let (mut cpus, mut mem, mut ports, mut constraints, mut hosts) = (0, 0, 0, 0, 0);
        let wanted = &job.spec.demand;
        for seen in self.0.free_resources.iter() {
            hosts += 1;
            let fits = holds(&job.spec.constraints, &seen.place, &seen.attributes);
            if fits && wanted.fits(&seen.resources) {
                return None;
            }
            cpus += usize::from(wanted.cpus > seen.resources.cpus);
            mem += usize::from(wanted.mem > seen.resources.mem);
            ports += usize::from(wanted.ports > seen.resources.ports);
            constraints += usize::from(!fits);
        }
        (hosts > 0).then_some(WhyWaiting::NoPlace {
            cpus,
            mem,
            ports,
            constraints,
            hosts,
        })
    }

    /// Why the end of this instance cannot be reported yet.
    pub fn stuck(&self, id: InstanceId) -> Option<Box<str>> {
        self.0.table.lives.get(id)?.stuck.clone()
    }

    /// How many attempts of this job are left (`retries_remaining`).
    pub fn retries_remaining(&self, job: &Job) -> u32 {
        job.retries_remaining(self.0.settings.free_failures)
    }

    /// The framework's id, once it is on disk.
    pub fn framework(&self) -> Option<&'a FrameworkId> {
        self.0.framework.stored.as_ref()
    }

    /// Whether the backend is connected.
    pub fn is_connected(&self) -> bool {
        self.0.link.is_up()
    }

    /// Whether all changes are on disk.
    pub fn is_settled(&self) -> bool {
        self.0.commits.is_idle()
    }

    /// Counters since the program started.
    pub fn figures(&self) -> &'a Figures {
        &self.0.figures
    }

    /// The number of jobs that could start.
    pub fn waiting(&self) -> usize {
        self.0.table.queue.len()
    }

    /// The number of unfinished instances.
    pub fn live(&self) -> usize {
        self.0.table.lives.len()
    }

    /// The number of completed jobs that are kept.
    pub fn completed(&self) -> usize {
        self.0.table.archived_count()
    }
}

fn completed(verdict: Verdict) -> WhyWaiting {
    match verdict {
        Verdict::Success | Verdict::Killed => WhyWaiting::Completed,
        Verdict::Failed => WhyWaiting::Exhausted,
    }
}

/// Whether `name` matches `pattern`, in which `*` matches any text. Linear in both for each `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, name) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*b*c", "aXbbYc"),
            ("a**", "a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("a", ""),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("*b", "abc"),
            ("ab", "abc"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

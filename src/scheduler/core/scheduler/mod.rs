//! The scheduler's state, and the function that turns an event into effects.
//!
//! # Record, then act
//!
//! A step decides on the newest state and changes it in memory at once. Its changes form one [`Batch`].
//! Every effect that others can see (replies, calls to the backend, log lines) is *held* by that batch
//! until the batch is on disk. A step that changes nothing may still depend on changes that are being
//! written, so its effects wait for the newest batch. Readers only see what is on disk.
//!
//! So nobody can tell a failed commit from a crash: nothing is visible before it is stored, and
//! everything that was visible is stored. After a failed commit the state in memory is reset to what is
//! on disk.
//!
//! | file | holds |
//! |---|---|
//! | `table` | jobs, groups, and the indexes over them |
//! | `queue` | the order in which waiting jobs start |
//! | `live` | unfinished instances and their deadlines |
//! | `commits` | batches being written, and the effects they hold |
//! | `requests` | submit, kill, retry |
//! | `updates` | updates and progress messages of instances |
//! | `offers` | matching jobs with offers; revive and suppress |
//! | `link` | subscription and reconciliation |
//! | `disk` | commits that succeed or fail; loading completed jobs |
//! | `tick` | deadlines and retention |
//! | `view` | what readers see |

mod commits;
mod disk;
mod link;
mod live;
mod offers;
mod queue;
mod requests;
mod table;
mod tick;
mod updates;
pub mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use commits::{Commits, Held, Written};
use disk::{Deferred, Disk};
use link::Link;
use offers::{FreeResources, OfferDemand};
pub use table::{Archived, Found};
use table::{Limits, Table};

use crate::core::backend::{BackendEvent, Call, FrameworkId};
use crate::core::effect::{Batch, BatchNumber, Change, Effect, LogLine, StoredGroup};
use crate::core::event::{DiskSpace, Event};
use crate::core::job::{Job, JobKey};
use crate::core::request::{Reply, RequestId};
use crate::core::settings::Settings;
use crate::core::words::{GroupId, IdSource, Moment, Steady};

/// The complete state of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scheduler {
    settings: Settings,
    ids: IdSource,
    next_key: JobKey,
    table: Table,
    commits: Commits,
    disk: Disk,
    disk_space: DiskSpace,
    /// Requests and updates that wait for completed jobs to be loaded.
    deferred: Vec<Deferred>,
    framework: Framework,
    link: Link,
    offer_demand: OfferDemand,
    free_resources: FreeResources,
    is_draining: bool,
    figures: view::Figures,
}

/// The framework's id: the newest one, and the one on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Framework {
    newest: Option<FrameworkId>,
    stored: Option<FrameworkId>,
}

/// The content of the store when the program starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The last batch that is on disk.
    pub last: BatchNumber,
    /// The framework's id.
    pub framework: Option<FrameworkId>,
    /// All groups.
    pub groups: Vec<StoredGroup>,
    /// Jobs that are not completed or have an unfinished instance.
    pub jobs: Vec<Job>,
    /// All other jobs.
    pub archived: Vec<Archived>,
    /// The highest number of any job so far.
    pub last_key: JobKey,
    /// The free space.
    pub disk_space: DiskSpace,
}

/// The result of a step while it is being computed.
struct Step {
    now: Moment,
    /// To be performed at once.
    effects: Vec<Effect>,
    /// To be performed when this step's changes are on disk.
    held: Vec<Held>,
    /// Changed jobs, with the version before the step.
    changed: BTreeMap<JobKey, Option<Arc<Job>>>,
    dropped: Vec<JobKey>,
    groups: Vec<Arc<StoredGroup>>,
    dropped_groups: Vec<GroupId>,
    framework: Option<Option<FrameworkId>>,
}

impl Step {
    fn new(now: Moment) -> Self {
        Self {
            now,
            effects: Vec::new(),
            held: Vec::new(),
            changed: BTreeMap::new(),
            dropped: Vec::new(),
            groups: Vec::new(),
            dropped_groups: Vec::new(),
            framework: None,
        }
    }

    /// Performs an effect at once. It must not depend on data that is not on disk.
    fn perform(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Performs an effect when all data that it depends on is on disk.
    fn hold(&mut self, effect: Effect) {
        self.held.push(Held::Effect(effect));
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        self.hold(Effect::Reply(request, reply));
    }

    fn call(&mut self, call: Call) {
        self.hold(Effect::Call(call));
    }

    fn log(&mut self, line: LogLine) {
        self.hold(Effect::Log(line));
    }
}

impl Scheduler {
    /// Continues with the content of the store. The backend is not connected yet.
    pub fn new(settings: Settings, start: Start) -> Self {
        let limits = Limits {
            max_runtime: settings.max_runtime,
            unreachable_timeout: settings.unreachable_timeout,
        };
        let mut table = Table::new(limits);
        for group in start.groups {
            table.load_group(Arc::new(group));
        }
        for archived in start.archived {
            table.load_archived(archived);
        }
        for job in start.jobs {
            table.load(job);
        }
        let figures = view::Figures::default();
        Self {
            ids: IdSource::new(settings.id_seed),
            settings,
            next_key: JobKey(start.last_key.0 + 1),
            table,
            commits: Commits::new(start.last),
            disk: Disk::Works,
            disk_space: start.disk_space,
            deferred: Vec::new(),
            framework: Framework {
                newest: start.framework.clone(),
                stored: start.framework,
            },
            link: Link::new(),
            offer_demand: OfferDemand::default(),
            free_resources: FreeResources::default(),
            is_draining: false,
            figures,
        }
    }

    /// Handles an event: changes the state and returns the effects to perform, in order.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut step = Step::new(now);
        match event {
            Event::Request(id, request) => self.request(&mut step, id, request),
            Event::Backend(event) => self.backend(&mut step, event),
            Event::Stored(last) => self.stored(&mut step, last),
            Event::StoreFailed(fault) => self.store_failed(&mut step, fault),
            Event::StoreReopened { last, disk_space } => {
                self.store_reopened(&mut step, last, disk_space)
            }
            Event::DiskSpaceChanged(disk_space) => self.disk_space_changed(disk_space),
            Event::Loaded(key, answer) => self.loaded(&mut step, key, answer),
            Event::Drain => self.is_draining = true,
            Event::Tick => self.tick(&mut step),
        }
        self.demand(&mut step);
        self.finish(step)
    }

    /// When to call [`Self::step`] with [`Event::Tick`], if no other event comes first.
    pub fn next_deadline(&self) -> Option<Steady> {
        self.deadlines()
    }

    fn backend(&mut self, step: &mut Step, event: BackendEvent) {
        match event {
            BackendEvent::Subscribed(framework) => self.subscribed(step, framework),
            BackendEvent::Disconnected => self.disconnected(),
            BackendEvent::Offered(offers) => self.offered(step, offers),
            // A launch that crosses the rescinding is answered with TASK_DROPPED.
            BackendEvent::Rescinded(_) => (),
            BackendEvent::Updated(update) => self.updated(step, *update),
            BackendEvent::Messaged(instance, message) => self.messaged(step, instance, message),
            BackendEvent::AgentLost(agent) => self.agent_lost(step, &agent),
            BackendEvent::FrameworkRemoved => self.framework_removed(step),
            BackendEvent::FrameworkTaken => self.framework_taken(step),
        }
    }

    /// Replaces a job by a new version, or adds it.
    fn put(&mut self, step: &mut Step, job: Job) {
        let before = self.table.job(job.key).cloned();
        step.changed.entry(job.key).or_insert(before);
        self.table.put(Arc::new(job), self.commits.next());
    }

    /// Makes a batch of the step's changes, and holds the effects that have to wait.
    fn finish(&mut self, step: Step) -> Vec<Effect> {
        let Step {
            now,
            mut effects,
            held,
            changed,
            dropped,
            groups,
            dropped_groups,
            framework,
        } = step;
        let mut written = Written {
            dropped,
            framework: framework.clone(),
            ..Written::default()
        };
        let mut changes: Vec<_> = framework.map(Change::Framework).into_iter().collect();
        for stored in groups {
            written.groups.push(stored.group.id);
            changes.push(Change::NewGroup(stored));
        }
        for (key, before) in changed {
            let Some(job) = self.table.job(key) else {
                continue;
            };
            written.jobs.push(Arc::clone(job));
            changes.push(match before {
                None => Change::NewJob(Arc::clone(job)),
                Some(before) => Change::Job {
                    job: Arc::clone(job),
                    instances: differing(&before, job),
                },
            });
        }
        changes.extend(written.dropped.iter().copied().map(Change::DropJob));
        changes.extend(dropped_groups.into_iter().map(Change::DropGroup));
        if !changes.is_empty() {
            let number = self.commits.next();
            effects.push(Effect::Store(Batch {
                number,
                moment: now,
                changes,
            }));
            self.commits.push(written, held);
        } else if let Some(held) = self.commits.hold(held) {
            effects.extend(held.into_iter().map(Held::effect));
        }
        effects
    }
}

/// The indexes of the instances that are new or have changed.
fn differing(before: &Job, after: &Job) -> Vec<usize> {
    let differs = |(index, instance): (usize, &Arc<_>)| {
        let same = before
            .instances
            .get(index)
            .is_some_and(|old| Arc::ptr_eq(old, instance));
        (!same).then_some(index)
    };
    after
        .instances
        .iter()
        .enumerate()
        .filter_map(differs)
        .collect()
}

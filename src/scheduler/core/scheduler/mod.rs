//! The scheduler as a whole: its state, and the one step from an event to effects.
//!
//! # Record, then act
//!
//! A step decides on the newest state and changes it at once; what it has changed becomes one
//! [`Batch`]. Everything that others can see of it (answers, calls of the backend, log
//! lines) is *held* with that batch until it is on disk. A step that changes nothing may still rest on changes
//! that are on their way; its effects wait for the last of them. Readers only see what is on disk.
//!
//! So a crash and a failed commit are the same to everybody else: what was not stored has never been
//! seen, and what has been seen is stored. After a failed commit the state goes back to what is on disk.
//!
//! | file | holds |
//! |---|---|
//! | `table` | jobs, groups, and the indexes over them |
//! | `queue` | who is next |
//! | `live` | running instances, and when to look after them |
//! | `commits` | what waits for which batch |
//! | `requests` | submit, kill, retry |
//! | `updates` | what the backend says of instances |
//! | `offers` | who starts where; revive and suppress |
//! | `link` | subscription and reconciliation |
//! | `disk` | stored, failed, opened again; loads |
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
use offers::{Demanding, Seen};
pub use table::{Archived, Found};
use table::{Limits, Table};

use crate::core::effect::{Batch, BatchNumber, Change, Effect, Note, StoredGroup};
use crate::core::event::{Event, Room};
use crate::core::face::{BackendEvent, Call, FrameworkId};
use crate::core::job::{Job, JobKey};
use crate::core::request::{Reply, RequestId};
use crate::core::settings::Settings;
use crate::core::words::{GroupId, IdSource, Moment, Steady};

/// The whole of the scheduler's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scheduler {
    settings: Settings,
    ids: IdSource,
    next_key: JobKey,
    table: Table,
    commits: Commits,
    disk: Disk,
    room: Room,
    /// Waits for completed jobs to be read.
    deferred: Vec<Deferred>,
    framework: Framework,
    link: Link,
    demanding: Demanding,
    seen: Seen,
    is_draining: bool,
    figures: view::Figures,
}

/// The framework's id, as it is and as the store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Framework {
    newest: Option<FrameworkId>,
    stored: Option<FrameworkId>,
}

/// What a start finds in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The last batch that is on disk.
    pub last: BatchNumber,
    /// The framework's id.
    pub framework: Option<FrameworkId>,
    /// All groups.
    pub groups: Vec<StoredGroup>,
    /// Jobs that are not completed, or have an instance that has not ended.
    pub jobs: Vec<Job>,
    /// The others.
    pub archived: Vec<Archived>,
    /// The highest number of any job.
    pub last_key: JobKey,
    /// How much room there is.
    pub room: Room,
}

/// What a step has come to so far.
struct Step {
    now: Moment,
    /// To be done at once.
    effects: Vec<Effect>,
    /// To be done when what this step changes is on disk.
    held: Vec<Held>,
    /// Jobs that have changed, as they were before.
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

    /// Does this at once: it rests on nothing.
    fn perform(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Does this when all that it rests on is on disk.
    fn hold(&mut self, effect: Effect) {
        self.held.push(Held::Effect(effect));
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        self.hold(Effect::Reply(request, reply));
    }

    fn call(&mut self, call: Call) {
        self.hold(Effect::Call(call));
    }

    fn note(&mut self, note: Note) {
        self.hold(Effect::Note(note));
    }
}

impl Scheduler {
    /// Goes on where the store ends. The backend is not subscribed yet.
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
            room: start.room,
            deferred: Vec::new(),
            framework: Framework {
                newest: start.framework.clone(),
                stored: start.framework,
            },
            link: Link::new(),
            demanding: Demanding::default(),
            seen: Seen::default(),
            is_draining: false,
            figures,
        }
    }

    /// Takes what happened, and says what to do about it, in order.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut step = Step::new(now);
        match event {
            Event::Request(id, request) => self.request(&mut step, id, request),
            Event::Backend(event) => self.backend(&mut step, event),
            Event::Stored(last) => self.stored(&mut step, last),
            Event::StoreFailed(fault) => self.store_failed(&mut step, fault),
            Event::StoreReopened { last, room } => self.store_reopened(&mut step, last, room),
            Event::RoomChanged(room) => self.room_changed(room),
            Event::Loaded(key, answer) => self.loaded(&mut step, key, answer),
            Event::Drain => self.is_draining = true,
            Event::Tick => self.tick(&mut step),
        }
        self.demand(&mut step);
        self.finish(step)
    }

    /// When to step again at the latest, with [`Event::Tick`].
    pub fn next_deadline(&self) -> Option<Steady> {
        self.deadlines()
    }

    fn backend(&mut self, step: &mut Step, event: BackendEvent) {
        match event {
            BackendEvent::Subscribed(framework) => self.subscribed(step, framework),
            BackendEvent::Disconnected => self.disconnected(),
            BackendEvent::Offered(offers) => self.offered(step, offers),
            // A launch that is on its way with it comes back as dropped.
            BackendEvent::Rescinded(_) => (),
            BackendEvent::Updated(update) => self.updated(step, *update),
            BackendEvent::Messaged(instance, note) => self.messaged(step, instance, note),
            BackendEvent::AgentLost(agent) => self.agent_lost(step, &agent),
            BackendEvent::FrameworkRemoved => self.framework_removed(step),
            BackendEvent::FrameworkTaken => self.framework_taken(step),
        }
    }

    /// Puts a new version of a job in place.
    fn put(&mut self, step: &mut Step, job: Job) {
        let before = self.table.job(job.key).cloned();
        step.changed.entry(job.key).or_insert(before);
        self.table.put(Arc::new(job), self.commits.next());
    }

    /// Makes a batch of what the step has changed, and sends on what it holds.
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

/// Which instances are new, or not the same any more.
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

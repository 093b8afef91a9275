//! Who starts where; and telling the backend whether offers are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::commits::Held;
use super::disk::Disk;
use super::queue::{Choice, Fit, Shape};
use super::{Scheduler, Step};
use crate::core::effect::Effect;
use crate::core::event::Room;
use crate::core::face::{Call, Offer, Task};
use crate::core::job::{
    Agent, Constraint, Instance, InstanceState, Job, JobKey, JobStatus, Place, Report,
};
use crate::core::words::{Demand, InstanceId, Steady};

/// Whether offers are wanted, and what the backend knows of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Demanding {
    told: Told,
    /// Something waits that earlier offers were not looked at for.
    pub has_news: bool,
    told_at: Option<Steady>,
    wake_at: Option<Steady>,
}

/// What the backend was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Told {
    /// Nothing under this subscription.
    #[default]
    Nothing,
    /// That offers are wanted.
    Revived,
    /// That none are.
    Suppressed,
}

/// What was left on each agent when its last offer was answered, for whoever asks why a job waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen(BTreeMap<Agent, SeenAgent>);

/// What was left on an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SeenAgent {
    pub place: Arc<Place>,
    pub attributes: Vec<(Box<str>, Box<str>)>,
    pub room: Demand,
}

/// How long an offer is not wanted when nothing waits. A revive ends it.
const REFUSE_LONG: Duration = Duration::from_secs(60 * 60);

/// How long an offer is not wanted when nothing that waits fits into it.
const REFUSE_SHORT: Duration = Duration::from_secs(5);

/// How many tasks one offer takes: a message stays of a size that every master takes.
const TASKS_TOGETHER: usize = 1000;

/// A job that has waited so long, and would fit if nothing else ran there, gets the next room: smaller
/// jobs do not pass it any more.
const STARVING_AFTER: Duration = Duration::from_secs(10 * 60);

/// Revive and suppress get lost on the way to a master. If work waits and no offer has come for so long,
/// or offers come that are not wanted, they are repeated.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Agents whose last room is remembered.
const MOST_SEEN: usize = 10_000;

impl Demanding {
    /// A new subscription knows nothing.
    pub fn forget(&mut self) {
        self.told = Told::Nothing;
        self.told_at = None;
        self.wake_at = None;
    }

    /// When to look again.
    pub fn wake_at(&self) -> Option<Steady> {
        self.wake_at
    }

    fn tell(&mut self, told: Told, now: Steady) {
        self.told = told;
        self.told_at = Some(now);
    }
}

impl Seen {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn remove(&mut self, agent: &Agent) {
        self.0.remove(agent);
    }

    pub fn iter(&self) -> impl Iterator<Item = &SeenAgent> {
        self.0.values()
    }

    fn note(&mut self, offer: &Offer, room: Demand) {
        if self.0.len() >= MOST_SEEN && !self.0.contains_key(&offer.place.agent) {
            self.0.pop_first();
        }
        let seen = SeenAgent {
            place: Arc::clone(&offer.place),
            attributes: offer.attributes.clone(),
            room,
        };
        self.0.insert(offer.place.agent.clone(), seen);
    }
}

impl Scheduler {
    pub(super) fn offered(&mut self, step: &mut Step, offers: Vec<Offer>) {
        if let (Told::Revived, Some(wake_at)) = (self.demanding.told, &mut self.demanding.wake_at) {
            *wake_at = step.now.steady.plus(TELL_AGAIN);
        }
        for offer in offers {
            if self.can_launch() {
                self.use_offer(step, offer);
            } else {
                let room = with_ports(&offer);
                self.seen.note(&offer, room);
                decline(step, offer, REFUSE_SHORT);
            }
        }
        self.suppress_again(step);
    }

    /// Whether anything may be started now.
    pub(super) fn can_launch(&self) -> bool {
        self.disk == Disk::Works
            && self.room == Room::Ample
            && self.link.is_up()
            && !self.is_draining
    }

    fn use_offer(&mut self, step: &mut Step, mut offer: Offer) {
        let mut room = with_ports(&offer);
        let mut tasks = Vec::new();
        let mut exhausted = BTreeSet::new();
        while tasks.len() < TASKS_TOGETHER {
            let choice = self.table.queue.choose(&mut exhausted, |key, shape| {
                self.fit(key, shape, &offer, &room, step.now.steady)
            });
            let Choice::Job(key) = choice else { break };
            let Some(task) = self.start(step, key, &mut offer) else {
                break;
            };
            room = room.minus(&task.job.spec.demand);
            tasks.push(task);
        }
        self.seen.note(&offer, room);
        if tasks.is_empty() {
            let long = self.table.queue.len() == 0;
            return decline(step, offer, if long { REFUSE_LONG } else { REFUSE_SHORT });
        }
        let subscription = self.link.number();
        step.held.push(Held::Launch {
            subscription,
            offer: offer.id,
            tasks,
        });
    }

    fn fit(&self, key: JobKey, shape: &Shape, offer: &Offer, room: &Demand, now: Steady) -> Fit {
        if !holds(&shape.constraints, &offer.place, &offer.attributes) {
            return Fit::FitsNot;
        }
        if shape.demand.fits(room) {
            return Fit::Fits;
        }
        let would_fit = offer
            .capacity
            .is_some_and(|capacity| shape.demand.fits(&capacity));
        let waits_since = self.table.job(key).map(|job| job.submitted.steady);
        match would_fit && waits_since.is_some_and(|since| now.since(since) >= STARVING_AFTER) {
            true => Fit::Reserves,
            false => Fit::FitsNot,
        }
    }

    /// Records that a job starts there.
    fn start(&mut self, step: &mut Step, key: JobKey, offer: &mut Offer) -> Option<Task> {
        let mut job = Job::clone(self.table.job(key)?);
        let ports: Box<[u16]> = offer.ports.take(job.spec.demand.ports)?.into();
        let id = InstanceId(self.ids.issue());
        let number = u32::try_from(job.instances.len()).unwrap_or(u32::MAX);
        job.status = JobStatus::Running;
        job.instances.push(Arc::new(Instance {
            id,
            place: Arc::clone(&offer.place),
            ports: ports.clone(),
            created: step.now,
            began: None,
            state: InstanceState::Unknown,
            kill: None,
            is_cancelled: false,
            unreachable_since: None,
            report: Report::default(),
            sandbox: None,
        }));
        self.figures.started(&job, number, step.now);
        let user = job.user.clone();
        self.put(step, job);
        self.table.queue.served(&user);
        let job = Arc::clone(self.table.job(key)?);
        Some(Task {
            instance: id,
            job,
            number,
            ports,
        })
    }

    // --- revive and suppress ---

    /// Tells the backend whether offers are wanted, if it does not know. That rests on nothing: jobs that
    /// are not on disk yet may be matched, since their launch is stored after them.
    pub(super) fn demand(&mut self, step: &mut Step) {
        let now = step.now.steady;
        if self.table.queue.len() == 0 {
            self.demanding.has_news = false;
            self.demanding.wake_at = None;
            if self.link.is_up() && self.demanding.told != Told::Suppressed {
                self.demanding.tell(Told::Suppressed, now);
                step.perform(Effect::Call(Call::Suppress));
            }
            return;
        }
        if !self.can_launch() {
            self.demanding.wake_at = None;
            return;
        }
        let demanding = &mut self.demanding;
        let is_lossy = self.settings.reconcile_every.is_some();
        let is_known = demanding.told == Told::Revived && !demanding.has_news;
        if is_known && demanding.wake_at.is_none_or(|at| now < at) {
            return;
        }
        let every = self.settings.revive_every;
        let earliest = match (demanding.told, demanding.told_at) {
            (Told::Revived, Some(at)) => at.plus(every),
            (Told::Revived, None) | (Told::Nothing | Told::Suppressed, _) => now,
        };
        if now < earliest {
            demanding.wake_at = Some(earliest);
            return;
        }
        demanding.tell(Told::Revived, now);
        demanding.has_news = false;
        demanding.wake_at = is_lossy.then(|| now.plus(TELL_AGAIN));
        step.perform(Effect::Call(Call::Revive));
    }

    /// An offer although none is wanted: that got lost.
    fn suppress_again(&mut self, step: &mut Step) {
        let now = step.now.steady;
        let told_at = self.demanding.told_at;
        if self.demanding.told == Told::Suppressed
            && self.table.queue.len() == 0
            && told_at.is_none_or(|at| now.since(at) >= TELL_AGAIN)
        {
            self.demanding.tell(Told::Suppressed, now);
            step.perform(Effect::Call(Call::Suppress));
        }
    }
}

fn decline(step: &mut Step, offer: Offer, refuse_for: Duration) {
    step.perform(Effect::Call(Call::Decline {
        offer: offer.id,
        refuse_for,
    }));
}

fn with_ports(offer: &Offer) -> Demand {
    Demand {
        ports: offer.ports.count(),
        ..offer.room
    }
}

/// Whether all constraints hold there. `HOSTNAME` is the host's name, in either case.
pub(super) fn holds(
    constraints: &[Constraint],
    place: &Place,
    attributes: &[(Box<str>, Box<str>)],
) -> bool {
    constraints.iter().all(|constraint| {
        let (name, wanted) = (constraint.attribute.as_str(), constraint.value.as_str());
        if name.eq_ignore_ascii_case("HOSTNAME") {
            return *place.hostname == *wanted;
        }
        attributes
            .iter()
            .any(|(attribute, value)| **attribute == *name && **value == *wanted)
    })
}

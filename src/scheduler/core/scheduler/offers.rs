//! Matching waiting jobs with offers, and asking the backend for offers when they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::commits::Held;
use super::disk::Disk;
use super::queue::{Choice, Fit, Shape};
use super::{Scheduler, Step};
use crate::core::backend::{Call, Offer, Task};
use crate::core::effect::Effect;
use crate::core::event::DiskSpace;
use crate::core::job::{
    Agent, Constraint, Instance, InstanceState, Job, JobKey, JobStatus, Place, Report,
};
use crate::core::words::{Demand, InstanceId, Steady};

/// Whether offers are needed, and what the backend knows about that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct OfferDemand {
    announced: Announced,
    /// A job waits that was not considered for earlier offers.
    pub has_new_work: bool,
    announced_at: Option<Steady>,
    wake_at: Option<Steady>,
}

/// The last call, REVIVE or SUPPRESS, under this subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Announced {
    /// Neither was sent.
    #[default]
    Nothing,
    /// Offers are wanted.
    Revived,
    /// No offers are wanted.
    Suppressed,
}

/// The resources that were left on each agent after its last offer. They explain why a job waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FreeResources(BTreeMap<Agent, AgentResources>);

/// The resources that were left on an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AgentResources {
    pub place: Arc<Place>,
    pub attributes: Vec<(Box<str>, Box<str>)>,
    pub resources: Demand,
}

/// `refuse_for` when no job waits. A REVIVE ends it.
const REFUSE_LONG: Duration = Duration::from_secs(60 * 60);

/// `refuse_for` when no waiting job fits.
const REFUSE_SHORT: Duration = Duration::from_secs(5);

/// Maximum number of tasks in one launch, so that the message stays below any master's size limit.
const TASKS_TOGETHER: usize = 1000;

/// A job that has waited this long, and would fit on the agent if nothing else ran there, gets the next
/// free resources: smaller jobs do not overtake it any more.
const STARVING_AFTER: Duration = Duration::from_secs(10 * 60);

/// REVIVE and SUPPRESS can get lost on the way to a master. They are repeated if jobs wait and no offer
/// arrives for this long, or if unwanted offers arrive.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(60);

/// Maximum number of agents whose free resources are remembered.
const MOST_AGENTS: usize = 10_000;

impl OfferDemand {
    /// After a new subscription, the backend does not know what was sent before.
    pub fn forget(&mut self) {
        self.announced = Announced::Nothing;
        self.announced_at = None;
        self.wake_at = None;
    }

    /// When to check again whether to send REVIVE.
    pub fn wake_at(&self) -> Option<Steady> {
        self.wake_at
    }

    fn announce(&mut self, announced: Announced, now: Steady) {
        self.announced = announced;
        self.announced_at = Some(now);
    }
}

impl FreeResources {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn remove(&mut self, agent: &Agent) {
        self.0.remove(agent);
    }

    pub fn iter(&self) -> impl Iterator<Item = &AgentResources> {
        self.0.values()
    }

    fn record(&mut self, offer: &Offer, resources: Demand) {
        if self.0.len() >= MOST_AGENTS && !self.0.contains_key(&offer.place.agent) {
            self.0.pop_first();
        }
        let seen = AgentResources {
            place: Arc::clone(&offer.place),
            attributes: offer.attributes.clone(),
            resources,
        };
        self.0.insert(offer.place.agent.clone(), seen);
    }
}

impl Scheduler {
    pub(super) fn offered(&mut self, step: &mut Step, offers: Vec<Offer>) {
        if let (Announced::Revived, Some(wake_at)) =
            (self.offer_demand.announced, &mut self.offer_demand.wake_at)
        {
            *wake_at = step.now.steady.plus(ANNOUNCE_AGAIN);
        }
        for offer in offers {
            if self.can_launch() {
                self.use_offer(step, offer);
            } else {
                let resources = with_ports(&offer);
                self.free_resources.record(&offer, resources);
                decline(step, offer, REFUSE_SHORT);
            }
        }
        self.suppress_again(step);
    }

    /// Whether instances may be started now.
    pub(super) fn can_launch(&self) -> bool {
        self.disk == Disk::Works
            && self.disk_space == DiskSpace::Ample
            && self.link.is_up()
            && !self.is_draining
    }

    fn use_offer(&mut self, step: &mut Step, mut offer: Offer) {
        let mut resources = with_ports(&offer);
        let mut tasks = Vec::new();
        let mut exhausted = BTreeSet::new();
        let most = offer.most_tasks.unwrap_or(usize::MAX).min(TASKS_TOGETHER);
        while tasks.len() < most {
            let choice = self.table.queue.choose(&mut exhausted, |key, shape| {
                self.fit(key, shape, &offer, &resources, step.now.steady)
            });
            let Choice::Job(key) = choice else { break };
            let Some(task) = self.start(step, key, &mut offer) else {
                break;
            };
            resources = resources.minus(&task.job.spec.demand);
            tasks.push(task);
        }
        self.free_resources.record(&offer, resources);
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

    fn fit(
        &self,
        key: JobKey,
        shape: &Shape,
        offer: &Offer,
        resources: &Demand,
        now: Steady,
    ) -> Fit {
        if !holds(&shape.constraints, &offer.place, &offer.attributes) {
            return Fit::Not;
        }
        if shape.demand.fits(resources) {
            return Fit::Now;
        }
        let would_fit = offer
            .capacity
            .is_some_and(|capacity| shape.demand.fits(&capacity));
        let waits_since = self.table.job(key).map(|job| job.submitted.steady);
        match would_fit && waits_since.is_some_and(|since| now.since(since) >= STARVING_AFTER) {
            true => Fit::Reserves,
            false => Fit::Not,
        }
    }

    /// Records a new instance of a job on this offer.
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

    /// Sends REVIVE or SUPPRESS if the backend does not know the present need. This does not have to
    /// wait for the disk: launches are stored after their jobs in any case.
    pub(super) fn demand(&mut self, step: &mut Step) {
        let now = step.now.steady;
        if self.table.queue.len() == 0 {
            self.offer_demand.has_new_work = false;
            self.offer_demand.wake_at = None;
            if self.link.is_up() && self.offer_demand.announced != Announced::Suppressed {
                self.offer_demand.announce(Announced::Suppressed, now);
                step.perform(Effect::Call(Call::Suppress));
            }
            return;
        }
        if !self.can_launch() {
            self.offer_demand.wake_at = None;
            return;
        }
        let offer_demand = &mut self.offer_demand;
        let is_lossy = self.settings.reconcile_every.is_some();
        let is_known = offer_demand.announced == Announced::Revived && !offer_demand.has_new_work;
        if is_known && offer_demand.wake_at.is_none_or(|at| now < at) {
            return;
        }
        let every = self.settings.revive_every;
        let earliest = match (offer_demand.announced, offer_demand.announced_at) {
            (Announced::Revived, Some(at)) => at.plus(every),
            (Announced::Revived, None) | (Announced::Nothing | Announced::Suppressed, _) => now,
        };
        if now < earliest {
            offer_demand.wake_at = Some(earliest);
            return;
        }
        offer_demand.announce(Announced::Revived, now);
        offer_demand.has_new_work = false;
        offer_demand.wake_at = is_lossy.then(|| now.plus(ANNOUNCE_AGAIN));
        step.perform(Effect::Call(Call::Revive));
    }

    /// Repeats SUPPRESS if an unwanted offer arrives, because it seems to be lost.
    fn suppress_again(&mut self, step: &mut Step) {
        let now = step.now.steady;
        let announced_at = self.offer_demand.announced_at;
        if self.offer_demand.announced == Announced::Suppressed
            && self.table.queue.len() == 0
            && announced_at.is_none_or(|at| now.since(at) >= ANNOUNCE_AGAIN)
        {
            self.offer_demand.announce(Announced::Suppressed, now);
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
        ..offer.resources
    }
}

/// Whether all constraints hold there. `HOSTNAME` is compared with the host's name, ignoring case.
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

//! The environment of the core: a disk, a master with an agent, and clients.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use cook_scheduler::core::Scheduler;
use cook_scheduler::core::backend::{
    BackendEvent, Call, FrameworkId, Offer, OfferId, TaskState, Token, Update,
};
use cook_scheduler::core::effect::{Batch, BatchNumber, Effect};
use cook_scheduler::core::event::{DiskSpace, Event, LoadAnswer, StoreFault};
use cook_scheduler::core::job::{Agent, JobKey, Place, Reason, Report};
use cook_scheduler::core::request::{ApiRequest, RequestId};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::words::{Demand, InstanceId, JobId, Moment, Ports};
use cook_scheduler::store::Image;

use crate::jobs::{at, demand};
use crate::promises::Promises;

/// The environment of the core.
#[derive(Clone, Hash)]
pub struct World {
    pub core: Scheduler,
    pub settings: Settings,
    pub starts: u8,
    pub now: Moment,
    pub disk: Disk,
    pub master: Master,
    pub clients: Clients,
    pub promises: Promises,
}

/// The disk, with batches that are being written.
#[derive(Clone, Hash, Default)]
pub struct Disk {
    pub image: Image,
    /// Batches that are not written yet.
    pub flying: VecDeque<Batch>,
    /// Written, but not reported yet.
    pub unreported: Option<BatchNumber>,
    /// A commit has failed; batches are not accepted.
    pub has_failed: bool,
    /// The core has asked for the store to be opened again.
    pub reopening: bool,
    /// Jobs that the core has asked for.
    pub loads: BTreeSet<JobKey>,
}

/// A master and its agent.
#[derive(Clone, Hash, Default)]
pub struct Master {
    pub is_subscribed: bool,
    /// Whether offers are wanted.
    pub wants: bool,
    pub offers: BTreeSet<u64>,
    /// The offer was declined; no new one before a revive or the end of a task.
    pub is_declined: bool,
    pub next_offer: u64,
    pub tasks: BTreeMap<InstanceId, Task>,
    /// Answers to reconciliations, in order.
    pub answers: VecDeque<(InstanceId, TaskState)>,
    /// Whether the next launch gets lost.
    pub loses_launch: bool,
    pub capacity: Demand,
}

/// A task of the agent.
#[derive(Clone, Hash)]
pub struct Task {
    pub job: JobId,
    pub demand: Demand,
    pub is_alive: bool,
    pub is_wanted_dead: bool,
    /// The agent has forgotten the task.
    pub has_vanished: bool,
    /// The agent cannot be reached.
    pub is_unreachable: bool,
    /// Updates that are not acknowledged yet, with their numbers.
    pub updates: VecDeque<(u8, TaskState)>,
    pub issued: u8,
    /// Whether the first of them was sent.
    pub is_sent: bool,
}

/// Clients.
#[derive(Clone, Hash, Default)]
pub struct Clients {
    pub next: u64,
    /// Requests that are not answered yet.
    pub open: BTreeMap<RequestId, ApiRequest>,
}

impl World {
    pub fn new(settings: Settings, capacity: Demand) -> Self {
        let core = Scheduler::new(settings.clone(), Image::default().start());
        let master = Master {
            capacity,
            ..Master::default()
        };
        Self {
            core,
            settings,
            starts: 0,
            now: at(0),
            disk: Disk::default(),
            master,
            clients: Clients::default(),
            promises: Promises::default(),
        }
    }

    /// Passes an event to the core, and performs its effects here.
    pub fn event(&mut self, event: Event) {
        for effect in self.core.step(event, self.now) {
            self.effect(effect);
        }
    }

    pub fn request(&mut self, request: ApiRequest) {
        let id = RequestId(self.clients.next);
        self.clients.next += 1;
        self.promises.requested(&request);
        self.clients.open.insert(id, request.clone());
        self.event(Event::Request(id, request));
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Store(batch) => {
                // Such a batch could be written by the reopened store, although the core considers it
                // lost.
                assert!(
                    !self.disk.has_failed,
                    "nothing is stored while the store has failed"
                );
                self.disk.flying.push_back(batch);
            }
            Effect::ReopenStore => self.disk.reopening = true,
            Effect::Load(key) => {
                self.disk.loads.insert(key);
            }
            Effect::Reply(id, reply) => {
                let request = self
                    .clients
                    .open
                    .remove(&id)
                    .expect("one answer for each request");
                self.promises.replied(&request, &reply, &self.disk.image);
            }
            Effect::Call(call) => self.call(call),
            Effect::Leave(_) => panic!("nobody has taken the framework"),
            Effect::Log(_) => (),
        }
    }

    // --- the disk ---

    /// Writes `count` batches in one commit.
    pub fn write(&mut self, count: usize) {
        for batch in self.disk.flying.drain(..count) {
            let before = self.disk.image.clone();
            self.disk.image.apply(&batch);
            self.promises.written(&before, &self.disk.image);
            self.disk.unreported = Some(batch.number);
        }
    }

    pub fn report_stored(&mut self) {
        if let Some(last) = self.disk.unreported.take() {
            self.event(Event::Stored(last));
        }
    }

    pub fn fail_commit(&mut self, is_written: bool) {
        if is_written {
            self.write(1);
            self.disk.unreported = None;
        }
        self.disk.flying.clear();
        self.disk.has_failed = true;
        self.event(Event::StoreFailed(StoreFault::Failed));
    }

    pub fn reopen(&mut self, works: bool) {
        self.disk.reopening = false;
        if works {
            self.disk.has_failed = false;
            let last = self.disk.image.last();
            self.event(Event::StoreReopened {
                last,
                disk_space: DiskSpace::Ample,
            });
        } else {
            self.event(Event::StoreFailed(StoreFault::DiskFull));
        }
    }

    pub fn load(&mut self, key: JobKey) {
        self.disk.loads.remove(&key);
        let answer = match self.disk.image.job(key) {
            Some(job) => LoadAnswer::Found(Box::new(job.as_ref().clone())),
            None => LoadAnswer::Missing,
        };
        self.event(Event::Loaded(key, answer));
    }

    /// Kills the scheduler and starts it again; only the image survives.
    pub fn crash(&mut self) {
        let image = std::mem::take(&mut self.disk.image);
        self.disk = Disk {
            image,
            ..Disk::default()
        };
        self.starts += 1;
        self.settings.id_seed = [self.starts; 16];
        self.core = Scheduler::new(self.settings.clone(), self.disk.image.start());
        self.disconnect_master();
        for request in std::mem::take(&mut self.clients.open).into_values() {
            self.promises.unanswered(&request);
        }
    }

    // --- the master ---

    fn disconnect_master(&mut self) {
        self.master.is_subscribed = false;
        self.master.offers.clear();
        self.master.answers.clear();
        self.master.loses_launch = false;
    }

    pub fn disconnect(&mut self) {
        self.disconnect_master();
        self.event(Event::Backend(BackendEvent::Disconnected));
    }

    pub fn subscribe(&mut self) {
        let master = &mut self.master;
        master.is_subscribed = true;
        master.wants = true;
        master.is_declined = false;
        for task in master.tasks.values_mut() {
            task.is_sent = false;
        }
        let id = FrameworkId("framework".into());
        self.event(Event::Backend(BackendEvent::Subscribed(Some(id))));
    }

    pub fn offer(&mut self) {
        let id = self.master.next_offer;
        self.master.next_offer += 1;
        self.master.offers.insert(id);
        let resources = self.master.free();
        let offer = Offer {
            id: OfferId(id.to_string().into()),
            place: place(),
            resources,
            ports: Ports::default(),
            attributes: Vec::new(),
            capacity: Some(self.master.capacity),
            most_tasks: None,
        };
        self.event(Event::Backend(BackendEvent::Offered(vec![offer])));
    }

    fn call(&mut self, call: Call) {
        if !self.master.is_subscribed {
            return;
        }
        match call {
            Call::Launch { offer, tasks } => self.launch(&offer, tasks),
            Call::Decline { offer, .. } => {
                let known = self.master.offers.remove(&number(&offer));
                assert!(known, "declined twice, or launched and declined: {offer:?}");
                self.master.is_declined = true;
            }
            Call::Revive => {
                self.master.wants = true;
                self.master.is_declined = false;
            }
            Call::Suppress => self.master.wants = false,
            Call::Kill { instance, .. } | Call::Shutdown { instance, .. } => {
                match self
                    .master
                    .tasks
                    .get_mut(&instance)
                    .filter(|task| task.is_alive)
                {
                    Some(task) => task.is_wanted_dead = true,
                    None => self.master.answer(instance),
                }
            }
            Call::Acknowledge {
                instance, token, ..
            } => {
                let task = self.master.tasks.get_mut(&instance);
                let task = task.expect("only what was sent is acknowledged");
                // Acknowledging an update twice does no harm.
                if let Some(&(number, state)) = task.updates.front()
                    && *token.0 == [number]
                {
                    self.promises
                        .acknowledged(instance, state, &self.disk.image);
                    task.updates.pop_front();
                    task.is_sent = false;
                }
            }
            Call::Reconcile(ids) => {
                for (id, _) in ids {
                    self.master.answer(id);
                }
            }
            Call::ReconcileAll => {
                let ids: Vec<_> = self.master.tasks.keys().copied().collect();
                for id in ids {
                    self.master.answer(id);
                }
            }
            Call::SubscribeAnew => self.disconnect_master(),
            Call::Forget(_) => (),
        }
    }

    fn launch(&mut self, offer: &OfferId, tasks: Vec<cook_scheduler::core::backend::Task>) {
        assert!(
            self.master.offers.remove(&number(offer)),
            "on an offer that is valid: {offer:?}"
        );
        if std::mem::take(&mut self.master.loses_launch) {
            return;
        }
        for task in tasks {
            let free = self.master.free();
            assert!(
                task.job.spec.demand.fits(&free),
                "there are enough resources"
            );
            self.promises
                .launched(&task, &self.disk.image, &self.master.tasks);
            let real = Task {
                job: task.job.id,
                demand: task.job.spec.demand,
                is_alive: true,
                is_wanted_dead: false,
                has_vanished: false,
                is_unreachable: false,
                updates: VecDeque::from([(0, TaskState::Running)]),
                issued: 1,
                is_sent: false,
            };
            let twice = self.master.tasks.insert(task.instance, real);
            assert!(twice.is_none(), "no task is launched twice");
        }
    }

    /// Sends the oldest update of a task that is not acknowledged.
    pub fn deliver(&mut self, id: InstanceId) {
        let Some(task) = self.master.tasks.get_mut(&id) else {
            return;
        };
        let Some(&(number, state)) = task.updates.front() else {
            return;
        };
        task.is_sent = true;
        let report = is_end(state).then(|| Report {
            exit_code: Some(7),
            ..Report::default()
        });
        let update = Update {
            instance: id,
            agent: Some(place().agent.clone()),
            state,
            reason: None,
            token: Some(Token([number].into())),
            report,
        };
        self.event(Event::Backend(BackendEvent::Updated(Box::new(update))));
    }

    /// Sends the oldest answer to a reconciliation.
    pub fn give_answer(&mut self) {
        let Some((id, state)) = self.master.answers.pop_front() else {
            return;
        };
        let update = Update {
            instance: id,
            agent: Some(place().agent.clone()),
            state,
            reason: Some(Reason::Reconciliation),
            token: None,
            report: None,
        };
        self.event(Event::Backend(BackendEvent::Updated(Box::new(update))));
    }

    /// Ends a task.
    pub fn end(&mut self, id: InstanceId, state: TaskState) {
        let Some(task) = self.master.tasks.get_mut(&id) else {
            return;
        };
        task.is_alive = false;
        task.updates.push_back((task.issued, state));
        task.issued += 1;
        self.master.is_declined = false;
    }

    /// The agent is gone for good, with its task.
    pub fn vanish(&mut self, id: InstanceId) {
        let Some(task) = self.master.tasks.get_mut(&id) else {
            return;
        };
        task.is_alive = false;
        task.has_vanished = true;
        task.updates.clear();
        self.master.is_declined = false;
        let agent = Agent(place().agent.0.clone());
        self.event(Event::Backend(BackendEvent::AgentLost(agent)));
    }

    /// The agent cannot be reached for a while.
    pub fn lose_sight(&mut self, id: InstanceId) {
        let Some(task) = self.master.tasks.get_mut(&id) else {
            return;
        };
        task.is_unreachable = true;
        self.master.answers.push_back((id, TaskState::Unreachable));
    }

    /// The agent can be reached again.
    pub fn regain_sight(&mut self, id: InstanceId) {
        let Some(task) = self.master.tasks.get_mut(&id) else {
            return;
        };
        task.is_unreachable = false;
        task.is_sent = false;
        self.master.answer(id);
    }
}

impl Master {
    /// The free resources.
    pub fn free(&self) -> Demand {
        self.tasks
            .values()
            .filter(|task| task.is_alive)
            .fold(self.capacity, |free, task| free.minus(&task.demand))
    }

    fn answer(&mut self, id: InstanceId) {
        let state = match self.tasks.get(&id) {
            None => TaskState::Gone,
            Some(task) if task.has_vanished => TaskState::Gone,
            Some(task) if task.is_unreachable => TaskState::Unreachable,
            Some(task) if task.is_alive => TaskState::Running,
            Some(task) => match task.updates.back() {
                Some(&(_, state)) => state,
                // The master has forgotten the task, because its end was acknowledged.
                None => TaskState::Gone,
            },
        };
        self.answers.push_back((id, state));
    }
}

/// The place of the agent.
pub fn place() -> Arc<Place> {
    Arc::new(Place {
        agent: Agent("agent".into()),
        hostname: "host".into(),
        files_at: None,
    })
}

/// Resources for one job at a time.
pub fn one_slot() -> Demand {
    demand(1.0)
}

pub fn is_end(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Finished | TaskState::Failed | TaskState::Killed
    )
}

fn number(offer: &OfferId) -> u64 {
    offer.0.parse().expect("an offer of this master")
}

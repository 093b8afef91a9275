//! A scheduler whose batches are on disk at once, and whose calls are recorded.

use std::sync::Arc;
use std::time::Duration;

use cook_scheduler::core::Scheduler;
use cook_scheduler::core::backend::{
    BackendEvent, Call, InstanceMessage, Offer, OfferId, Task, TaskState, Token, Update,
};
use cook_scheduler::core::effect::{Effect, LogLine};
use cook_scheduler::core::event::{Event, LoadAnswer};
use cook_scheduler::core::job::{Agent, Job, JobSpec, Place, Reason, Report};
use cook_scheduler::core::request::{ApiRequest, KillOrder, Reply, RequestId};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::words::{Demand, InstanceId, JobId, Moment, PortRange, Ports};
use cook_scheduler::store::Image;

use crate::jobs::{at, demand, submit};

/// A scheduler with a recording backend and an ideal disk.
pub struct Harness {
    pub core: Scheduler,
    pub image: Image,
    pub now: Moment,
    pub calls: Vec<Call>,
    pub log: Vec<LogLine>,
    reply: Option<Reply>,
    settings: Settings,
    offers: u64,
    requests: u64,
    token: u64,
}

impl Harness {
    /// With the settings for the embedded agent.
    pub fn new() -> Self {
        Self::with(Settings::embedded([1; 16]))
    }

    /// With these settings, and subscribed.
    pub fn with(settings: Settings) -> Self {
        let image = Image::default();
        let core = Scheduler::new(settings.clone(), image.start());
        let mut harness = Self {
            core,
            image,
            now: at(0),
            calls: Vec::new(),
            log: Vec::new(),
            reply: None,
            settings,
            offers: 0,
            requests: 0,
            token: 0,
        };
        harness.subscribe();
        harness
    }

    /// Starts a new scheduler on the same store.
    pub fn restart(&mut self) {
        self.settings.id_seed[0] += 1;
        self.core = Scheduler::new(self.settings.clone(), self.image.start());
        self.calls.clear();
    }

    pub fn subscribe(&mut self) {
        self.backend(BackendEvent::Subscribed(None));
    }

    pub fn event(&mut self, event: Event) {
        for effect in self.core.step(event, self.now) {
            match effect {
                Effect::Store(batch) => {
                    self.image.apply(&batch);
                    self.event(Event::Stored(batch.number));
                }
                Effect::Load(key) => {
                    let answer = match self.image.job(key) {
                        Some(job) => LoadAnswer::Found(Box::new(job.as_ref().clone())),
                        None => LoadAnswer::Missing,
                    };
                    self.event(Event::Loaded(key, answer));
                }
                Effect::Call(call) => self.calls.push(call),
                Effect::Reply(_, reply) => self.reply = Some(reply),
                Effect::Log(line) => self.log.push(line),
                Effect::ReopenStore | Effect::Leave(_) => panic!("unexpected: {effect:?}"),
            }
        }
    }

    pub fn backend(&mut self, event: BackendEvent) {
        self.event(Event::Backend(event));
    }

    pub fn ask(&mut self, request: ApiRequest) -> Reply {
        self.requests += 1;
        self.event(Event::Request(RequestId(self.requests), request));
        self.reply.take().expect("every request is answered")
    }

    pub fn submit(&mut self, user: &str, id: JobId, spec: JobSpec) {
        let reply = self.ask(submit(user, vec![(id, spec)]));
        assert!(matches!(reply, Reply::Submitted { .. }), "{reply:?}");
    }

    pub fn kill(&mut self, id: JobId) {
        let order = KillOrder {
            jobs: vec![id],
            ..KillOrder::default()
        };
        assert_eq!(self.ask(ApiRequest::Kill(order)), Reply::Killed);
    }

    /// Offers cpus, and returns the tasks that are started on them.
    pub fn offer(&mut self, cpus: f64) -> Vec<Task> {
        let offer = self.an_offer(demand(cpus));
        self.take(offer)
    }

    pub fn take(&mut self, offer: Offer) -> Vec<Task> {
        self.calls.clear();
        let id = offer.id.clone();
        self.backend(BackendEvent::Offered(vec![offer]));
        let mut tasks = Vec::new();
        let mut is_answered = false;
        for call in &self.calls {
            match call {
                Call::Launch { offer, tasks: some } if *offer == id => {
                    tasks.extend(some.iter().cloned());
                    is_answered = true;
                }
                Call::Decline { offer, .. } if *offer == id => is_answered = true,
                _ => (),
            }
        }
        assert!(is_answered, "every offer is answered: {:?}", self.calls);
        tasks
    }

    pub fn an_offer(&mut self, resources: Demand) -> Offer {
        self.offers += 1;
        let place = Place {
            agent: Agent("agent".into()),
            hostname: "host.example".into(),
            files_at: None,
        };
        let ports = PortRange::new(31_000, 31_009).expect("a range");
        Offer {
            id: OfferId(self.offers.to_string().into()),
            place: Arc::new(place),
            resources,
            ports: Ports::new(vec![ports]),
            attributes: vec![("rack".into(), "r1".into())],
            capacity: None,
            most_tasks: None,
        }
    }

    /// Starts the next job, which has to fit.
    pub fn start(&mut self) -> InstanceId {
        let tasks = self.offer(1.0);
        assert_eq!(tasks.len(), 1);
        tasks[0].instance
    }

    pub fn update(&mut self, id: InstanceId, state: TaskState) {
        self.update_with(id, state, None, None);
    }

    pub fn fail(&mut self, id: InstanceId, reason: Reason) {
        self.update_with(id, TaskState::Failed, Some(reason), None);
    }

    pub fn update_with(
        &mut self,
        instance: InstanceId,
        state: TaskState,
        reason: Option<Reason>,
        report: Option<Report>,
    ) {
        self.token += 1;
        let token = Some(Token(self.token.to_be_bytes().into()));
        let agent = Some(Agent("agent".into()));
        let update = Update {
            instance,
            agent,
            state,
            reason,
            token,
            report,
        };
        self.calls.clear();
        self.backend(BackendEvent::Updated(Box::new(update)));
        let is_acknowledged = |call: &Call| match call {
            Call::Acknowledge { token, .. } => *token.0 == self.token.to_be_bytes(),
            _ => false,
        };
        assert!(
            self.calls.iter().any(is_acknowledged),
            "every update is acknowledged: {:?}",
            self.calls
        );
    }

    /// The answer to a reconciliation.
    pub fn answer(&mut self, instance: InstanceId, state: TaskState) {
        let reason = Some(Reason::Reconciliation);
        let update = Update {
            instance,
            agent: None,
            state,
            reason,
            token: None,
            report: None,
        };
        self.calls.clear();
        self.backend(BackendEvent::Updated(Box::new(update)));
    }

    pub fn message(&mut self, id: InstanceId, message: InstanceMessage) {
        self.backend(BackendEvent::Messaged(id, message));
    }

    /// Lets time pass, with every deadline; the wall clock jumps meanwhile.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now.steady.plus(span);
        while let Some(at) = self.core.next_deadline().filter(|&at| at <= until) {
            self.now.steady = self.now.steady.max(at);
            self.now.wall.0 ^= 0x1000_0000;
            self.event(Event::Tick);
        }
        self.now.steady = until;
    }

    pub fn job(&self, id: JobId) -> Arc<Job> {
        let job = self.image.jobs().find(|job| job.id == id);
        Arc::clone(job.expect("it is on disk"))
    }

    /// The instances that were killed.
    pub fn kills(&self) -> Vec<InstanceId> {
        let kill = |call: &Call| match call {
            Call::Kill { instance, .. } => Some(*instance),
            _ => None,
        };
        self.calls.iter().filter_map(kill).collect()
    }

    /// The instances that were reconciled.
    pub fn reconciled(&self) -> Vec<InstanceId> {
        let mut asked = Vec::new();
        for call in &self.calls {
            if let Call::Reconcile(some) = call {
                asked.extend(some.iter().map(|(id, _)| *id));
            }
        }
        asked
    }
}

//! The scheduler's core and API with a store in memory, which commits at once. The API's unit tests and the fuzz targets
//! send requests to it, and act as its backend.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use cook_scheduler::api::browser::Names;
use cook_scheduler::api::files::FileRequest;
use cook_scheduler::api::response::Response;
use cook_scheduler::api::{Access, Api, BackendFigures, Fetching, Plan, Request, RunsAs};
use cook_scheduler::codec::job::{Cluster, JobLimits};
use cook_scheduler::core::backend::{
    BackendEvent, Call, Offer, OfferId, Task, TaskState, Token, Update,
};
use cook_scheduler::core::effect::{Change, Effect};
use cook_scheduler::core::event::{Event, LoadAnswer};
use cook_scheduler::core::job::{Agent, Job, JobKey, Place, Reason, Report, Retries};
use cook_scheduler::core::request::{Reply, RequestId};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::view::Found;
use cook_scheduler::core::words::{
    Amount, Demand, InstanceId, Moment, PortRange, Ports, Steady, UserName, Wall,
};
use cook_scheduler::core::{Scheduler, Start};

/// 2023-11-14T22:13:20Z
pub const NOW: u64 = 1_700_000_000_000;

/// The scheduler without files, threads and sockets.
pub struct Memory {
    pub api: Api,
    pub scheduler: Scheduler,
    pub now: Moment,
    disk: BTreeMap<JobKey, Arc<Job>>,
    /// What the core has asked of the backend.
    pub calls: Vec<Call>,
    /// Counts offers and updates.
    number: u64,
}

impl Memory {
    /// A subscribed scheduler without jobs. All requests are those of the user bob.
    pub fn new() -> Self {
        let api = Api {
            names: Names {
                listen: [127, 0, 0, 1].into(),
                hostname: None,
            },
            access: Access::Local(UserName::new("bob").expect("a name")),
            admins: Vec::new(),
            limits: JobLimits {
                cpus: Amount::from_f64(4.0),
                mem: Amount::from_f64(4096.0),
                max_retries: Retries::new(20).expect("valid"),
                max_ports: 5,
                command_length: None,
                cluster: Cluster::Local,
            },
            fetching: Fetching::unchecked(),
            max_runtime: None,
            free_failures: 5,
            sandboxes: Some(PathBuf::from("/data/sandboxes")),
            cluster: "local".to_owned(),
            runs_as: RunsAs::Configured,
            backend_figures: BackendFigures::none(),
            started: Wall(NOW),
        };
        let mut memory = Self {
            api,
            scheduler: Scheduler::new(Settings::embedded([7; 16]), Start::default()),
            now: Moment {
                steady: Steady(1_000_000),
                wall: Wall(NOW),
            },
            disk: BTreeMap::new(),
            calls: Vec::new(),
            number: 0,
        };
        memory.feed(Event::Backend(BackendEvent::Subscribed(None)));
        memory
    }

    /// Steps the core, with what follows in the store. Returns the reply, if the event was a request.
    pub fn feed(&mut self, event: Event) -> Option<Reply> {
        self.now.steady.0 += 1;
        self.now.wall.0 += 1;
        let mut reply = None;
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.scheduler.step(event, self.now) {
                match effect {
                    Effect::Store(batch) => {
                        for change in &batch.changes {
                            if let Change::NewJob(job) | Change::Job { job, .. } = change {
                                self.disk.insert(job.key, Arc::clone(job));
                            }
                        }
                        events.push(Event::Stored(batch.number));
                    }
                    Effect::Load(key) => {
                        let job = Job::clone(&self.disk[&key]);
                        events.push(Event::Loaded(key, LoadAnswer::Found(Box::new(job))));
                    }
                    Effect::Reply(_, answer) => reply = Some(answer),
                    Effect::Call(call) => self.calls.push(call),
                    Effect::Log(line) => {
                        let line = line.to_string();
                        assert!(
                            !line.contains(['\n', '\x1b']),
                            "more than one line: {line:?}"
                        );
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        reply
    }

    /// The response to a request, or the file that it asks for.
    pub fn answer(&mut self, request: &Request<'_>) -> Result<Response, FileRequest> {
        match self.api.plan(request, self.scheduler.view()) {
            Plan::Answer(response) => Ok(response),
            Plan::Change(request, change) => {
                let reply = self.feed(Event::Request(RequestId(1), request));
                let reply = reply.expect("each request has a reply");
                Ok(self.api.changed(change, reply))
            }
            Plan::Read(reading) => {
                let jobs = reading.found.iter().map(|found| match found {
                    Found::Job(job) => Arc::clone(job),
                    Found::Archived(archived) => Arc::clone(&self.disk[&archived.key]),
                });
                let jobs: Vec<_> = jobs.collect();
                Ok(self.api.complete(&reading, &jobs, self.scheduler.view()))
            }
            Plan::File(request) => Err(request),
        }
    }

    /// All tasks that were launched.
    pub fn launched(&self) -> impl Iterator<Item = &Task> {
        self.calls.iter().flat_map(|call| match call {
            Call::Launch { tasks, .. } => &tasks[..],
            _ => &[],
        })
    }

    /// Offers these resources, of which there is at least one port, on an agent that serves its files at this address.
    pub fn offer(&mut self, resources: Demand, files_at: Option<&str>) {
        const FIRST_PORT: u16 = 31_000;
        self.number += 1;
        let last = FIRST_PORT + u16::try_from(resources.ports - 1).expect("few ports");
        let ports = PortRange::new(FIRST_PORT, last).expect("ports");
        let offer = Offer {
            id: OfferId(self.number.to_string().into()),
            place: Arc::new(Place {
                agent: Agent("agent".into()),
                hostname: "host".into(),
                files_at: files_at.map(Into::into),
            }),
            resources,
            ports: Ports::new(vec![ports]),
            attributes: Vec::new(),
            capacity: None,
            most_tasks: None,
        };
        self.feed(Event::Backend(BackendEvent::Offered(vec![offer])));
    }

    /// Reports a state of an instance.
    pub fn update(
        &mut self,
        instance: InstanceId,
        state: TaskState,
        reason: Option<Reason>,
        report: Option<Report>,
    ) {
        self.number += 1;
        let update = Update {
            instance,
            agent: Some(Agent("agent".into())),
            state,
            reason,
            token: Some(Token(self.number.to_be_bytes().into())),
            report,
        };
        self.feed(Event::Backend(BackendEvent::Updated(Box::new(update))));
    }
}

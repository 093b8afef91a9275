//! The scheduler's core and API with a store in memory, for the targets that send requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cook_scheduler::api::browser::{self, Names};
use cook_scheduler::api::files::{self, FileAnswer};
use cook_scheduler::api::response::{Content, Response};
use cook_scheduler::api::{Access, Api, BackendFigures, Fetching, Fields, Peer, Plan, Request, RunsAs};
use cook_scheduler::codec::job::{Cluster, JobLimits};
use cook_scheduler::core::effect::{Change, Effect};
use cook_scheduler::core::event::{Event, LoadAnswer};
use cook_scheduler::core::backend::{BackendEvent, Call, Offer, OfferId, Task, TaskState, Token, Update};
use cook_scheduler::core::job::{Agent, Job, JobKey, Place, Report, Retries};
use cook_scheduler::core::request::{Reply, RequestId};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::view::Found;
use cook_scheduler::core::words::{
    Amount, Demand, InstanceId, Moment, PortRange, Ports, Steady, UserName, Wall,
};
use cook_scheduler::core::{Scheduler, Start};

pub const HOST: &str = "localhost:12321";

pub struct World {
    api: Api,
    scheduler: Scheduler,
    now: Moment,
    disk: BTreeMap<JobKey, Arc<Job>>,
    pub launched: Vec<Task>,
    offers: u64,
}

/// What the fuzzer chooses of a request.
pub struct Asked<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub fields: Fields<'a>,
    pub body: &'a [u8],
}

impl World {
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
            sandboxes: Some(PathBuf::from("/nonexistent")),
            cluster: "local".to_owned(),
            runs_as: RunsAs::Configured,
            backend_figures: BackendFigures::none(),
            started: Wall(0),
        };
        let mut world = Self {
            api,
            scheduler: Scheduler::new(Settings::embedded([7; 16]), Start::default()),
            now: Moment {
                steady: Steady(1_000_000),
                wall: Wall(1_700_000_000_000),
            },
            disk: BTreeMap::new(),
            launched: Vec::new(),
            offers: 0,
        };
        world.feed(Event::Backend(BackendEvent::Subscribed(None)));
        world
    }

    fn feed(&mut self, event: Event) -> Option<Reply> {
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
                    Effect::Call(Call::Launch { tasks, .. }) => self.launched.extend(tasks),
                    Effect::Call(_) => {}
                    Effect::Log(line) => {
                        let line = line.to_string();
                        assert!(!line.contains(['\n', '\x1b']), "more than one line: {line:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        reply
    }

    /// Sends a request. Every response has to be well formed.
    pub fn ask(&mut self, asked: &Asked<'_>) -> Response {
        let request = Request {
            method: asked.method,
            target: asked.target,
            fields: asked.fields,
            body: asked.body,
            local: Some(SocketAddr::from(([127, 0, 0, 1], 12321))),
            peer: &Peer::Own,
            now: self.now.wall,
        };
        let response = match self.api.screen(&request) {
            Err(refusal) => refusal,
            Ok(()) => match self.api.plan(&request, self.scheduler.view()) {
                Plan::Answer(response) => response,
                Plan::Change(request, change) => {
                    let reply = self.feed(Event::Request(RequestId(1), request));
                    self.api.changed(change, reply.expect("each request has a reply"))
                }
                Plan::Read(reading) => {
                    let jobs = reading.found.iter().map(|found| match found {
                        Found::Job(job) => Arc::clone(job),
                        Found::Archived(archived) => Arc::clone(&self.disk[&archived.key]),
                    });
                    let jobs: Vec<_> = jobs.collect();
                    self.api.complete(&reading, &jobs, self.scheduler.view())
                }
                Plan::File(request) => match files::answer(&request) {
                    FileAnswer::Whole(response) => response,
                    FileAnswer::Stream { .. } => panic!("there are no sandboxes"),
                },
            },
        };
        assert!((200..600).contains(&response.status), "{}", response.status);
        assert!(response.status != 500, "{response:?}");
        if response.content == Content::Json {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&response.body);
            let json = json.expect("JSON");
            if response.status >= 400 {
                let text = json.get("error").and_then(|text| text.as_str());
                assert!(text.is_some_and(|text| !text.is_empty()), "an error without a text: {json}");
            }
        }
        for (name, value) in &response.fields {
            assert!(!value.contains(['\r', '\n']), "two lines in {name}: {value:?}");
        }
        response
    }

    /// A request without a body.
    pub fn get(&mut self, target: &str) -> Response {
        let host = browser::Fields {
            host: Some(HOST),
            ..browser::Fields::default()
        };
        self.ask(&Asked {
            method: "GET",
            target,
            fields: Fields {
                browser: host,
                ..Fields::default()
            },
            body: b"",
        })
    }

    /// Offers enough for all jobs that wait.
    pub fn offer(&mut self) {
        self.offers += 1;
        let ports = PortRange::new(31_000, 32_000).expect("ports");
        let offer = Offer {
            id: OfferId(self.offers.to_string().into()),
            place: Arc::new(Place {
                agent: Agent("agent".into()),
                hostname: "host".into(),
                files_at: None,
            }),
            resources: Demand {
                cpus: Amount::from_f64(1000.0),
                mem: Amount::from_f64(1e9),
                ports: 1001,
            },
            ports: Ports::new(vec![ports]),
            attributes: Vec::new(),
            capacity: None,
        };
        self.feed(Event::Backend(BackendEvent::Offered(vec![offer])));
    }

    /// Reports a state of an instance.
    pub fn update(&mut self, instance: InstanceId, state: TaskState, report: Option<Report>) {
        self.offers += 1;
        let update = Update {
            instance,
            agent: Some(Agent("agent".into())),
            state,
            reason: None,
            token: Some(Token(self.offers.to_be_bytes().into())),
            report,
        };
        self.feed(Event::Backend(BackendEvent::Updated(Box::new(update))));
    }
}

//! The API with a core whose store commits at once. The tests start and end the instances themselves.

mod access;
mod changes;
mod shown;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::codec::job::Cluster;
use crate::core::backend::{BackendEvent, Call, Offer, OfferId, TaskState, Token, Update};
use crate::core::effect::{Change as Stored, Effect};
use crate::core::event::Event;
use crate::core::job::{Agent, Job, JobKey, Place, Reason, Report, Retries};
use crate::core::settings::Settings;
use crate::core::view::Found;
use crate::core::words::{
    Amount, Demand, InstanceId, JobId, Message, Moment, PortRange, Ports, Steady,
};
use crate::core::{Scheduler, Start};

const HOST: &str = "localhost:12321";
const JOB: &str = "26719da8-394f-44f9-9e6d-8a17500f5109";
const OTHER: &str = "00000000-394f-44f9-9e6d-8a17500f5109";
/// 2023-11-14T22:13:20Z
const NOW: u64 = 1_700_000_000_000;

struct World {
    api: Api,
    scheduler: Scheduler,
    now: Moment,
    disk: BTreeMap<JobKey, Arc<Job>>,
    launched: Vec<InstanceId>,
    killed: Vec<InstanceId>,
    offers: u32,
    peer: Peer,
    authorization: Option<String>,
}

fn user(name: &str) -> UserName {
    UserName::new(name).expect("a name")
}

impl World {
    fn new() -> Self {
        let api = Api {
            names: Names {
                listen: [127, 0, 0, 1].into(),
                hostname: None,
            },
            access: Access::Local(user("bob")),
            admins: vec![user("admin")],
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
        let now = Moment {
            steady: Steady(1_000_000),
            wall: Wall(NOW),
        };
        let mut world = Self {
            api,
            scheduler: Scheduler::new(Settings::embedded([7; 16]), Start::default()),
            now,
            disk: BTreeMap::new(),
            launched: Vec::new(),
            killed: Vec::new(),
            offers: 0,
            peer: Peer::Own,
            authorization: None,
        };
        world.feed(Event::Backend(BackendEvent::Subscribed(None)));
        world
    }

    /// Logins of bob, eve and admin, all with the password `x`.
    fn with_logins() -> Self {
        let login = |name| Login {
            user: user(name),
            password: "x".to_owned(),
        };
        let mut world = Self::new();
        world.api.access = Access::Logins(["bob", "eve", "admin"].map(login).into());
        world.peer = Peer::Other(String::new());
        world
    }

    fn be(&mut self, login: &str) {
        self.authorization = Some(format!("Basic {login}"));
    }

    fn feed(&mut self, event: Event) -> Option<crate::core::request::Reply> {
        self.now.steady.0 += 1;
        self.now.wall.0 += 1;
        let mut reply = None;
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.scheduler.step(event, self.now) {
                match effect {
                    Effect::Store(batch) => {
                        for change in &batch.changes {
                            if let Stored::NewJob(job) | Stored::Job { job, .. } = change {
                                self.disk.insert(job.key, Arc::clone(job));
                            }
                        }
                        events.push(Event::Stored(batch.number));
                    }
                    Effect::Load(key) => {
                        let job = Job::clone(&self.disk[&key]);
                        let found = crate::core::event::LoadAnswer::Found(Box::new(job));
                        events.push(Event::Loaded(key, found));
                    }
                    Effect::Reply(_, answer) => reply = Some(answer),
                    Effect::Call(Call::Launch { tasks, .. }) => {
                        self.launched.extend(tasks.iter().map(|task| task.instance));
                    }
                    Effect::Call(Call::Kill { instance, .. }) => self.killed.push(instance),
                    Effect::Call(_) | Effect::Log(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        reply
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> Response {
        let peer = self.peer.clone();
        let authorization = self.authorization.clone();
        let request = Request {
            method,
            target,
            fields: Fields {
                browser: browser::Fields {
                    host: Some(HOST),
                    ..browser::Fields::default()
                },
                authorization: authorization.as_deref(),
                pool: None,
            },
            body: body.as_bytes(),
            local: Some(SocketAddr::from(([127, 0, 0, 1], 12321))),
            peer: &peer,
            now: self.now.wall,
        };
        match self.api.plan(&request, self.scheduler.view()) {
            Plan::Answer(response) => response,
            Plan::Change(request, change) => {
                let id = crate::core::request::RequestId(1);
                let reply = self.feed(Event::Request(id, request));
                self.api.changed(change, reply.expect("an answer"))
            }
            Plan::Read(reading) => {
                let jobs = reading.found.iter().map(|found| match found {
                    Found::Job(job) => Arc::clone(job),
                    Found::Archived(archived) => Arc::clone(&self.disk[&archived.key]),
                });
                let jobs: Vec<_> = jobs.collect();
                self.api.complete(&reading, &jobs, self.scheduler.view())
            }
            Plan::File(request) => Response::text(200, format!("{}", request.instance)),
        }
    }

    fn get(&mut self, target: &str) -> (u16, Value) {
        let response = self.ask("GET", target, "");
        let text = String::from_utf8(response.body).expect("text");
        let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (response.status, json)
    }

    fn post(&mut self, body: &str) -> (u16, String) {
        let response = self.ask("POST", "/rawscheduler", body);
        let text = String::from_utf8(response.body).expect("text");
        (response.status, text)
    }

    /// The job in the reply to `/rawscheduler?job=`.
    fn job(&mut self, uuid: &str) -> Value {
        let (status, json) = self.get(&format!("/rawscheduler?job={uuid}"));
        assert_eq!(status, 200, "{json}");
        json[0].clone()
    }

    /// Offers resources for one job, which starts. Returns its instance.
    fn start(&mut self) -> InstanceId {
        self.start_at(None)
    }

    /// The same on an agent that serves its files at this address.
    fn start_at(&mut self, files_at: Option<&str>) -> InstanceId {
        self.offers += 1;
        let one = PortRange::new(31_000, 31_010).expect("ports");
        let offer = Offer {
            id: OfferId(self.offers.to_string().into()),
            place: Arc::new(Place {
                agent: Agent("agent".into()),
                hostname: "host".into(),
                files_at: files_at.map(Into::into),
            }),
            resources: Demand {
                cpus: Amount::from_f64(1.0),
                mem: Amount::from_f64(128.0),
                ports: 11,
            },
            ports: Ports::new(vec![one]),
            attributes: Vec::new(),
            capacity: None,
        };
        let before = self.launched.len();
        self.feed(Event::Backend(BackendEvent::Offered(vec![offer])));
        assert_eq!(self.launched.len(), before + 1, "one job starts");
        self.launched[before]
    }

    fn update(
        &mut self,
        instance: InstanceId,
        state: TaskState,
        reason: Option<Reason>,
        report: Option<Report>,
    ) {
        self.offers += 1;
        let update = Update {
            instance,
            agent: Some(Agent("agent".into())),
            state,
            reason,
            token: Some(Token(self.offers.to_be_bytes().into())),
            report,
        };
        self.feed(Event::Backend(BackendEvent::Updated(Box::new(update))));
    }
}

fn codes(codes: &[i32]) -> Vec<Option<i32>> {
    codes.iter().copied().map(Some).collect()
}

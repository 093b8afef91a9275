//! The API over a core whose store is always written at once, and whose jobs a test starts and ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::codec::job::Place as RunsWhere;
use crate::core::effect::{Change as Stored, Effect};
use crate::core::event::Event;
use crate::core::face::{BackendEvent, Call, Offer, OfferId, TaskState, Token, Update};
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
                place: RunsWhere::Here,
            },
            fetching: Fetching::unchecked(),
            max_runtime: None,
            free_failures: 5,
            sandboxes: Some(PathBuf::from("/data/sandboxes")),
            cluster: Cluster {
                name: "local".to_owned(),
                framework_id: "unsupported".to_owned(),
            },
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

    /// With logins of bob, eve and admin, whose passwords are `x`.
    fn with_logins() -> Self {
        let login = |name| Login {
            user: user(name),
            password: "x".to_owned(),
        };
        let mut world = Self::new();
        world.api.access = Access::Logins(["bob", "eve", "admin"].map(login).into());
        world.peer = Peer::Stranger(String::new());
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
                    Effect::Call(_) | Effect::Note(_) => {}
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

    /// The one job of `/rawscheduler?job=`.
    fn job(&mut self, uuid: &str) -> Value {
        let (status, json) = self.get(&format!("/rawscheduler?job={uuid}"));
        assert_eq!(status, 200, "{json}");
        json[0].clone()
    }

    /// Offers room for one job, which starts. Its instance.
    fn start(&mut self) -> InstanceId {
        self.offers += 1;
        let one = PortRange::new(31_000, 31_010).expect("ports");
        let offer = Offer {
            id: OfferId(self.offers.to_string().into()),
            place: Arc::new(Place {
                agent: Agent("agent".into()),
                hostname: "host".into(),
                files_at: None,
            }),
            room: Demand {
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
        assert_eq!(self.launched.len(), before + 1, "one starts");
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

#[test]
fn a_job_is_submitted_as_the_document_says_and_answered_by_a_bare_text() {
    let mut world = World::new();
    let (status, text) = world.post(&format!(r#"{{"command": "echo hello", "uuid": "{JOB}"}}"#));
    assert_eq!(
        (status, text.as_str()),
        (201, &*format!("submitted jobs {JOB}"))
    );
    let (status, text) = world.post(r#"{"after_commands": [{"value": "mail"}]}"#);
    assert_eq!(status, 201);
    let uuid = text.strip_prefix("submitted jobs ").expect("a uuid");
    assert_eq!(world.job(uuid)["command"], "", "no command is made up");
    let group = format!(r#"{{"jobs": [{{"command": "x", "group": "{OTHER}"}}]}}"#);
    let (_, text) = world.post(&group);
    assert!(
        text.ends_with(&format!(" submitted groups {OTHER}")),
        "{text}"
    );
}

#[test]
fn a_job_is_shown_with_all_that_clients_need_and_nothing_that_is_not_known() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "c", "uuid": "{JOB}", "before_commands": [{{"value": "b"}}], "max_retries": 2, "env": {{"A": "b"}}}}"#
    ));
    let waiting = world.job(JOB);
    for (key, value) in [
        ("uuid", JOB.into()),
        ("status", "waiting".into()),
        ("state", "waiting".into()),
        ("name", "cookjob".into()),
        ("user", "bob".into()),
        ("priority", 50.into()),
        ("cpus", 1.0.into()),
        ("mem", 128.0.into()),
        ("gpus", 0.into()),
        ("ports", 0.into()),
        ("max_retries", 2.into()),
        ("retries_remaining", 2.into()),
        ("max_runtime", 9_223_372_036_854_775_807_u64.into()),
        ("disable_mea_culpa_retries", false.into()),
        ("framework_id", "unsupported".into()),
        ("env", serde_json::json!({"A": "b"})),
        ("labels", serde_json::json!({})),
        ("uris", serde_json::json!([])),
        ("constraints", serde_json::json!([])),
        ("instances", serde_json::json!([])),
        ("before_exit_codes", serde_json::json!([])),
        ("after_exit_codes", serde_json::json!([])),
        ("before_commands", serde_json::json!([{"value": "b"}])),
    ] {
        assert_eq!(waiting[key], value, "{key}");
    }
    for absent in [
        "exit_code",
        "progress",
        "message",
        "groups",
        "application",
        "expected_runtime",
        "executor",
        "default_before_exit_codes",
        "after_commands",
    ] {
        assert_eq!(waiting.get(absent), None, "{absent}");
    }
    assert!(!waiting.to_string().contains("null"));
    let instance = world.start();
    let running = world.job(JOB);
    assert_eq!(
        (&running["status"], &running["state"]),
        (&"running".into(), &"running".into())
    );
    let shown = &running["instances"][0];
    for (key, value) in [
        ("task_id", instance.to_string().into()),
        ("executor_id", instance.to_string().into()),
        ("slave_id", "agent".into()),
        ("agent_id", "agent".into()),
        ("hostname", "host".into()),
        ("status", "unknown".into()),
        ("preempted", false.into()),
        ("backfilled", false.into()),
        ("executor", "cook".into()),
        ("ports", serde_json::json!([])),
        (
            "compute-cluster",
            serde_json::json!({"name": "local", "type": "mesos", "mesos": {"framework-id": "unsupported"}}),
        ),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    for absent in [
        "end_time",
        "reason_code",
        "cancelled",
        "exit_code",
        "mesos_start_time",
        "progress",
    ] {
        assert_eq!(shown.get(absent), None, "{absent}");
    }
}

#[test]
fn the_results_of_a_job_stand_on_the_job_and_on_its_instance() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "c", "uuid": "{JOB}", "before_commands": [{{"value": "b"}}], "after_commands": [{{"value": "a"}}, {{"value": "a2"}}]}}"#
    ));
    let instance = world.start();
    let sandbox = crate::core::face::Note::Sandbox(format!("/data/sandboxes/{instance}").into());
    world.feed(Event::Backend(BackendEvent::Messaged(instance, sandbox)));
    world.update(instance, TaskState::Running, None, None);
    let report = Report {
        exit_code: Some(3),
        before_codes: codes(&[0]),
        after_codes: vec![None, Some(1)],
        default_after_codes: codes(&[0]),
        progress: Some(50),
        message: Some(Message::cut("half")),
        ..Report::default()
    };
    world.update(instance, TaskState::Failed, None, Some(report));
    let job = world.job(JOB);
    assert_eq!(job["state"], "failed");
    assert_eq!(job["exit_code"], 3);
    assert_eq!(job["before_exit_codes"], serde_json::json!([0]));
    assert_eq!(
        job["after_exit_codes"],
        serde_json::json!([]),
        "it ends before what is not known"
    );
    assert_eq!(job["default_after_exit_codes"], serde_json::json!([0]));
    assert_eq!(job.get("default_before_exit_codes"), None);
    assert_eq!(
        (&job["progress"], &job["message"]),
        (&50.into(), &"half".into())
    );
    assert_eq!(job["retries_remaining"], 0);
    let shown = &job["instances"][0];
    assert_eq!(shown["after_exit_codes"], serde_json::json!([null, 1]));
    assert_eq!(
        (&shown["exit_code"], &shown["status"]),
        (&3.into(), &"failed".into())
    );
    assert_eq!(
        (&shown["reason_code"], &shown["reason_string"]),
        (&99003.into(), &"Command exited non-zero".into())
    );
    assert_eq!(shown["reason_mea_culpa"], false);
    assert!(shown["end_time"].as_u64() > shown["start_time"].as_u64());
    let path = format!("%2Fdata%2Fsandboxes%2F{instance}");
    assert_eq!(
        shown["output_url"],
        format!("http://{HOST}/files/read.json?path={path}")
    );
}

#[test]
fn a_job_that_is_tried_again_has_not_finished() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "c", "uuid": "{JOB}", "max_retries": 2}}"#
    ));
    let instance = world.start();
    let report = Report {
        exit_code: Some(1),
        ..Report::default()
    };
    world.update(instance, TaskState::Failed, None, Some(report));
    let job = world.job(JOB);
    assert_eq!(
        (&job["status"], job.get("exit_code")),
        (&"waiting".into(), None)
    );
    assert_eq!(job["instances"][0]["exit_code"], 1);
    assert_eq!(job["retries_remaining"], 1);
}

#[test]
fn nothing_of_a_bad_batch_is_stored() {
    let mut world = World::new();
    for body in [
        format!(
            r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}"}}, {{"command": "y", "cpus": 0}}]}}"#
        ),
        format!(
            r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}"}}, {{"command": "y", "cpus": 99}}]}}"#
        ),
        format!(
            r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}"}}, {{"command": "y", "uuid": "{JOB}"}}]}}"#
        ),
    ] {
        let (status, text) = world.post(&body);
        assert_eq!(status, 400, "{text}");
        let (status, _) = world.get(&format!("/rawscheduler?job={JOB}"));
        assert_eq!(status, 404);
    }
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let (status, text) = world.post(&format!(
        r#"{{"jobs": [{{"command": "x", "uuid": "{OTHER}"}}, {{"command": "x", "uuid": "{JOB}"}}]}}"#
    ));
    assert_eq!(status, 409);
    assert_eq!(
        text,
        format!(
            r#"{{"error":"The following job UUIDs were already used: {JOB} (UUID {JOB} already used)"}}"#
        )
    );
    assert_eq!(world.get(&format!("/rawscheduler?job={OTHER}")).0, 404);
}

#[test]
fn what_is_asked_for_by_uuid_is_there_or_named() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start();
    let count = |(status, json): (u16, Value)| (status, json.as_array().map(Vec::len));
    for (target, wanted) in [
        (format!("/rawscheduler?job={JOB}"), 1),
        (format!("/rawscheduler?job={JOB}&job={JOB}"), 2),
        (
            format!(
                "/rawscheduler?job={}&instance={instance}",
                JOB.to_uppercase()
            ),
            2,
        ),
        (
            format!("/rawscheduler?job={JOB}&job={OTHER}&partial=true"),
            1,
        ),
        (format!("/jobs?uuid={JOB}"), 1),
        (format!("/jobs?uuid={JOB}&uuid={OTHER}&partial=true"), 1),
        (format!("/instances?uuid={instance}"), 1),
    ] {
        assert_eq!(count(world.get(&target)), (200, Some(wanted)), "{target}");
    }
    let error = |status: u16, text: String| (status, serde_json::json!({ "error": text }));
    let not_found = format!("The following UUIDs don't correspond to a job:\n{OTHER}");
    for (target, wanted) in [
        (
            "/rawscheduler".to_owned(),
            error(
                400,
                "must supply at least one job or instance query param".to_owned(),
            ),
        ),
        (
            format!("/rawscheduler?job={OTHER}"),
            error(404, format!("UUID {OTHER} didn't correspond to a job")),
        ),
        (
            format!("/rawscheduler?job={OTHER}&partial=true"),
            error(404, format!("UUID {OTHER} didn't correspond to a job")),
        ),
        (
            format!("/rawscheduler?instance={OTHER}"),
            error(
                404,
                format!("UUID {OTHER} didn't correspond to an instance"),
            ),
        ),
        (
            format!("/jobs?uuid={OTHER}&partial=true"),
            error(404, not_found.clone()),
        ),
        (format!("/jobs/{OTHER}"), error(404, not_found)),
    ] {
        assert_eq!(world.get(&target), wanted, "{target}");
    }
    for target in [
        "/rawscheduler?job=x",
        "/jobs/x",
        "/instances/x",
        "/jobs?uuid=x",
        "/rawscheduler?job=%zz",
    ] {
        assert_eq!(world.get(target).0, 400, "{target}");
    }
    let (status, job) = world.get(&format!("/jobs/{JOB}"));
    assert_eq!((status, &job["uuid"]), (200, &JOB.into()));
    let (status, shown) = world.get(&format!("/instances/{instance}"));
    assert_eq!(
        (status, &shown["job"]["uuid"], &shown["task_id"]),
        (200, &JOB.into(), &instance.to_string().into())
    );
}

#[test]
fn groups_are_uuids_in_one_family_and_named_in_the_other() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}", "group": "{OTHER}"}}], "groups": [{{"uuid": "{OTHER}", "name": "g"}}]}}"#
    ));
    assert_eq!(world.job(JOB)["groups"], serde_json::json!([OTHER]));
    let (_, jobs) = world.get(&format!("/jobs?uuid={JOB}"));
    assert_eq!(
        jobs[0]["groups"],
        serde_json::json!([{"uuid": OTHER, "name": "g"}])
    );
    let (_, groups) = world.get(&format!("/group?uuid={OTHER}&detailed=true"));
    assert_eq!(
        groups,
        serde_json::json!([{"uuid": OTHER, "name": "g", "host_placement": {"type": "all"},
            "straggler_handling": {"type": "none"}, "jobs": [JOB], "waiting": 1, "running": 0, "completed": 0}])
    );
    assert_eq!(
        world.get(&format!("/group?uuid={JOB}&partial=true")),
        (200, serde_json::json!([]))
    );
    assert_eq!(world.get(&format!("/group?uuid={JOB}")).0, 404);
    assert_eq!(world.get("/group").0, 400);
    let killed = world.ask("DELETE", &format!("/group?uuid={OTHER}"), "");
    assert_eq!((killed.status, killed.body), (204, Vec::new()));
    assert_eq!(world.job(JOB)["state"], "failed");
}

#[test]
fn lists_need_a_user_states_and_times() {
    let mut world = World::new();
    for name in ["a1", "b1", "a2"] {
        world.post(&format!(r#"{{"command": "x", "name": "{name}"}}"#));
    }
    let names = |(status, json): (u16, Value)| {
        assert_eq!(status, 200, "{json}");
        let jobs = json.as_array().expect("an array").iter();
        jobs.map(|job| job["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let all = format!(
        "user=bob&state=waiting&state=running&start={}&end={}",
        NOW - 1000,
        NOW + 100_000
    );
    assert_eq!(
        names(world.get(&format!("/jobs?{all}"))),
        ["a2", "b1", "a1"]
    );
    assert_eq!(names(world.get(&format!("/jobs?{all}&limit=1"))), ["a2"]);
    assert_eq!(
        names(world.get(&format!("/jobs?{all}&name=a*"))),
        ["a2", "a1"]
    );
    assert_eq!(
        names(world.get("/jobs?user=bob&state=waiting&start=2023-11-14&end=2023-11-15")),
        ["a2", "b1", "a1"]
    );
    assert_eq!(
        names(world.get("/jobs?user=bob&state=completed&start=0&end=1")),
        [""; 0]
    );
    assert_eq!(
        names(world.get("/list?user=bob&state=waiting%2Brunning")),
        ["a2", "b1", "a1"]
    );
    assert_eq!(
        names(world.get(&format!(
            "/list?user=bob&state=waiting+running&start_ms=0&end-ms={NOW}"
        ))),
        [""; 0]
    );
    for (target, status) in [
        ("/jobs", 400),
        ("/jobs?user=bob&start=0&end=1", 400),
        ("/jobs?user=bob&state=waiting&start=0", 400),
        ("/jobs?user=bob&state=odd&start=0&end=1", 400),
        ("/jobs?user=bob&state=waiting&start=x&end=1", 400),
        ("/jobs?user=bob&state=waiting&start=0&end=1&limit=0", 403),
        ("/jobs?user=bob&state=waiting&start=0&end=1&limit=x", 400),
        ("/jobs?user=bob&state=waiting&start=0&end=1&name=a/b", 400),
        ("/list?state=waiting", 400),
        ("/list?user=bob&state=waiting&since-hours-ago=169", 400),
    ] {
        assert_eq!(world.get(target).0, status, "{target}");
    }
}

#[test]
fn a_kill_is_answered_when_it_is_recorded() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "x", "uuid": "{JOB}", "max_retries": 3}}"#
    ));
    let first = world.start();
    let killed = world.ask("DELETE", &format!("/rawscheduler?instance={first}"), "");
    assert_eq!(killed.status, 204);
    assert_eq!(world.killed, [first]);
    world.update(first, TaskState::Killed, None, None);
    let job = world.job(JOB);
    assert_eq!(
        (&job["status"], &job["instances"][0]["cancelled"]),
        (&"waiting".into(), &true.into())
    );
    assert_eq!(job["instances"][0]["reason_code"], 1001);
    world.start();
    assert_eq!(
        world
            .ask("DELETE", &format!("/rawscheduler?job={JOB}"), "")
            .status,
        204
    );
    assert_eq!(world.job(JOB)["state"], "failed");
    assert_eq!(
        world
            .ask("DELETE", &format!("/rawscheduler?job={JOB}"), "")
            .status,
        204,
        "nothing happens"
    );
    assert_eq!(
        world
            .ask(
                "DELETE",
                &format!("/rawscheduler?job={JOB}&job={OTHER}"),
                ""
            )
            .status,
        404
    );
    assert_eq!(world.ask("DELETE", "/rawscheduler", "").status, 400);
}

#[test]
fn a_job_is_tried_again_when_its_retries_are_raised() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start();
    world.update(instance, TaskState::Failed, None, None);
    assert_eq!(world.job(JOB)["state"], "failed");
    let body = format!(r#"{{"job": "{JOB}", "retries": 3}}"#);
    let raised = world.ask("PUT", "/retry", &body);
    assert_eq!((raised.status, raised.body), (201, b"3".to_vec()));
    assert_eq!(world.job(JOB)["status"], "waiting");
    assert_eq!(world.get(&format!("/retry?job={JOB}")), (200, 3.into()));
    let (status, _) = {
        let response = world.ask("POST", &format!("/retry?job={JOB}&retries=21"), "");
        (response.status, response.body)
    };
    assert_eq!(status, 400);
    assert_eq!(
        world
            .ask("POST", &format!("/retry?job={OTHER}&retries=2"), "")
            .status,
        404
    );
}

#[test]
fn strangers_are_served_what_says_that_it_lives_and_nothing_else() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    world.peer = Peer::Stranger("you are uid 5".to_owned());
    for (method, target) in [
        ("GET", "/jobs"),
        ("POST", "/rawscheduler"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("GET", "/files/read?path=/data/sandboxes"),
        ("POST", "/debug"),
        ("GET", "/debug/x"),
        ("GET", "/pools"),
    ] {
        let answer = world.ask(method, target, "");
        assert_eq!(answer.status, 403, "{method} {target}");
        assert_eq!(answer.body, br#"{"error":"you are uid 5"}"#);
    }
    for target in ["/debug", "/info", "/debug/", "/%64ebug"] {
        assert_eq!(world.ask("GET", target, "").status, 200, "{target}");
    }
}

#[test]
fn with_logins_everybody_sees_their_own() {
    let mut world = World::with_logins();
    let refused = world.ask("GET", "/pools", "");
    assert_eq!(refused.status, 401);
    assert!(refused.fields.contains(&(
        "WWW-Authenticate",
        "Basic realm=\"Cook\", charset=\"UTF-8\"".to_owned()
    )));
    world.be("Ym9iOnk="); // bob:y
    assert_eq!(world.ask("GET", "/pools", "").status, 401);
    world.be("Ym9iOng="); // bob:x
    world.post(&format!(
        r#"{{"command": "x", "uuid": "{JOB}", "group": "{OTHER}"}}"#
    ));
    assert_eq!(world.job(JOB)["user"], "bob");
    let instance = world.start();
    let file = format!("/files/read?path=/data/sandboxes/{instance}/stdout");
    assert_eq!(world.get(&file).0, 200);
    world.be("ZXZlOng="); // eve:x
    for target in [
        format!("/rawscheduler?job={JOB}"),
        format!("/rawscheduler?job={JOB}&job=ffffffff-394f-44f9-9e6d-8a17500f5109"),
        format!("/rawscheduler?instance={instance}"),
        format!("/jobs/{JOB}"),
        format!("/instances/{instance}"),
        format!("/group?uuid={OTHER}"),
        format!("/retry?job={JOB}"),
        format!("/unscheduled_jobs?job={JOB}"),
        "/list?user=bob&state=running".to_owned(),
        "/jobs?user=bob&state=running&start=0&end=1".to_owned(),
        "/usage?user=bob".to_owned(),
    ] {
        assert_eq!(world.get(&target).0, 403, "{target}");
    }
    assert_eq!(world.get(&file).0, 404, "it is not even there");
    for (method, target) in [
        ("DELETE", format!("/rawscheduler?job={JOB}")),
        ("DELETE", format!("/rawscheduler?instance={instance}")),
        ("DELETE", format!("/group?uuid={OTHER}")),
        ("POST", format!("/retry?job={JOB}&retries=5")),
    ] {
        assert_eq!(
            world.ask(method, &target, "").status,
            403,
            "{method} {target}"
        );
    }
    world.be("YWRtaW46eA=="); // admin:x
    assert_eq!(world.job(JOB)["user"], "bob");
    assert_eq!(
        world
            .ask("DELETE", &format!("/rawscheduler?job={JOB}"), "")
            .status,
        204
    );
}

#[test]
fn other_methods_and_paths_say_what_there_is() {
    let mut world = World::new();
    for (method, target, allowed) in [
        ("PUT", "/rawscheduler", "GET, HEAD, POST, DELETE"),
        ("DELETE", "/jobs", "GET, HEAD, POST"),
        ("POST", "/list", "GET, HEAD"),
        ("OPTIONS", "/retry", "GET, HEAD, POST, PUT"),
        ("POST", "/info", "GET, HEAD"),
    ] {
        let answer = world.ask(method, target, "");
        assert_eq!(
            (answer.status, &answer.fields[..]),
            (405, &[("Allow", allowed.to_owned())][..]),
            "{target}"
        );
    }
    for (method, target) in [
        ("POST", "/share"),
        ("DELETE", "/quota"),
        ("GET", "/queue"),
        ("POST", "/progress/x"),
        ("GET", "/swagger-ui/x"),
    ] {
        assert_eq!(world.ask(method, target, "").status, 501, "{target}");
    }
    let (status, text) = world.get("/rawschedule");
    assert_eq!(status, 404);
    assert!(
        text["error"]
            .as_str()
            .is_some_and(|text| text.contains("/rawscheduler, /jobs"))
    );
}

#[test]
fn fixed_answers_are_what_clients_expect() {
    let mut world = World::new();
    assert_eq!(world.get("/pools"), (200, serde_json::json!([])));
    let (_, quota) = world.get("/quota?user=bob");
    assert_eq!(
        quota,
        serde_json::json!({"cpus": f64::MAX, "mem": f64::MAX, "gpus": f64::MAX, "count": i32::MAX})
    );
    let (_, reasons) = world.get("/failure_reasons");
    let reason = reasons
        .as_array()
        .and_then(|all| all.iter().find(|reason| reason["code"] == 99002))
        .cloned();
    assert_eq!(
        reason,
        Some(
            serde_json::json!({"code": 99002, "name": "executor-terminated",
        "description": "Mesos executor terminated", "mea_culpa": true, "failure_limit": 3})
        )
    );
    let (_, info) = world.get("/info");
    assert_eq!(info["leader-url"], format!("http://{HOST}"));
    assert_eq!(info["start-time"], "2023-11-14T22:13:20.000Z");
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let (_, why) = world.get(&format!("/unscheduled_jobs?job={JOB}"));
    assert_eq!(why[0]["uuid"], JOB);
    assert!(why[0]["reasons"][0]["reason"].is_string(), "{why}");
    world.start();
    let (_, usage) = world.get("/usage?user=bob&group_breakdown=true");
    assert_eq!(
        usage,
        serde_json::json!({"total_usage": {"cpus": 1.0, "mem": 128.0, "gpus": 0.0, "jobs": 1}, "grouped": [],
            "ungrouped": {"running_jobs": [JOB], "usage": {"cpus": 1.0, "mem": 128.0, "gpus": 0.0, "jobs": 1}}})
    );
    let metrics = world.ask("GET", "/metrics", "");
    let text = String::from_utf8(metrics.body).expect("text");
    for line in [
        "cook_jobs{state=\"running\"} 1",
        "cook_jobs_submitted_total 1",
        "cook_submit_to_start_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[test]
fn a_page_of_another_origin_is_refused_before_anything_else() {
    let world = World::new();
    let ask = |host, origin, site| {
        let request = Request {
            method: "POST",
            target: "/rawscheduler",
            fields: Fields {
                browser: browser::Fields {
                    host,
                    origin,
                    fetch_site: site,
                },
                ..Fields::default()
            },
            body: b"{\"command\": \"x\"}",
            local: None,
            peer: &Peer::Own,
            now: Wall(NOW),
        };
        let screened = world.api.screen(&request).map_err(|answer| answer.status);
        let planned = match world.api.plan(&request, world.scheduler.view()) {
            Plan::Answer(answer) => Err(answer.status),
            _ => Ok(()),
        };
        assert_eq!(screened, planned);
        planned
    };
    assert_eq!(ask(Some(HOST), None, None), Ok(()));
    assert_eq!(
        ask(
            Some(HOST),
            Some("http://localhost:12321"),
            Some("same-origin")
        ),
        Ok(())
    );
    assert_eq!(ask(Some("evil.example.org"), None, None), Err(421));
    assert_eq!(ask(None, None, None), Err(421));
    assert_eq!(
        ask(Some(HOST), Some("https://evil.example.org"), None),
        Err(403)
    );
    assert_eq!(ask(Some(HOST), Some("null"), None), Err(403));
    assert_eq!(ask(Some(HOST), None, Some("cross-site")), Err(403));
}

#[test]
fn a_file_belongs_to_a_known_instance() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start();
    assert_eq!(
        world
            .get(&format!(
                "/files/download?path=/data/sandboxes/{instance}/a"
            ))
            .0,
        200
    );
    for (target, status) in [
        ("/files/download", 400),
        ("/files/read?path=/etc/passwd", 404),
        (
            &*format!("/files/read?path=/data/sandboxes/{OTHER}/stdout"),
            404,
        ),
        (
            &*format!("/files/read?path=/data/sandboxes/{instance}/a&offset=x"),
            400,
        ),
    ] {
        assert_eq!(world.get(target).0, status, "{target}");
    }
    let id = JobId(crate::core::words::Uuid::parse(JOB).expect("a uuid"));
    assert!(world.scheduler.view().job(id).is_some());
}

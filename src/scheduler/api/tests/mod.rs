//! The API with a core whose store commits at once. The tests start and end the instances themselves.

mod access;
mod changes;
mod shown;

#[path = "../../../../tests/scheduler/memory.rs"]
mod memory;

use std::net::SocketAddr;

use serde_json::Value;

use self::memory::{Memory, NOW};
use super::*;
use crate::core::backend::{BackendEvent, Call, TaskState};
use crate::core::event::Event;
use crate::core::job::{Reason, Report};
use crate::core::words::{Amount, Demand, InstanceId, JobId, Message};

const HOST: &str = "localhost:12321";
const JOB: &str = "26719da8-394f-44f9-9e6d-8a17500f5109";
const OTHER: &str = "00000000-394f-44f9-9e6d-8a17500f5109";

struct World {
    memory: Memory,
    peer: Peer,
    authorization: Option<String>,
}

fn user(name: &str) -> UserName {
    UserName::new(name).expect("a name")
}

impl World {
    fn new() -> Self {
        let mut memory = Memory::new();
        memory.api.admins = vec![user("admin")];
        Self {
            memory,
            peer: Peer::Own,
            authorization: None,
        }
    }

    /// Logins of bob, eve and admin, all with the password `x`.
    fn with_logins() -> Self {
        let login = |name| Login {
            user: user(name),
            password: "x".to_owned(),
        };
        let mut world = Self::new();
        world.memory.api.access = Access::Logins(["bob", "eve", "admin"].map(login).into());
        world.peer = Peer::Other(String::new());
        world
    }

    fn be(&mut self, login: &str) {
        self.authorization = Some(format!("Basic {login}"));
    }

    fn killed(&self) -> Vec<InstanceId> {
        let killed = self.memory.calls.iter().filter_map(|call| match call {
            Call::Kill { instance, .. } => Some(*instance),
            _ => None,
        });
        killed.collect()
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> Response {
        let request = Request {
            method,
            target,
            fields: Fields {
                browser: browser::Fields {
                    host: Some(HOST),
                    ..browser::Fields::default()
                },
                authorization: self.authorization.as_deref(),
                pool: None,
            },
            body: body.as_bytes(),
            local: Some(SocketAddr::from(([127, 0, 0, 1], 12321))),
            peer: &self.peer,
            now: self.memory.now.wall,
        };
        let answer = self.memory.answer(&request);
        answer.unwrap_or_else(|file| Response::text(200, format!("{}", file.instance)))
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
        let one = Demand {
            cpus: Amount::from_f64(1.0),
            mem: Amount::from_f64(128.0),
            ports: 11,
        };
        let before = self.memory.launched().count();
        self.memory.offer(one, files_at);
        let launched: Vec<_> = self.memory.launched().skip(before).collect();
        let [task] = launched[..] else {
            panic!("one job starts: {launched:?}")
        };
        task.instance
    }

    fn update(
        &mut self,
        instance: InstanceId,
        state: TaskState,
        reason: Option<Reason>,
        report: Option<Report>,
    ) {
        self.memory.update(instance, state, reason, report);
    }
}

fn codes(codes: &[i32]) -> Vec<Option<i32>> {
    codes.iter().copied().map(Some).collect()
}

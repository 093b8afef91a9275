//! Jobs for tests of the core and the store. Each test program uses a part of it.

#![allow(dead_code)]

use cook_scheduler::core::job::{JobSpec, Priority, Retries};
use cook_scheduler::core::request::{ApiRequest, GroupRule, NewJob, Submission};
use cook_scheduler::core::words::{
    Amount, Command, Demand, InstanceId, JobId, JobName, Moment, Steady, UserName, Uuid, Wall,
};

/// One cpu, 100 MB, one attempt.
pub fn spec() -> JobSpec {
    JobSpec {
        command: Some(Command::new("true").expect("a command")),
        before: Vec::new(),
        after: Vec::new(),
        name: JobName::default(),
        priority: Priority::default(),
        demand: demand(1.0),
        max_retries: Retries::ONE,
        max_runtime: None,
        expected_runtime: None,
        env: Vec::new(),
        labels: Vec::new(),
        uris: Vec::new(),
        constraints: Vec::new(),
        group: None,
        progress_output_file: None,
        progress_regex: None,
        counts_all_failures: false,
        application: None,
        names_executor: false,
        pool: None,
        checkpoint: None,
    }
}

/// `cpus` cpus, and 100 MB for each.
pub fn demand(cpus: f64) -> Demand {
    Demand {
        cpus: Amount::from_f64(cpus),
        mem: Amount::from_f64(cpus * 100.0),
        ports: 0,
    }
}

/// The id of job `number`.
pub fn job_id(number: u64) -> JobId {
    JobId(uuid(1, number))
}

/// The id of an instance that this scheduler never started.
pub fn unknown_instance(number: u64) -> InstanceId {
    InstanceId(uuid(2, number))
}

/// A uuid made of a kind and a number.
pub fn uuid(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Uuid::from_bytes(bytes)
}

/// A user.
pub fn user(name: &str) -> UserName {
    UserName::new(name).expect("a name")
}

/// Submits jobs of a user.
pub fn submit(name: &str, jobs: Vec<(JobId, JobSpec)>) -> ApiRequest {
    let jobs = jobs
        .into_iter()
        .map(|(id, spec)| NewJob { id: Some(id), spec })
        .collect();
    ApiRequest::Submit(Submission {
        user: user(name),
        jobs,
        groups: Vec::new(),
        group_rule: GroupRule::Immutable,
    })
}

/// This number of milliseconds after the start; the wall clock is set to something else.
pub fn at(milliseconds: u64) -> Moment {
    Moment {
        steady: Steady(milliseconds),
        wall: Wall(1_700_000_000_000 + milliseconds),
    }
}

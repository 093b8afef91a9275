//! Submissions: jobs and groups in JSON.
//!
//! There are three passes, so that the first mistake is found in Cook's order: the shape of everything
//! ([`read`]), then repeated UUIDs ([`Batch::check_repeats`]), then the operator's limits
//! ([`Batch::check_limits`]). None of them stores anything.

mod echo;
#[cfg(test)]
pub mod fixture;
mod hooks;
mod limits;
mod object;
mod retry;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::fault::Fault;
use super::json::{self, Json};
use super::query::shortened;
use crate::core::job::{Group, GroupName};
use crate::core::request::{GroupRule, NewJob};
use crate::core::words::{GroupId, Uuid};
use object::{Field, Object};

pub use limits::{Cluster, JobLimits};
pub use retry::{Retry, read as read_retry};

/// Maximum number of jobs in one request, because a request is stored in one transaction.
pub const MAX_JOBS: usize = 10_000;

/// The body of a submission, with its shape checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The jobs, in order. The caller generates UUIDs for those that have none.
    pub jobs: Vec<NewJob>,
    /// The declared groups.
    pub groups: Vec<Group>,
    /// Whether jobs may join existing groups.
    pub group_rule: GroupRule,
    /// The requested pool.
    pub pool: Option<String>,
}

/// The endpoint of the request; only one of them knows `pool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/rawscheduler`
    RawScheduler,
    /// `/jobs`
    Jobs,
}

/// Keys of a batch. An object with `jobs` or `groups` is a batch; any other object is a single job.
const BATCH_KEYS: [&str; 2] = ["jobs", "groups"];

/// Cook's text for a submission without jobs.
const EMPTY: &str = "Must supply at least one job or group to start.Are you specifying that this is application/json?";

/// Reads the body of `POST /rawscheduler` or `POST /jobs`: `{"jobs": [...], "groups": [...]}`, or one job.
///
/// # Errors
///
/// The first mistake, with its path.
pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<Batch, Fault> {
    if body.trim_ascii().is_empty() {
        return Err(Fault::Rule(EMPTY.to_owned()));
    }
    let json = json::parse(body)
        .map_err(|error| Fault::Rule(format!("the body is not valid JSON: {error}")))?;
    let Json::Object(members) = &json else {
        let text = format!(
            "must be a job or an object such as {{\"jobs\": [...]}}, found {}",
            json.kind()
        );
        return Err(Fault::shape("", text));
    };
    if members.is_empty() {
        return Err(Fault::Rule(EMPTY.to_owned()));
    }
    let is_batch = members
        .iter()
        .any(|(key, _)| BATCH_KEYS.contains(&key.as_str()));
    if !is_batch {
        return Ok(Batch {
            jobs: vec![spec::read("", json)?],
            groups: Vec::new(),
            group_rule: GroupRule::Immutable,
            pool: None,
        });
    }
    let mut object = Object::open("", json, "{\"jobs\": [...]}")?;
    let jobs = object.get("jobs", jobs)?.unwrap_or_default();
    let groups = object.get("groups", groups)?.unwrap_or_default();
    let may_grow = object.get("override_group_immutability", Field::flag)?;
    let pool = match endpoint {
        Endpoint::Jobs => object.get("pool", Field::text)?,
        Endpoint::RawScheduler => None,
    };
    object.close()?;
    if jobs.is_empty() && groups.is_empty() {
        return Err(Fault::Rule(EMPTY.to_owned()));
    }
    Ok(Batch {
        jobs,
        groups,
        group_rule: match may_grow {
            Some(true) => GroupRule::MayGrow,
            Some(false) | None => GroupRule::Immutable,
        },
        pool,
    })
}

fn jobs(field: Field) -> Result<Vec<NewJob>, Fault> {
    let items = field.items("jobs")?;
    if items.len() > MAX_JOBS {
        let text = format!(
            "has {} jobs: send at most {MAX_JOBS} in one request",
            items.len()
        );
        return Err(Fault::shape("jobs", text));
    }
    let job = |item: Field| spec::read(&item.path, item.json);
    items.into_iter().map(job).collect()
}

fn groups(field: Field) -> Result<Vec<Group>, Fault> {
    let items = field.items("groups")?;
    if items.len() > MAX_JOBS {
        let text = format!(
            "has {} groups: send at most {MAX_JOBS} in one request",
            items.len()
        );
        return Err(Fault::shape("groups", text));
    }
    items.into_iter().map(group).collect()
}

fn group(field: Field) -> Result<Group, Fault> {
    let mut object = Object::open(&field.path, field.json, "{\"uuid\": \"...\"}")?;
    let id = GroupId(uuid(object.need("uuid")?)?);
    let name = object.get("name", |field| field.checked(GroupName::new))?;
    object.get("host_placement", |field| only(field, "all"))?;
    object.get("straggler_handling", |field| only(field, "none"))?;
    object.close()?;
    Ok(Group {
        id,
        name: name.unwrap_or_else(GroupName::declared),
    })
}

/// Reads a policy of which only the neutral type is supported.
fn only(field: Field, wanted: &str) -> Result<(), Fault> {
    let path = field.path.clone();
    let mut object = Object::open(&path, field.json, &format!("{{\"type\": \"{wanted}\"}}"))?;
    let kind = object.need("type")?;
    let place = kind.path.clone();
    let found = kind.text()?;
    if found != wanted {
        let found = shortened(&found);
        let text = format!("must be {wanted:?}: {found:?} is not supported by this scheduler");
        return Err(Fault::shape(&place, text));
    }
    // Parameters of other policies are ignored.
    object.take("parameters");
    object.close()
}

/// Reads a UUID of any version.
fn uuid(field: Field) -> Result<Uuid, Fault> {
    let path = field.path.clone();
    let text = field.text()?;
    Uuid::parse(&text).ok_or_else(|| {
        let found = shortened(&text);
        let text =
            format!("must be a uuid such as 26719da8-394f-44f9-9e6d-8a17500f5109, found {found:?}");
        Fault::shape(&path, text)
    })
}

impl Batch {
    /// Refuses UUIDs that occur twice in the batch.
    ///
    /// # Errors
    ///
    /// The repeated UUIDs, in Cook's words.
    pub fn check_repeats(&self) -> Result<(), Fault> {
        let repeated = repeats(self.jobs.iter().filter_map(|job| job.id));
        if !repeated.is_empty() {
            let names: Vec<_> = repeated.iter().map(|id| format!("\"{id}\"")).collect();
            let names = names.join(" ");
            return Err(Fault::Rule(format!("Duplicate job uuids: [{names}]")));
        }
        let repeated = repeats(self.groups.iter().map(|group| group.id));
        if !repeated.is_empty() {
            let names: Vec<_> = repeated.iter().map(|id| format!("\"{id}\"")).collect();
            let names = names.join(" ");
            return Err(Fault::Rule(format!("Duplicate group uuids: [{names}]")));
        }
        Ok(())
    }

    /// Refuses jobs that exceed a limit.
    ///
    /// # Errors
    ///
    /// The first of them, in Cook's words.
    pub fn check_limits(&self, limits: &JobLimits) -> Result<(), Fault> {
        self.jobs.iter().try_for_each(|job| limits.check(&job.spec))
    }
}

/// The ids that occur more than once, each listed once, in order.
fn repeats<T: Copy + Eq + std::hash::Hash>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    for id in ids {
        if !seen.insert(id) && !repeated.contains(&id) {
            repeated.push(id);
        }
    }
    repeated
}

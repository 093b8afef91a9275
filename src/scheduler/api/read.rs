//! Requests that only read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lookup::{self, Lookup, missing, permitted, uuids};
use super::response::Response;
use super::{Api, Caller, Plan};
use crate::codec::calendar;
use crate::codec::query::{Query, shortened};
use crate::codec::reply::{Context, GroupCounts, GroupReply, GroupsAs, InstanceWithJob, JobReply};
use crate::core::effect::StoredGroup;
use crate::core::job::{Instance, Job};
use crate::core::view::{self, Found, State, View};
use crate::core::words::{GroupId, InstanceId, Wall};

/// The default of `limit` in `GET /jobs`.
const DEFAULT_LIMIT: u64 = 150;

/// The default and the maximum of `since-hours-ago` in `GET /list`.
const DEFAULT_HOURS: u64 = 24;
const MAX_HOURS: u64 = 168;

const HOUR: u64 = 60 * 60 * 1000;

/// A response to make once every job of [`Reading::found`] is in memory.
#[derive(Debug)]
pub struct Reading {
    /// The jobs, in the order of the response.
    pub found: Vec<Found>,
    form: Form,
    authority: String,
}

#[derive(Debug)]
enum Form {
    /// An array of jobs.
    Jobs(GroupsAs),
    /// A single job.
    Job,
    /// These instances of the jobs, one per job.
    Instances(Vec<InstanceId>),
    /// A single instance.
    Instance(InstanceId),
    /// The job's total number of attempts.
    Retries,
}

impl Reading {
    fn plan(found: Vec<Found>, form: Form, authority: &str) -> Result<Plan, Response> {
        Ok(Plan::Read(Self {
            found,
            form,
            authority: authority.to_owned(),
        }))
    }
}

impl Api {
    /// `GET /rawscheduler?job=&instance=&partial=`
    pub(super) fn raw_jobs(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
        authority: &str,
    ) -> Result<Plan, Response> {
        let is_partial = query.flag("partial")?;
        let jobs = lookup::jobs(uuids(query, "job")?, view);
        let instances = lookup::instances(uuids(query, "instance")?, view);
        if jobs.is_empty() && instances.is_empty() {
            let text = "must supply at least one job or instance query param";
            return Err(Response::error(400, text));
        }
        let found: Vec<Found> = values(&jobs).chain(values(&instances)).cloned().collect();
        permitted(caller, "view / access", &found)?;
        if found.is_empty() || !is_partial {
            let unknown = |names: Option<String>, what| {
                let names = names?;
                Some(format!("UUID {names} didn't correspond to {what}"))
            };
            let text = unknown(missing(&jobs, " "), "a job")
                .or_else(|| unknown(missing(&instances, " "), "an instance"));
            if let Some(text) = text {
                return Err(Response::error(404, &text));
            }
        }
        Reading::plan(found, Form::Jobs(GroupsAs::Ids), authority)
    }

    /// `GET /jobs?uuid=&partial=`, and without a uuid `GET /jobs?user=&state=&start=&end=&limit=&name=`
    pub(super) fn jobs(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
        authority: &str,
    ) -> Result<Plan, Response> {
        let ids = uuids(query, "uuid")?;
        let found = match ids.is_empty() {
            true => self.list_jobs(query, caller, view)?,
            false => known(lookup::jobs(ids, view), query, caller, "a job")?,
        };
        Reading::plan(found, Form::Jobs(GroupsAs::Names), authority)
    }

    fn list_jobs(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Vec<Found>, Response> {
        let mut states = Vec::new();
        for name in query.all("state").flat_map(|text| text.split(['+', ' '])) {
            states.extend(state(name)?);
        }
        let (user, start, end) = (query.one("user")?, query.one("start")?, query.one("end")?);
        let (Some(user), Some(start), Some(end), false) = (user, start, end, states.is_empty())
        else {
            let text = "must supply the state, user name, start time, and end time";
            return Err(Response::error(400, text));
        };
        let limit = match query.number("limit")?.unwrap_or(DEFAULT_LIMIT) {
            0 => return Err(Response::error(403, "limit must be positive")),
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let user = lookup::user(caller, user)?;
        Ok(view.list(&view::Query {
            user: &user,
            states: &states,
            start: time("start", start)?,
            end: time("end", end)?,
            name: name_pattern(query)?,
            limit,
        }))
    }

    /// `GET /list?user=&state=a%2Bb&start-ms=&end-ms=&since-hours-ago=&limit=&name=`
    pub(super) fn list(
        &self,
        query: &Query,
        now: Wall,
        caller: &Caller,
        view: View<'_>,
        authority: &str,
    ) -> Result<Plan, Response> {
        let mut states = Vec::new();
        for name in query.all("state").flat_map(|text| text.split(['+', ' '])) {
            states.extend(state(name)?);
        }
        let (Some(user), false) = (query.one("user")?, states.is_empty()) else {
            let text = "must supply the state and the user name";
            return Err(Response::error(400, text));
        };
        let hours = query.number("since-hours-ago")?.unwrap_or(DEFAULT_HOURS);
        if hours > MAX_HOURS {
            let text = format!("since-hours-ago must be between 0 and {MAX_HOURS}");
            return Err(Response::error(400, &text));
        }
        let start = query
            .number("start-ms")?
            .unwrap_or_else(|| now.0.saturating_sub(hours * HOUR));
        // Includes jobs submitted in this millisecond.
        let end = query.number("end-ms")?.unwrap_or(now.0.saturating_add(1));
        let limit = match query.number("limit")? {
            Some(0) => return Err(Response::error(400, "limit must be positive")),
            limit => limit.and_then(|limit| usize::try_from(limit).ok()),
        };
        let user = lookup::user(caller, user)?;
        let found = view.list(&view::Query {
            user: &user,
            states: &states,
            start: Wall(start),
            end: Wall(end),
            name: name_pattern(query)?,
            limit: limit.unwrap_or(usize::MAX),
        });
        Reading::plan(found, Form::Jobs(GroupsAs::Ids), authority)
    }

    /// `GET /jobs/UUID`
    pub(super) fn job(
        &self,
        uuid: &str,
        caller: &Caller,
        view: View<'_>,
        context: &Context<'_>,
    ) -> Result<Plan, Response> {
        let ids = vec![lookup::uuid("the uuid of a job", uuid)?];
        let found = known(lookup::jobs(ids, view), &Query::default(), caller, "a job")?;
        Reading::plan(found, Form::Job, context.authority)
    }

    /// `GET /instances/UUID`
    pub(super) fn instance(
        &self,
        uuid: &str,
        caller: &Caller,
        view: View<'_>,
        context: &Context<'_>,
    ) -> Result<Plan, Response> {
        let id = lookup::uuid("the uuid of an instance", uuid)?;
        let lookups = lookup::instances(vec![id], view);
        let found = known(lookups, &Query::default(), caller, "a job instance")?;
        Reading::plan(found, Form::Instance(InstanceId(id)), context.authority)
    }

    /// `GET /instances?uuid=&partial=`
    pub(super) fn instances(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
        authority: &str,
    ) -> Result<Plan, Response> {
        let ids = uuids(query, "uuid")?;
        if ids.is_empty() {
            let text = "must supply at least one uuid query param";
            return Err(Response::error(400, text));
        }
        let lookups = lookup::instances(ids, view);
        let there = lookups.iter().filter(|(_, found)| found.is_some());
        let ids = there.map(|(id, _)| *id).collect();
        let found = known(lookups, query, caller, "a job instance")?;
        Reading::plan(found, Form::Instances(ids), authority)
    }

    /// `GET /retry?job=`
    pub(super) fn retries(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Plan, Response> {
        let Some(job) = query.one("job")? else {
            let text = "must supply one job query param";
            return Err(Response::error(400, text));
        };
        let jobs = lookup::jobs(vec![lookup::uuid("job", job)?], view);
        permitted(caller, "view / access", values(&jobs))?;
        if let Some(names) = missing(&jobs, " ") {
            let text = format!("UUID {names} does not correspond to a job.");
            return Err(Response::error(404, &text));
        }
        Reading::plan(values(&jobs).cloned().collect(), Form::Retries, "")
    }

    /// `GET /group?uuid=&partial=&detailed=`
    pub(super) fn groups(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Response, Response> {
        let (is_partial, is_detailed) = (query.flag("partial")?, query.flag("detailed")?);
        let groups = self.find_groups(query, caller, view)?;
        let unknown: Vec<_> = groups
            .iter()
            .filter(|(_, group)| group.is_none())
            .map(|(id, _)| id.to_string())
            .collect();
        if !unknown.is_empty() && !is_partial {
            let names = unknown.join(" ");
            let text = format!("The following UUIDs didn't correspond to a group: {names}");
            return Err(Response::error(404, &text));
        }
        let shown: Vec<_> = groups
            .iter()
            .filter_map(|(_, group)| group.as_ref())
            .map(|group| {
                let counts = GroupCounts {
                    waiting: group.waiting,
                    running: group.running,
                    completed: group.completed,
                };
                let counts = is_detailed.then_some(counts);
                GroupReply::new(&group.stored.group, &group.jobs, counts)
            })
            .collect();
        Ok(Response::json(200, &shown))
    }

    /// Makes the response to a request that reads. `jobs` are the loaded jobs of [`Reading::found`]; one that
    /// was removed from the store in the meantime is not among them.
    pub fn complete(&self, reading: &Reading, jobs: &[Arc<Job>], view: View<'_>) -> Response {
        let context = self.context(&reading.authority, view);
        let groups = groups_of(jobs, view);
        let gone = || Response::error(404, "this job was removed because it is too old");
        match &reading.form {
            Form::Jobs(groups_as) => {
                let shown: Vec<_> = jobs
                    .iter()
                    .map(|job| show(job, groups_as, &groups, &context))
                    .collect();
                Response::json(200, &shown)
            }
            Form::Job => match jobs.first() {
                None => gone(),
                Some(job) => Response::json(200, &show(job, &GroupsAs::Names, &groups, &context)),
            },
            Form::Instances(ids) => {
                let shown: Vec<_> = ids
                    .iter()
                    .filter_map(|id| instance_of(jobs, *id))
                    .map(|(job, instance)| InstanceWithJob::new(job, instance, &context))
                    .collect();
                Response::json(200, &shown)
            }
            Form::Instance(id) => match instance_of(jobs, *id) {
                None => gone(),
                Some((job, instance)) => {
                    Response::json(200, &InstanceWithJob::new(job, instance, &context))
                }
            },
            Form::Retries => match jobs.first() {
                None => gone(),
                Some(job) => Response::json(200, &job.max_retries.get()),
            },
        }
    }
}

fn show<'a>(
    job: &'a Job,
    groups_as: &GroupsAs,
    groups: &'a BTreeMap<GroupId, Arc<StoredGroup>>,
    context: &Context<'a>,
) -> JobReply<'a> {
    let group = |id| groups.get(&id).map(|stored| &stored.group);
    JobReply::new(job, groups_as, group, context)
}

/// The groups of these jobs.
fn groups_of(jobs: &[Arc<Job>], view: View<'_>) -> BTreeMap<GroupId, Arc<StoredGroup>> {
    let ids: BTreeSet<_> = jobs.iter().filter_map(|job| job.spec.group).collect();
    let find = |id| Some((id, view.group(id)?.stored));
    ids.into_iter().filter_map(find).collect()
}

/// An instance and its job.
fn instance_of(jobs: &[Arc<Job>], id: InstanceId) -> Option<(&Job, &Instance)> {
    jobs.iter().find_map(|job| {
        let mut instances = job.instances.iter();
        let instance = instances.find(|instance| instance.id == id)?;
        Some((&**job, &**instance))
    })
}

/// The jobs that were found.
fn values<I>(lookups: &[Lookup<I>]) -> impl Iterator<Item = &Found> {
    lookups.iter().filter_map(|(_, found)| found.as_ref())
}

/// All requested jobs. With `partial`, those that exist, if there is any.
fn known<I: ToString>(
    lookups: Vec<Lookup<I>>,
    query: &Query,
    caller: &Caller,
    what: &str,
) -> Result<Vec<Found>, Response> {
    // Even if all jobs exist, a wrong value is an error.
    let is_partial = query.flag("partial")?;
    permitted(caller, "view / access", values(&lookups))?;
    let found: Vec<_> = values(&lookups).cloned().collect();
    match missing(&lookups, "\n") {
        Some(names) if found.is_empty() || !is_partial => {
            let text = format!("The following UUIDs don't correspond to {what}:\n{names}");
            Err(Response::error(404, &text))
        }
        Some(_) | None => Ok(found),
    }
}

/// The states that a word in a query selects.
fn state(name: &str) -> Result<Vec<State>, Response> {
    match name {
        "waiting" => Ok(vec![State::Waiting]),
        "running" => Ok(vec![State::Running]),
        "completed" => Ok(vec![State::Success, State::Failed]),
        "success" => Ok(vec![State::Success]),
        "failed" => Ok(vec![State::Failed]),
        other => {
            let other = shortened(other);
            let text = format!(
                "unsupported state {other:?}: use waiting, running, completed, success or failed"
            );
            Err(Response::error(400, &text))
        }
    }
}

fn time(name: &str, text: &str) -> Result<Wall, Response> {
    calendar::read(text).ok_or_else(|| {
        let found = shortened(text);
        let text = format!(
            "{name} must be milliseconds since 1970, or a date such as 2026-11-26T12:00:00Z, found {found:?}"
        );
        Response::error(400, &text)
    })
}

/// The `name` pattern of a query, in which `*` matches any text.
fn name_pattern(query: &Query) -> Result<Option<&str>, Response> {
    let Some(name) = query.one("name")? else {
        return Ok(None);
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-_*".contains(letter);
    match name.chars().all(allowed) {
        true => Ok(Some(name)),
        false => {
            let found = shortened(name);
            let text = format!("name may have letters, digits, and . - _ *, found {found:?}");
            Err(Response::error(400, &text))
        }
    }
}

//! Endpoints with fixed or small answers.

use serde_json::{Value, json};

use super::lookup::{self, missing, permitted, uuids};
use super::response::Response;
use super::{Access, Api, Caller};
use crate::codec::calendar;
use crate::codec::query::Query;
use crate::core::job::{FailureLimit, Job, Reason};
use crate::core::view::{View, WhyWaiting};
use crate::core::words::{Demand, GroupId};

/// Cook's number for "no limit"; its client prints any other large number in full.
const UNLIMITED: f64 = f64::MAX;
/// Cook's number for "no limit" of a number of jobs.
const UNLIMITED_COUNT: u32 = i32::MAX as u32;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /debug`
pub(super) fn debug() -> Response {
    let text = format!(
        "Server is running version: {VERSION} (commit {})\n",
        commit()
    );
    Response::text(200, text)
}

fn commit() -> &'static str {
    option_env!("COOK_COMMIT").unwrap_or("unknown")
}

/// `GET /share`
pub(super) fn share() -> Response {
    let share = json!({ "cpus": UNLIMITED, "mem": UNLIMITED, "gpus": UNLIMITED });
    Response::json(200, &share)
}

/// `GET /quota`
pub(super) fn quota() -> Response {
    let quota = json!({
        "cpus": UNLIMITED, "mem": UNLIMITED, "gpus": UNLIMITED, "count": UNLIMITED_COUNT,
    });
    Response::json(200, &quota)
}

/// `GET /pools`
pub(super) fn pools() -> Response {
    Response::json(200, &json!([]))
}

/// `GET /failure_reasons`
pub(super) fn failure_reasons() -> Response {
    let reason = |reason: &Reason| {
        let mut shown = json!({
            "code": reason.code(),
            "name": name(*reason),
            "description": reason.text(),
            "mea_culpa": reason.is_mea_culpa(),
        });
        if let FailureLimit::FreeTimes(times) = reason.limit() {
            shown["failure_limit"] = json!(times);
        }
        shown
    };
    Response::json(200, &Reason::ALL.iter().map(reason).collect::<Vec<_>>())
}

/// Converts `KilledByUser` to `killed-by-user`.
fn name(reason: Reason) -> String {
    let mut name = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

impl Api {
    /// `GET /info`
    pub(super) fn info(&self, authority: &str) -> Response {
        let scheme = match self.access {
            Access::Local(_) => "one-user",
            Access::Logins(_) => "http-basic",
        };
        let info = json!({
            "authentication-scheme": scheme,
            "commit": commit(),
            "start-time": calendar::shown(self.started),
            "version": VERSION,
            "leader-url": format!("http://{authority}"),
        });
        Response::json(200, &info)
    }

    /// `GET /settings`
    pub(super) fn settings(&self) -> Response {
        let limits = &self.limits;
        let mut constraints = json!({
            "cpus": limits.cpus.as_f64(),
            "memory-gb": limits.mem.as_f64() / 1024.0,
            "retry-limit": limits.max_retries.get(),
            "max-ports": limits.max_ports,
        });
        if let Some(length) = limits.command_length {
            constraints["command-length-limit"] = json!(length);
        }
        if let Some(limit) = self.max_runtime {
            constraints["timeout-hours"] = json!(limit as f64 / 3_600_000.0);
        }
        let settings = json!({
            "task-constraints": constraints,
            "mea-culpa-failure-limit": self.free_failures,
        });
        Response::json(200, &settings)
    }

    /// `GET /usage?user=&group_breakdown=`
    pub(super) fn usage(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Response, Response> {
        let user = match query.one("user")? {
            Some(user) => lookup::user(caller, user)?,
            None => return Err(Response::error(400, "must supply the user name")),
        };
        let usage = view.usage(&user);
        let mut shown = json!({ "total_usage": used(usage.demand, usage.jobs.len()) });
        if query.flag("group_breakdown")? {
            let mut groups: Vec<(GroupId, Vec<&Job>)> = Vec::new();
            let mut ungrouped = Vec::new();
            for job in &usage.jobs {
                match job.spec.group {
                    None => ungrouped.push(&**job),
                    Some(id) => match groups.iter_mut().find(|(known, _)| *known == id) {
                        Some((_, jobs)) => jobs.push(&**job),
                        None => groups.push((id, vec![&**job])),
                    },
                }
            }
            let grouped: Vec<_> = groups
                .iter()
                .map(|(id, jobs)| {
                    let group = view.group(*id);
                    let name = group.as_ref().map(|group| group.stored.group.name.as_str());
                    json!({
                        "group": {
                            "uuid": id.to_string(),
                            "name": name.unwrap_or_default(),
                            "running_jobs": names(jobs),
                        },
                        "usage": used(sum(jobs), jobs.len()),
                    })
                })
                .collect();
            shown["grouped"] = json!(grouped);
            shown["ungrouped"] = json!({
                "running_jobs": names(&ungrouped),
                "usage": used(sum(&ungrouped), ungrouped.len()),
            });
        }
        Ok(Response::json(200, &shown))
    }

    /// `GET /unscheduled_jobs?job=&partial=`
    pub(super) fn unscheduled(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Response, Response> {
        let is_partial = query.flag("partial")?;
        let jobs = lookup::jobs(uuids(query, "job")?, view);
        if jobs.is_empty() {
            let text = "must supply at least one job query param";
            return Err(Response::error(400, text));
        }
        permitted(
            caller,
            "view / access",
            jobs.iter().filter_map(|(_, found)| found.as_ref()),
        )?;
        if let Some(names) = missing(&jobs, " ") {
            let is_nothing = jobs.iter().all(|(_, found)| found.is_none());
            if is_nothing || !is_partial {
                let text = format!("UUID {names} didn't correspond to a job");
                return Err(Response::error(404, &text));
            }
        }
        let shown: Vec<_> = jobs
            .iter()
            .filter_map(|(id, found)| Some((id, found.as_ref()?)))
            .map(|(id, found)| {
                let reasons = view.why_waiting(found);
                let reasons: Vec<_> = reasons.iter().map(reason).collect();
                json!({ "uuid": id.to_string(), "reasons": reasons })
            })
            .collect();
        Ok(Response::json(200, &shown))
    }
}

fn reason(why: &WhyWaiting) -> Value {
    let (text, data) = match why {
        WhyWaiting::Runs => ("The job is running now.".to_owned(), json!({})),
        WhyWaiting::Completed => ("The job already completed.".to_owned(), json!({})),
        WhyWaiting::Exhausted => {
            let text = "Job has exhausted its maximum number of retries.";
            (text.to_owned(), json!({}))
        }
        WhyWaiting::EarlierInstance(instance, None) => (
            "An earlier instance of the job has not ended yet.".to_owned(),
            json!({ "instance": instance.to_string() }),
        ),
        WhyWaiting::EarlierInstance(instance, Some(what)) => (
            format!("An earlier instance of the job cannot be killed: {what}"),
            json!({ "instance": instance.to_string() }),
        ),
        WhyWaiting::Ahead(count) => (
            format!("You have {count} other jobs ahead in the queue."),
            json!({ "jobs": count }),
        ),
        WhyWaiting::NoPlace {
            cpus,
            mem,
            ports,
            constraints,
            hosts,
        } => {
            let reasons = [
                ("Not enough cpus available.", cpus),
                ("Not enough mem available.", mem),
                ("Not enough ports available.", ports),
                (
                    "Host has a different attribute than the constraints ask for.",
                    constraints,
                ),
            ];
            let reasons: Vec<_> = reasons
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(text, count)| json!({ "reason": text, "host_count": count }))
                .collect();
            (
                "The job couldn't be placed on any available hosts.".to_owned(),
                json!({ "hosts": hosts, "reasons": reasons }),
            )
        }
        WhyWaiting::NoBackend => {
            let text = "The scheduler is not connected to the Mesos master.";
            (text.to_owned(), json!({}))
        }
        WhyWaiting::Draining => ("The scheduler is about to exit.".to_owned(), json!({})),
        WhyWaiting::DiskFull => ("The scheduler's disk is full.".to_owned(), json!({})),
        WhyWaiting::StoreFailed => {
            let text = "The scheduler's store cannot be written at the moment.";
            (text.to_owned(), json!({}))
        }
        WhyWaiting::Soon => ("The job is about to start.".to_owned(), json!({})),
    };
    json!({ "reason": text, "data": data })
}

fn used(demand: Demand, jobs: usize) -> Value {
    json!({ "cpus": demand.cpus.as_f64(), "mem": demand.mem.as_f64(), "gpus": 0.0, "jobs": jobs })
}

fn sum(jobs: &[&Job]) -> Demand {
    let none = Demand::default();
    jobs.iter()
        .fold(none, |sum, job| sum.plus(&job.spec.demand))
}

fn names(jobs: &[&Job]) -> Vec<String> {
    jobs.iter().map(|job| job.id.to_string()).collect()
}

//! Requests that change something: submit, kill, retry.

use super::lookup::{self, missing, permitted, uuids};
use super::response::Response;
use super::{Api, Caller, Plan, Request, RunsAs};
use crate::codec::fault::Fault;
use crate::codec::job::{self, Endpoint};
use crate::codec::query::Query;
use crate::core::request::{
    ApiRequest, KillOrder, Refusal, Reply, RetryOrder, RetryWhich, Submission, Unavailable,
};
use crate::core::view::View;
use crate::core::words::GroupId;

/// The kind of a change, which determines the text of some replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Submit jobs.
    Submit,
    /// Kill jobs or instances.
    Kill,
    /// Retry jobs.
    Retry,
}

/// `Retry-After` of a 503, in seconds.
const RETRY_AFTER: &str = "1";

impl From<Fault> for Response {
    fn from(fault: Fault) -> Self {
        let mut response = Self::error(400, "");
        response.body = fault.json().into_bytes();
        response
    }
}

impl Api {
    /// `POST /rawscheduler`, `POST /jobs`
    pub(super) fn submit(
        &self,
        endpoint: Endpoint,
        request: &Request<'_>,
        caller: &Caller,
    ) -> Result<Plan, Response> {
        if self.runs_as == RunsAs::Owner && caller.user.as_str() == "root" {
            let text = "jobs do not run as root: the operator can set the user of all jobs as :mesos \
                {:run-as-user \"name\"}";
            return Err(Response::error(403, text));
        }
        let batch = job::read(endpoint, request.body)?;
        let header = request.fields.pool.filter(|pool| !pool.is_empty());
        if let Some(pool) = batch.pool.as_deref().or(header) {
            let pool = crate::codec::query::shortened(pool);
            let text = format!("{pool} is not a valid pool name.");
            return Err(Response::error(400, &text));
        }
        batch.check_repeats()?;
        batch.check_limits(&self.limits)?;
        for (index, job) in batch.jobs.iter().enumerate() {
            let checked = self.fetching.check(&job.spec);
            checked.map_err(|why| Response::error(400, &format!("jobs[{index}].uris: {why}")))?;
        }
        let submission = Submission {
            user: caller.user.clone(),
            jobs: batch.jobs,
            groups: batch.groups,
            group_rule: batch.group_rule,
        };
        Ok(Plan::Change(ApiRequest::Submit(submission), Change::Submit))
    }

    /// `DELETE /rawscheduler?job=&instance=`
    pub(super) fn kill(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Plan, Response> {
        let jobs = lookup::jobs(uuids(query, "job")?, view);
        let instances = lookup::instances(uuids(query, "instance")?, view);
        if jobs.is_empty() && instances.is_empty() {
            let text = "must supply at least one job or instance query param";
            return Err(Response::error(400, text));
        }
        let jobs_found = jobs.iter().filter_map(|(_, found)| found.as_ref());
        let instances_found = instances.iter().filter_map(|(_, found)| found.as_ref());
        permitted(caller, "kill", jobs_found.chain(instances_found))?;
        if let Some(names) = missing(&jobs, " ") {
            return Err(refused(Unknown::Jobs, &names));
        }
        if let Some(names) = missing(&instances, " ") {
            return Err(refused(Unknown::Instances, &names));
        }
        let order = KillOrder {
            jobs: jobs.into_iter().map(|(id, _)| id).collect(),
            instances: instances.into_iter().map(|(id, _)| id).collect(),
            groups: Vec::new(),
        };
        Ok(Plan::Change(ApiRequest::Kill(order), Change::Kill))
    }

    /// `DELETE /group?uuid=`
    pub(super) fn kill_groups(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Plan, Response> {
        let groups = self.find_groups(query, caller, view)?;
        let unknown = groups.iter().filter(|(_, group)| group.is_none());
        let unknown: Vec<_> = unknown.map(|(id, _)| id.to_string()).collect();
        if !unknown.is_empty() {
            return Err(refused(Unknown::Groups, &unknown.join(" ")));
        }
        let order = KillOrder {
            groups: groups.into_iter().map(|(id, _)| id).collect(),
            ..KillOrder::default()
        };
        Ok(Plan::Change(ApiRequest::Kill(order), Change::Kill))
    }

    /// `PUT /retry` and `POST /retry`: parameters in the query, or an object in the body.
    pub(super) fn retry(
        &self,
        query: &Query,
        body: &[u8],
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Plan, Response> {
        let wanted = job::read_retry(query, body)?;
        let jobs = lookup::jobs(wanted.jobs, view);
        permitted(
            caller,
            "retry",
            jobs.iter().filter_map(|(_, found)| found.as_ref()),
        )?;
        if let Some(names) = missing(&jobs, " ") {
            return Err(refused(Unknown::Jobs, &names));
        }
        let mut groups = Vec::new();
        for id in wanted.groups.into_iter().map(GroupId) {
            let Some(group) = view.group(id) else {
                return Err(refused(Unknown::Groups, &id.to_string()));
            };
            let members: Vec<_> = group.jobs.iter().filter_map(|id| view.job(*id)).collect();
            permitted(caller, "retry", &members)?;
            groups.push(id);
        }
        let which = match wanted.failed_only {
            Some(true) => RetryWhich::Failed,
            Some(false) => RetryWhich::All,
            // Who names jobs means each of them, whatever its result was; who names a group rarely means its
            // successful jobs.
            None if groups.is_empty() => RetryWhich::All,
            None => RetryWhich::Failed,
        };
        let order = RetryOrder {
            jobs: jobs.into_iter().map(|(id, _)| id).collect(),
            groups,
            which,
            change: wanted.change,
            limit: self.limits.max_retries,
        };
        Ok(Plan::Change(ApiRequest::Retry(order), Change::Retry))
    }

    /// The response to a change, from the core's reply.
    pub fn changed(&self, change: Change, reply: Reply) -> Response {
        match reply {
            // Cook's clients parse the UUIDs from exactly this text.
            Reply::Submitted { jobs, groups } => {
                let mut text = format!("submitted jobs {}", joined(&jobs, " "));
                if !groups.is_empty() {
                    text.push_str(&format!(" submitted groups {}", joined(&groups, " ")));
                }
                Response::text(201, text)
            }
            Reply::Killed => Response::empty(204),
            Reply::Retried(total) => Response::json(201, &total.get()),
            // As in Cook: in place of the number of attempts.
            Reply::NothingToRetry => Response::json(200, &0),
            Reply::Refused(refusal) => self.refusal(change, &refusal),
        }
    }

    fn refusal(&self, change: Change, refusal: &Refusal) -> Response {
        match refusal {
            Refusal::DuplicateJobs(ids) => {
                let names: Vec<_> = ids.iter().map(|id| format!("\"{id}\"")).collect();
                let names = names.join(" ");
                Response::error(400, &format!("Duplicate job uuids: [{names}]"))
            }
            Refusal::GroupExists(id) => {
                Response::error(400, &format!("Group UUID {id} already used"))
            }
            Refusal::GroupIsImmutable(id) => Response::error(
                400,
                &format!(
                    "group {id} exists already: set \"override-group-immutability\": true to add jobs to it"
                ),
            ),
            // Cook's Java client looks for the part in parentheses.
            Refusal::JobsExist(ids) => {
                let (names, first) = (joined(ids, ", "), joined(&ids[..ids.len().min(1)], ""));
                let text = format!(
                    "The following job UUIDs were already used: {names} (UUID {first} already used)"
                );
                Response::error(409, &text)
            }
            Refusal::TooManyJobs { limit } => Response::error(
                422,
                &format!("User has too many jobs queued (the per-user queue limit is {limit})"),
            ),
            Refusal::UnknownJobs(ids) => refused(Unknown::Jobs, &joined(ids, " ")),
            Refusal::UnknownInstances(ids) => refused(Unknown::Instances, &joined(ids, " ")),
            Refusal::UnknownGroups(ids) => refused(Unknown::Groups, &joined(ids, " ")),
            Refusal::RetriesAboveLimit(limit) => Response::error(
                400,
                &format!(
                    "'retries' exceeds the maximum retry limit of {}",
                    limit.get()
                ),
            ),
            Refusal::RetriesBelowUsed { used } => Response::error(
                400,
                &format!("Retries would be less than attempts-consumed: {used} attempts were used"),
            ),
            Refusal::WillNotRetry(ids) => {
                let names = joined(ids, " ");
                let text = format!(
                    "these jobs are completed and have used that many attempts, so they would not start again: {names}"
                );
                Response::error(409, &text)
            }
            Refusal::Unavailable(why) => {
                let text = match (why, change) {
                    (Unavailable::DiskFull, _) => {
                        "the scheduler's disk is full: it accepts no jobs until there is free space"
                    }
                    (Unavailable::StoreFailed, _) => {
                        "the store cannot be written at the moment: try again"
                    }
                    (Unavailable::Undecided, Change::Submit) => {
                        "the store failed while it wrote this request: check whether the jobs exist before you submit them again"
                    }
                    (Unavailable::Undecided, Change::Kill | Change::Retry) => {
                        "the store failed while it wrote this request: try again"
                    }
                };
                Response::error(503, text).with("Retry-After", RETRY_AFTER)
            }
        }
    }
}

/// What an unknown UUID was expected to be.
enum Unknown {
    Jobs,
    Instances,
    Groups,
}

fn refused(unknown: Unknown, names: &str) -> Response {
    let text = match unknown {
        Unknown::Jobs => format!("UUID {names} didn't correspond to a job"),
        Unknown::Instances => format!("UUID {names} didn't correspond to an instance"),
        Unknown::Groups => {
            format!("The following UUIDs didn't correspond to a group: {names}")
        }
    };
    Response::error(404, &text)
}

fn joined<I: ToString>(ids: &[I], between: &str) -> String {
    let names: Vec<_> = ids.iter().map(I::to_string).collect();
    names.join(between)
}

//! Looks up jobs, instances and groups by the UUIDs of a request.

use super::response::Response;
use super::{Api, Caller};
use crate::codec::query::{Query, shortened};
use crate::core::view::{Found, View};
use crate::core::words::{GroupId, InstanceId, JobId, UserName, Uuid};

/// A requested id, and the job that was found for it.
pub(super) type Lookup<I> = (I, Option<Found>);

/// All UUIDs of a query parameter.
pub(super) fn uuids(query: &Query, name: &str) -> Result<Vec<Uuid>, Response> {
    query.all(name).map(|text| uuid(name, text)).collect()
}

/// A single UUID.
pub(super) fn uuid(name: &str, text: &str) -> Result<Uuid, Response> {
    Uuid::parse(text).ok_or_else(|| {
        let found = shortened(text);
        let text = format!(
            "{name} must be a uuid such as 26719da8-394f-44f9-9e6d-8a17500f5109, found {found:?}"
        );
        Response::error(400, &text)
    })
}

/// Looks up jobs.
pub(super) fn jobs(ids: Vec<Uuid>, view: View<'_>) -> Vec<Lookup<JobId>> {
    let find = |uuid| (JobId(uuid), view.job(JobId(uuid)));
    ids.into_iter().map(find).collect()
}

/// Looks up the jobs of instances.
pub(super) fn instances(ids: Vec<Uuid>, view: View<'_>) -> Vec<Lookup<InstanceId>> {
    let find = |uuid| (InstanceId(uuid), view.job_of(InstanceId(uuid)));
    ids.into_iter().map(find).collect()
}

/// The ids that were not found, joined; `None` if all were found.
pub(super) fn missing<I: ToString>(lookups: &[Lookup<I>], between: &str) -> Option<String> {
    let names = lookups.iter().filter(|(_, found)| found.is_none());
    let names: Vec<_> = names.map(|(id, _)| id.to_string()).collect();
    (!names.is_empty()).then(|| names.join(between))
}

/// Refuses a request for jobs of other users. This comes before any answer about whether jobs exist.
pub(super) fn permitted<'a>(
    caller: &Caller,
    what: &str,
    found: impl IntoIterator<Item = &'a Found>,
) -> Result<(), Response> {
    let foreign = found.into_iter().filter(|found| !caller.may(found.user()));
    let names: Vec<_> = foreign.map(|found| found.id().to_string()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => {
            let names = names.join(" ");
            let text = format!("You are not authorized to {what} the following jobs: {names}");
            Err(Response::error(403, &text))
        }
    }
}

/// The user that a query names, if the caller may see this user's jobs.
pub(super) fn user(caller: &Caller, text: &str) -> Result<UserName, Response> {
    let user = UserName::new(text).map_err(|error| {
        let found = shortened(text);
        Response::error(400, &format!("user {error}, found {found:?}"))
    })?;
    match caller.may(&user) {
        true => Ok(user),
        false => {
            let text = format!("You are not authorized to list jobs for {user}");
            Err(Response::error(403, &text))
        }
    }
}

impl Api {
    /// Looks up the groups that a query names, if all their jobs are the caller's.
    pub(super) fn find_groups(
        &self,
        query: &Query,
        caller: &Caller,
        view: View<'_>,
    ) -> Result<Vec<(GroupId, Option<crate::core::view::GroupView>)>, Response> {
        let ids = uuids(query, "uuid")?;
        if ids.is_empty() {
            let text = "must supply at least one uuid query param";
            return Err(Response::error(400, text));
        }
        let find = |uuid| {
            let id = GroupId(uuid);
            let group = view.group(id);
            if let Some(group) = &group {
                let jobs: Vec<_> = group.jobs.iter().filter_map(|id| view.job(*id)).collect();
                permitted(caller, "view / access", &jobs)?;
            }
            Ok((id, group))
        };
        ids.into_iter().map(find).collect()
    }
}

//! `PUT /retry` and `POST /retry`: parameters in the query, or an object in the body.

use super::object::{Field, Object};
use super::spec::too_many_retries;
use super::uuid;
use crate::codec::fault::Fault;
use crate::codec::json::{self, Json};
use crate::codec::query::{Query, QueryError};
use crate::core::job::Retries;
use crate::core::request::RetryChange;
use crate::core::words::Uuid;

/// Which jobs to retry, and the new number of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Jobs.
    pub jobs: Vec<Uuid>,
    /// Groups.
    pub groups: Vec<Uuid>,
    /// Whether only failed jobs are meant; `None` if not specified.
    pub failed_only: Option<bool>,
    /// The new number of attempts.
    pub change: RetryChange,
}

/// The parameters of one source: the query or the body.
#[derive(Debug, Default)]
struct Parts {
    job: Option<Uuid>,
    jobs: Option<Vec<Uuid>>,
    groups: Option<Vec<Uuid>>,
    retries: Option<Retries>,
    increment: Option<Retries>,
    failed_only: Option<bool>,
}

/// Reads a retry request. Each parameter is in the query or in the body, so `?job=` with the number of
/// attempts in the body is possible, as in Cook.
///
/// # Errors
///
/// What is wrong with the request.
pub fn read(query: &Query, body: &[u8]) -> Result<Retry, Fault> {
    let query = parts(from_query(query)?)?;
    let body = match body.trim_ascii().is_empty() {
        true => Parts::default(),
        false => parts(
            json::parse(body)
                .map_err(|error| Fault::Rule(format!("the body is not valid JSON: {error}")))?,
        )?,
    };
    let jobs = jobs(query.jobs, body.job, body.jobs)?;
    let groups = either("groups", query.groups, body.groups)?.unwrap_or_default();
    let retries = either("retries", query.retries, body.retries)?;
    let increment = either("increment", query.increment, body.increment)?;
    let failed_only = either("failed_only", query.failed_only, body.failed_only)?;
    if jobs.is_empty() && groups.is_empty() {
        return Err(rule("Need to specify at least 1 job or group."));
    }
    let change = match (retries, increment) {
        (Some(total), None) => RetryChange::Total(total),
        (None, Some(more)) => RetryChange::Increment(more),
        (None, None) => return Err(rule("Need to specify either retries or increment.")),
        (Some(_), Some(_)) => return Err(rule("Can't specify both retries and increment.")),
    };
    Ok(Retry {
        jobs,
        groups,
        failed_only,
        change,
    })
}

fn parts(json: Json) -> Result<Parts, Fault> {
    let mut object = Object::open("", json, "{\"job\": \"...\", \"retries\": 3}")?;
    let uuids = |field: Field| {
        let items = field.items("uuids")?;
        items.into_iter().map(uuid).collect::<Result<Vec<_>, _>>()
    };
    let parts = Parts {
        jobs: object.get("jobs", uuids)?,
        job: object.get("job", uuid)?,
        groups: object.get("groups", uuids)?,
        retries: object.get("retries", retries)?,
        increment: object.get("increment", retries)?,
        failed_only: object.get("failed_only", Field::flag)?,
    };
    object.close()?;
    Ok(parts)
}

/// The jobs of the query or of the body. Two sources are refused as in Cook: a client that names the jobs
/// twice may mean only one of them.
fn jobs(
    query: Option<Vec<Uuid>>,
    job: Option<Uuid>,
    jobs: Option<Vec<Uuid>>,
) -> Result<Vec<Uuid>, Fault> {
    match (query, job, jobs) {
        (_, Some(_), Some(_)) => Err(rule("Can't specify both \"job\" and \"jobs\".")),
        (Some(_), Some(_), None) => Err(rule("Can't specify \"job\" in both query and body.")),
        (Some(_), None, Some(_)) => Err(rule(
            "Can't specify both \"job\" in query and \"jobs\" in body.",
        )),
        (Some(jobs), None, None) | (None, None, Some(jobs)) => Ok(jobs),
        (None, Some(job), None) => Ok(vec![job]),
        (None, None, None) => Ok(Vec::new()),
    }
}

fn either<T>(name: &str, query: Option<T>, body: Option<T>) -> Result<Option<T>, Fault> {
    match (query, body) {
        (Some(_), Some(_)) => Err(rule(&format!(
            "Can't specify \"{name}\" in both query and body."
        ))),
        (query, body) => Ok(query.or(body)),
    }
}

fn rule(text: &str) -> Fault {
    Fault::Rule(text.to_owned())
}

fn retries(field: Field) -> Result<Retries, Fault> {
    let number = field.whole(1)?;
    let retries = u32::try_from(number).ok().and_then(Retries::new);
    retries.ok_or_else(|| too_many_retries(number))
}

/// Converts the query parameters to the JSON object that a client would send as the body of the same request.
fn from_query(query: &Query) -> Result<Json, Fault> {
    let fault = |QueryError(text)| Fault::Rule(text);
    let mut members = Vec::new();
    for names in [["job", "jobs"], ["group", "groups"]] {
        let values = names.into_iter().flat_map(|name| query.all(name));
        let texts: Vec<_> = values.map(|text| Json::String(text.to_owned())).collect();
        if !texts.is_empty() {
            members.push((names[1].to_owned(), Json::Array(texts)));
        }
    }
    for name in ["retries", "increment"] {
        if let Some(number) = query.number(name).map_err(fault)? {
            members.push((name.to_owned(), Json::Unsigned(number)));
        }
    }
    if query.one("failed_only").map_err(fault)?.is_some() {
        let flag = query.flag("failed_only").map_err(fault)?;
        members.push(("failed_only".to_owned(), Json::Bool(flag)));
    }
    Ok(Json::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "26719da8-394f-44f9-9e6d-8a17500f5109";

    fn asked(query: &str, body: &str) -> Result<Retry, String> {
        let query = Query::parse(query).expect("a query");
        read(&query, body.as_bytes()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn query_and_body_are_equivalent() {
        let total = RetryChange::Total(Retries::new(3).expect("valid"));
        let wanted = Retry {
            jobs: Uuid::parse(JOB).into_iter().collect(),
            groups: Vec::new(),
            failed_only: None,
            change: total,
        };
        assert_eq!(
            asked(&format!("job={JOB}&retries=3"), ""),
            Ok(wanted.clone())
        );
        for body in [
            format!(r#"{{"job": "{JOB}", "retries": 3}}"#),
            format!(r#"{{"jobs": ["{JOB}"], "retries": 3}}"#),
        ] {
            assert_eq!(asked("", &body), Ok(wanted.clone()));
        }
        let mixed = asked(&format!("job={JOB}"), r#"{"retries": 3}"#);
        assert_eq!(mixed, Ok(wanted));
        let more = asked(
            "",
            &format!(r#"{{"groups": ["{JOB}"], "increment": 2, "failed_only": false}}"#),
        );
        let more = more.expect("good");
        assert_eq!(more.failed_only, Some(false));
        assert_eq!(
            more.change,
            RetryChange::Increment(Retries::new(2).expect("valid"))
        );
    }

    #[test]
    fn a_parameter_has_one_source() {
        let (query, job) = (format!("job={JOB}"), format!(r#""job": "{JOB}""#));
        let jobs = format!(r#""jobs": ["{JOB}"]"#);
        for (query, body, wanted) in [
            (
                "",
                format!("{job}, {jobs}"),
                r#"Can't specify both "job" and "jobs"."#,
            ),
            (
                &*query,
                job,
                r#"Can't specify "job" in both query and body."#,
            ),
            (
                &*query,
                jobs.clone(),
                r#"Can't specify both "job" in query and "jobs" in body."#,
            ),
            (
                "retries=3",
                jobs,
                r#"Can't specify "retries" in both query and body."#,
            ),
        ] {
            let text = asked(query, &format!(r#"{{{body}, "retries": 3}}"#)).expect_err("refused");
            assert!(text.contains(wanted), "{query} {body}: {text}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (query, body, wanted) in [
            ("", "{}", "Need to specify at least 1 job or group."),
            ("job=x&retries=3", "", "jobs[0] must be a uuid"),
            (
                &*format!("job={JOB}"),
                "",
                "Need to specify either retries or increment.",
            ),
            (
                &*format!("job={JOB}&retries=0"),
                "",
                "retries must be a whole number from 1, found 0",
            ),
            (
                &*format!("job={JOB}&retries=x"),
                "",
                "retries must be a whole number",
            ),
            (
                &*format!("job={JOB}&retries=1&increment=1"),
                "",
                "Can't specify both",
            ),
            ("", r#"{"job": "x"}"#, "job must be a uuid"),
            (
                "",
                r#"{"jobb": "x"}"#,
                "jobb is not a known key (did you mean jobs?)",
            ),
            ("", "[]", "must be an object such as"),
            ("", "{", "not valid JSON"),
        ] {
            let text = asked(query, body).expect_err("refused");
            assert!(text.contains(wanted), "{query} {body}: {text}");
        }
    }
}

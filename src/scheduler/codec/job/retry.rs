//! `PUT /retry` and `POST /retry`: parameters in the query, or an object in the body.

use super::object::{Field, Object};
use super::spec::too_many_retries;
use super::uuid;
use crate::codec::fault::Fault;
use crate::codec::json::{self, Json};
use crate::codec::query::Query;
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

/// Reads a retry request.
///
/// # Errors
///
/// What is wrong with the request.
pub fn read(query: &Query, body: &[u8]) -> Result<Retry, Fault> {
    let json = match body.trim_ascii().is_empty() {
        true => from_query(query)?,
        false => json::parse(body)
            .map_err(|error| Fault::Rule(format!("the body is not valid JSON: {error}")))?,
    };
    let mut object = Object::open("", json, "{\"job\": \"...\", \"retries\": 3}")?;
    let uuids = |field: Field| {
        let items = field.items("uuids")?;
        items.into_iter().map(uuid).collect::<Result<Vec<_>, _>>()
    };
    let mut jobs = object.get("jobs", uuids)?.unwrap_or_default();
    jobs.extend(object.get("job", uuid)?);
    let groups = object.get("groups", uuids)?.unwrap_or_default();
    let retries = object.get("retries", retries)?;
    let increment = object.get("increment", self::retries)?;
    let failed_only = object.get("failed_only", Field::flag)?;
    object.close()?;
    if jobs.is_empty() && groups.is_empty() {
        let text = "Need to specify at least one job or group.";
        return Err(Fault::Rule(text.to_owned()));
    }
    let change = match (retries, increment) {
        (Some(total), None) => RetryChange::Total(total),
        (None, Some(more)) => RetryChange::Increment(more),
        (None, None) => {
            let text = "Need to specify either retries or increment.";
            return Err(Fault::Rule(text.to_owned()));
        }
        (Some(_), Some(_)) => {
            let text = "Can't specify both retries and increment.";
            return Err(Fault::Rule(text.to_owned()));
        }
    };
    Ok(Retry {
        jobs,
        groups,
        failed_only,
        change,
    })
}

fn retries(field: Field) -> Result<Retries, Fault> {
    let number = field.whole(1)?;
    let retries = u32::try_from(number).ok().and_then(Retries::new);
    retries.ok_or_else(|| too_many_retries(number))
}

/// Converts the query parameters to the JSON object that a client would send as the body of the same request.
fn from_query(query: &Query) -> Result<Json, Fault> {
    let rule = |error: crate::codec::query::QueryError| Fault::Rule(error.0);
    let mut members = Vec::new();
    let texts = |names: [&'static str; 2]| {
        let values = names.into_iter().flat_map(|name| query.all(name));
        Json::Array(values.map(|text| Json::String(text.to_owned())).collect())
    };
    members.push(("jobs".to_owned(), texts(["job", "jobs"])));
    members.push(("groups".to_owned(), texts(["group", "groups"])));
    for name in ["retries", "increment"] {
        if let Some(number) = query.number(name).map_err(rule)? {
            members.push((name.to_owned(), Json::Unsigned(number)));
        }
    }
    if query.one("failed_only").map_err(rule)?.is_some() {
        let flag = query.flag("failed_only").map_err(rule)?;
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
    fn mistakes_are_explained() {
        for (query, body, wanted) in [
            ("", "{}", "Need to specify at least one job or group."),
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

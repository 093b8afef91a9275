//! The submitted parts of a job, in replies.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::core::job::{Application, JobSpec, Uri};
use crate::core::words::{Guard, Hook, NotEmpty, Timing};

/// A hook, as it was submitted.
#[derive(Debug, Serialize)]
pub struct HookReply<'a> {
    value: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    guard: bool,
    #[serde(skip_serializing_if = "is_false")]
    r#async: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    timeout: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct UriReply<'a> {
    value: &'a str,
    executable: bool,
    extract: bool,
    cache: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ApplicationReply<'a> {
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload_details: Option<&'a str>,
}

impl<'a> HookReply<'a> {
    /// Converts hooks; `None` if there are none.
    pub fn all(hooks: &'a [Hook]) -> Option<Vec<Self>> {
        let shown = |hook: &'a Hook| Self {
            value: hook.command.as_str(),
            guard: hook.guard == Guard::Guarded,
            r#async: hook.timing == Timing::Asynchronous,
            timeout: hook.timeout.map(|timeout| timeout.seconds()),
        };
        (!hooks.is_empty()).then(|| hooks.iter().map(shown).collect())
    }
}

impl<'a> UriReply<'a> {
    pub(super) fn new(uri: &'a Uri) -> Self {
        Self {
            value: uri.value.as_str(),
            executable: uri.is_for.executable,
            extract: uri.is_for.extract,
            cache: uri.cache,
        }
    }
}

impl<'a> ApplicationReply<'a> {
    pub(super) fn new(application: &'a Application) -> Self {
        let text = |text: &'a Option<NotEmpty>| text.as_ref().map(NotEmpty::as_str);
        Self {
            name: application.name.as_str(),
            version: application.version.as_str(),
            workload_class: text(&application.workload_class),
            workload_id: text(&application.workload_id),
            workload_details: text(&application.workload_details),
        }
    }
}

pub(super) fn env(spec: &JobSpec) -> BTreeMap<&str, &str> {
    let pairs = spec.env.iter();
    pairs
        .map(|variable| (variable.name().as_str(), variable.value()))
        .collect()
}

pub(super) fn labels(spec: &JobSpec) -> BTreeMap<&str, &str> {
    let pairs = spec.labels.iter();
    pairs
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .collect()
}

pub(super) fn constraints(spec: &JobSpec) -> Vec<[&str; 3]> {
    let constraints = spec.constraints.iter();
    constraints
        .map(|constraint| {
            let (attribute, value) = (&constraint.attribute, &constraint.value);
            [attribute.as_str(), "EQUALS", value.as_str()]
        })
        .collect()
}

/// `checkpoint`, which is stored as JSON.
pub(super) fn checkpoint(spec: &JobSpec) -> Option<Value> {
    serde_json::from_str(spec.checkpoint.as_deref()?).ok()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Writes a number without a fraction as an integer.
pub(super) fn seconds<S: Serializer>(number: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match number {
        None => to.serialize_none(),
        Some(number) => plain(number, to),
    }
}

/// Like [`seconds`].
pub(super) fn plain<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    // Exact below 2^53, which all numbers written this way are.
    match number.fract() == 0.0 && (0.0..9e15).contains(number) {
        true => to.serialize_u64(*number as u64),
        false => to.serialize_f64(*number),
    }
}

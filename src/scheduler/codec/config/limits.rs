//! Limits of jobs, the resources of the embedded agent, and retention.

use std::time::Duration;

use super::section::{Entry, Section, Unknown};
use crate::codec::edn::{Error, Value};
use crate::core::job::Retries;
use crate::core::words::Amount;

/// `:scheduler`: limits of jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// `:cpus`; default: what the machine offers.
    pub cpus: Option<Amount>,
    /// `:memory-gb`, in MB; default: what the machine offers.
    pub mem: Option<Amount>,
    /// `:retry-limit`
    pub max_retries: Retries,
    /// `:max-ports`
    pub max_ports: u32,
    /// `:timeout-hours`: the maximum run time of an instance.
    pub max_runtime: Option<Duration>,
    /// `:command-length-limit`, in characters.
    pub command_length: Option<usize>,
    /// `:mea-culpa-failure-limit`: how many failures per reason do not count as attempts, for reasons
    /// that are not the job's fault.
    pub mea_culpa_failures: u32,
}

/// `:embedded`: the agent on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// `:cpus`; default: all.
    pub cpus: Option<Amount>,
    /// `:memory-gb`, in MB; default: all.
    pub mem: Option<Amount>,
    /// `:recovery-timeout`: how long executors wait for a stopped scheduler.
    pub recovery_timeout: Duration,
}

/// `:retention`: how long ended jobs and their sandboxes are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// `:job-days`
    pub job_age: Duration,
    /// `:jobs`: the maximum number of completed jobs.
    pub jobs: usize,
    /// `:sandbox-days`
    pub sandbox_age: Duration,
    /// `:sandboxes-gb`, in bytes; default: no limit.
    pub sandbox_bytes: Option<u64>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A hundred years. A longer time means "for ever"; this one can still be added to any date.
const LONGEST: Duration = DAY.saturating_mul(36_525);

/// Keys of Cook's resource matching, which have no meaning here.
const SCHEDULER_RETIRED: [&str; 7] = [
    "fenzo-fitness-calculator",
    "fenzo-floor-iterations-before-reset",
    "fenzo-floor-iterations-before-warn",
    "fenzo-max-jobs-considered",
    "fenzo-scaleback",
    "good-enough-fitness",
    "offer-incubate-ms",
];

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpus: None,
            mem: None,
            // The default of Cook.
            max_retries: Retries::new(20).unwrap_or(Retries::ONE),
            max_ports: 5,
            max_runtime: None,
            command_length: None,
            mea_culpa_failures: 5,
        }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            cpus: None,
            mem: None,
            recovery_timeout: DAY * 7,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            job_age: DAY * 7,
            jobs: 100_000,
            sandbox_age: DAY * 7,
            sandbox_bytes: None,
        }
    }
}

pub(super) fn scheduler(entry: Entry, remarks: &mut Vec<String>) -> Result<Limits, Error> {
    let mut section = Section::open(entry)?;
    let mut limits = Limits::default();
    if let Some(entry) = section.take("task-constraints") {
        constraints(entry, &mut limits, remarks)?;
    }
    if let Some(failures) = section.get("mea-culpa-failure-limit", mea_culpa)? {
        limits.mea_culpa_failures = failures;
    }
    section.close(Unknown::Warn, &SCHEDULER_RETIRED, remarks)?;
    Ok(limits)
}

fn constraints(entry: Entry, limits: &mut Limits, remarks: &mut Vec<String>) -> Result<(), Error> {
    let mut section = Section::open(entry)?;
    limits.cpus = section.get("cpus", cpus)?;
    limits.mem = section.get("memory-gb", gigabytes)?;
    if let Some(limit) = section.get("retry-limit", retries)? {
        limits.max_retries = limit;
    }
    if let Some(number) = section.get("max-ports", |entry| count(entry, 0))? {
        limits.max_ports = number;
    }
    limits.max_runtime = section.get("timeout-hours", |entry| seconds_of(entry, 3_600.0))?;
    limits.command_length = section.get("command-length-limit", |entry| {
        Ok(usize::try_from(entry.integer(1, i64::MAX)?).unwrap_or(usize::MAX))
    })?;
    section.close(Unknown::Warn, &["timeout-interval-minutes"], remarks)
}

/// In Cook, this key may also hold a map with a limit per reason; its `:default` is used here.
fn mea_culpa(entry: Entry) -> Result<u32, Error> {
    match entry.node.value {
        Value::Map(_) => {
            let mut section = Section::open(entry)?;
            Ok(section
                .get("default", |entry| count(entry, 0))?
                .unwrap_or(Limits::default().mea_culpa_failures))
        }
        _ => count(entry, 0),
    }
}

pub(super) fn embedded(entry: Entry) -> Result<Embedded, Error> {
    let mut section = Section::open(entry)?;
    let defaults = Embedded::default();
    let embedded = Embedded {
        cpus: section.get("cpus", cpus)?,
        mem: section.get("memory-gb", gigabytes)?,
        recovery_timeout: section
            .get("recovery-timeout", |entry| seconds_of(entry, 1.0))?
            .unwrap_or(defaults.recovery_timeout),
    };
    section.close(Unknown::Refuse, &[], &mut Vec::new())?;
    Ok(embedded)
}

pub(super) fn retention(entry: Entry) -> Result<Retention, Error> {
    let mut section = Section::open(entry)?;
    let defaults = Retention::default();
    let days = |entry: Entry| seconds_of(entry, DAY.as_secs_f64());
    let retention = Retention {
        job_age: section.get("job-days", days)?.unwrap_or(defaults.job_age),
        jobs: section
            .get("jobs", |entry| {
                let number = entry.integer(1, i64::MAX)?;
                Ok(usize::try_from(number).unwrap_or(usize::MAX))
            })?
            .unwrap_or(defaults.jobs),
        sandbox_age: section
            .get("sandbox-days", days)?
            .unwrap_or(defaults.sandbox_age),
        sandbox_bytes: section.get("sandboxes-gb", |entry| {
            // Saturates: more than a u64 can hold means no limit.
            Ok((entry.positive()? * 1024.0 * 1024.0 * 1024.0) as u64)
        })?,
    };
    section.close(Unknown::Refuse, &[], &mut Vec::new())?;
    Ok(retention)
}

fn retries(entry: Entry) -> Result<Retries, Error> {
    let number = entry.integer(1, Retries::MOST.into())?;
    let retries = u32::try_from(number).ok().and_then(Retries::new);
    retries.ok_or_else(|| entry.wrong("a whole number from 1"))
}

fn count(entry: Entry, from: i64) -> Result<u32, Error> {
    let number = entry.integer(from, i64::from(i32::MAX))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

fn cpus(entry: Entry) -> Result<Amount, Error> {
    entry.amount(1.0)
}

/// An amount in gigabytes, as MB.
fn gigabytes(entry: Entry) -> Result<Amount, Error> {
    entry.amount(1024.0)
}

/// A number of units, each of `unit` seconds.
fn seconds_of(entry: Entry, unit: f64) -> Result<Duration, Error> {
    let seconds = entry.positive()? * unit;
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST);
    Ok(duration.min(LONGEST))
}

//! `:mesos`, or `:compute-clusters` instead.

use std::time::Duration;

use super::section::{Entry, Section, Unknown};
use crate::codec::edn::Error;

/// The settings of the framework.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MesosSettings {
    /// The masters, each `host:port`, optionally with `http://`; one of them is the leader.
    pub masters: Vec<String>,
    /// The role whose resources are offered.
    pub role: Option<String>,
    /// The principal to authenticate as.
    pub principal: Option<String>,
    /// The secret of the principal; without one, the principal is named but not authenticated.
    pub secret: Option<Secret>,
    /// The framework's name.
    pub framework_name: Option<String>,
    /// The user that jobs run as.
    pub run_as_user: Option<String>,
    /// How long the master keeps the tasks of a stopped scheduler.
    pub failover_timeout: Option<Duration>,
    /// How long an instance on an unreachable agent is waited for.
    pub unreachable_timeout: Option<Duration>,
}

/// A password; never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The maximum: the master counts nanoseconds in 64 bits.
const LONGEST_TIMEOUT: f64 = 100.0 * 365.0 * 24.0 * 3600.0;

/// Cook documents `:failover-timeout-ms` but reads `:failover-timeout`, in seconds.
const RETIRED: [&str; 5] = [
    "enable-gpu-support",
    "failover-timeout-ms",
    "framework-id",
    "gpu-enabled?",
    "leader-path",
];

const CLUSTER_RETIRED: [&str; 2] = ["compute-cluster-name", "max-launchable"];

pub(super) fn read(entry: Entry, remarks: &mut Vec<String>) -> Result<MesosSettings, Error> {
    let mut section = Section::open(entry)?;
    let settings = settings(&mut section)?;
    section.close(Unknown::Warn, &RETIRED, remarks)?;
    Ok(settings)
}

/// The one cluster in `:compute-clusters`, if any.
pub(super) fn clusters(
    entry: Entry,
    remarks: &mut Vec<String>,
) -> Result<Option<MesosSettings>, Error> {
    let several = entry.fail("must have one cluster: this scheduler has one master".to_owned());
    let mut elements = entry.elements("a vector of clusters")?.into_iter();
    let (Some(first), rest) = (elements.next(), elements.next()) else {
        return Ok(None);
    };
    if rest.is_some() {
        return Err(several);
    }
    let mut cluster = Section::open(first)?;
    let mut section = Section::open(cluster.need("config")?)?;
    let settings = settings(&mut section)?;
    let retired = [RETIRED.as_slice(), &CLUSTER_RETIRED].concat();
    section.close(Unknown::Warn, &retired, remarks)?;
    cluster.close(Unknown::Warn, &["factory-fn"], remarks)?;
    Ok(Some(settings))
}

fn settings(section: &mut Section) -> Result<MesosSettings, Error> {
    let principal = section.get("principal", Entry::text)?;
    let secret = section.get("secret", |entry| {
        let no_principal = entry.fail("has no effect without a :principal".to_owned());
        match &principal {
            Some(_) => entry.text().map(Secret),
            None => Err(no_principal),
        }
    })?;
    Ok(MesosSettings {
        masters: section.get("master", masters)?.unwrap_or_default(),
        role: section.get("role", Entry::text)?,
        principal,
        secret,
        framework_name: section.get("framework-name", Entry::text)?,
        run_as_user: section.get("run-as-user", Entry::text)?,
        failover_timeout: section.get("failover-timeout", timeout)?,
        unreachable_timeout: section.get("unreachable-timeout", timeout)?,
    })
}

fn timeout(entry: Entry) -> Result<Duration, Error> {
    let seconds = entry
        .number()
        .filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_TIMEOUT);
    let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    timeout.ok_or_else(|| entry.wrong("a number of seconds above 0, at most 100 years"))
}

fn masters(entry: Entry) -> Result<Vec<String>, Error> {
    let (place, path) = (entry.node.place, entry.path.clone());
    let text = entry.text()?;
    list(&text).map_err(|what| Error {
        place,
        text: format!("{path} {what}"),
    })
}

/// Reads a list of masters; the command line uses the same format.
///
/// # Errors
///
/// What is wrong with the list.
pub fn list(text: &str) -> Result<Vec<String>, String> {
    if text.starts_with("zk://") {
        return Err(
            "names ZooKeeper, which is not supported: list the masters, such as host:5050,host:5050"
                .to_owned(),
        );
    }
    if text.contains("https://") {
        return Err("names https, which is not supported: use http://host:5050".to_owned());
    }
    let masters = text.split(',').map(str::trim).map(|master| {
        let host_port = master.strip_prefix("http://").unwrap_or(master);
        let host_port = host_port.strip_suffix('/').unwrap_or(host_port);
        let (host, port) = host_port.rsplit_once(':').unwrap_or((host_port, "5050"));
        let is_host = !host.is_empty()
            && host
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-._[]:".contains(letter));
        match is_host && port.parse::<u16>().is_ok_and(|port| port > 0) {
            true => Ok(format!("{host}:{port}")),
            false => Err("must be a list of masters, each host:port".to_owned()),
        }
    });
    masters.collect()
}

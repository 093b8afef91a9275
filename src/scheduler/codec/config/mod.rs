//! The configuration file: EDN, with the documented keys and those keys of Cook that have a meaning
//! here.

mod access;
mod executor;
mod limits;
mod mesos;
mod section;
#[cfg(test)]
mod tests;

use super::edn::{self, Error, Node, Place};
use crate::core::words::UserName;
use section::{Entry, Section, Unknown};

pub use access::{Authorization, Login};
pub use executor::ExecutorSettings;
pub use limits::{Embedded, Limits, Retention};
pub use mesos::{MesosSettings, Secret, list as masters};

/// The content of a configuration file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// `:port`
    pub port: Option<u16>,
    /// `:hostname`: another name of the API's host.
    pub hostname: Option<String>,
    /// `:authorization`
    pub authorization: Authorization,
    /// `:authorization-config :admins`: users who may see and kill everybody's jobs.
    pub admins: Vec<UserName>,
    /// `:executor`
    pub executor: ExecutorSettings,
    /// `:mesos`; without it, jobs run on this machine.
    pub mesos: Option<MesosSettings>,
    /// `:scheduler`
    pub limits: Limits,
    /// `:embedded`
    pub embedded: Embedded,
    /// `:retention`
    pub retention: Retention,
}

/// Keys of Cook's configuration that have no meaning here.
const RETIRED: [&str; 27] = [
    "agent-query-cache",
    "cache-working-set-size",
    "cluster-dns-name",
    "cors-origins",
    "data-local",
    "database",
    "dns-name",
    "estimated-completion-constraint",
    "exit-code-syncer",
    "http-kerberos",
    "kubernetes",
    "log",
    "metrics",
    "nrepl",
    "offer-matching",
    "optimizer",
    "plugins",
    "pools",
    "progress",
    "rate-limit",
    "rebalancer",
    "sandbox-syncer",
    "server-https-port",
    "ssl",
    "synthetic-pods",
    "unhandled-exceptions",
    "zookeeper",
];

/// Reads a configuration file. Also returns lines for the log: keys that were skipped, ignored, or that
/// do nothing.
///
/// # Errors
///
/// The first mistake, with its line.
pub fn read(
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Configuration, Vec<String>), Error> {
    let document = edn::read(bytes, environment)?;
    let skipped =
        |place: &Place| format!("{place}: skipped \"...\", which stands for omitted text");
    let mut remarks: Vec<String> = document.ellipses.iter().map(skipped).collect();
    let configuration = configuration(document.root, &mut remarks)?;
    Ok((configuration, remarks))
}

fn configuration(root: Node, remarks: &mut Vec<String>) -> Result<Configuration, Error> {
    let root = Entry {
        key: String::new(),
        key_place: root.place,
        path: String::new(),
        node: root,
    };
    let mut section = Section::open(root)?;
    let port = section.get("port", |entry| {
        let number = entry.integer(1, i64::from(u16::MAX))?;
        Ok(u16::try_from(number).unwrap_or(u16::MAX))
    })?;
    let hostname = section.get("hostname", hostname)?;
    let authorization = section.get("authorization", |entry| {
        access::authorization(entry, remarks)
    });
    let authorization = authorization?.unwrap_or_default();
    let admins = section.get("authorization-config", |entry| {
        access::admins(entry, remarks)
    })?;
    let executor = section.get("executor", |entry| executor::read(entry, remarks))?;
    let mesos = section.get("mesos", |entry| mesos::read(entry, remarks))?;
    let clusters = section.get("compute-clusters", |entry| mesos::clusters(entry, remarks))?;
    let limits = section.get("scheduler", |entry| limits::scheduler(entry, remarks))?;
    let embedded = section.get("embedded", limits::embedded)?;
    let retention = section.get("retention", limits::retention)?;
    section.close(Unknown::Warn, &RETIRED, remarks)?;
    Ok(Configuration {
        port,
        hostname,
        authorization,
        admins: admins.unwrap_or_default(),
        executor: executor.unwrap_or_default(),
        mesos: mesos.or(clusters.flatten()),
        limits: limits.unwrap_or_default(),
        embedded: embedded.unwrap_or_default(),
        retention: retention.unwrap_or_default(),
    })
}

fn hostname(entry: Entry) -> Result<String, Error> {
    let wrong = entry.fail("must be a name such as jobs.example.org, without a port".to_owned());
    let name = entry.text()?.to_ascii_lowercase();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    match name.chars().all(allowed) {
        true => Ok(name),
        false => Err(wrong),
    }
}

//! `:executor`: how executors are started, and what the operator adds to every job.

use std::time::Duration;

use super::section::{Entry, Section, Unknown};
use crate::codec::edn::{Error, Value};
use crate::codec::pattern;
use crate::core::job::{Uri, UriUse, Variable};
use crate::core::words::{Command, EnvName, Guard, Hook, HookTimeout, NotEmpty, Timing};

/// The content of `:executor`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorSettings {
    /// The command that starts the executor.
    pub command: String,
    /// `EXECUTOR_LOG_LEVEL` of every job.
    pub log_level: String,
    /// `EXECUTOR_MAX_MESSAGE_LENGTH` of every job.
    pub max_message_length: u32,
    /// Commands that run before those of every job.
    pub before: Vec<Hook>,
    /// Commands that run after those of every job.
    pub after: Vec<Hook>,
    /// Files fetched into every job's sandbox: `:uris`, then `:uri`.
    pub uris: Vec<Uri>,
    /// Variables of every job; they override the job's own `env`.
    pub environment: Vec<Variable>,
    /// `PROGRESS_REGEX_STRING` of jobs that set none.
    pub progress_regex: Option<String>,
    /// `PROGRESS_SAMPLE_INTERVAL_MS` of every job.
    pub progress_sample_interval: Option<Duration>,
}

/// Keys of Cook that have no meaning here, because every job runs with this executor.
const RETIRED: [&str; 3] = ["portion", "retry-limit", "incremental-config-environment"];

/// The log levels of the executor.
const LOG_LEVELS: [&str; 7] = [
    "TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL",
];

impl Default for ExecutorSettings {
    /// The documented defaults.
    fn default() -> Self {
        Self {
            command: "cook-executor".to_owned(),
            log_level: "INFO".to_owned(),
            max_message_length: 512,
            before: Vec::new(),
            after: Vec::new(),
            uris: Vec::new(),
            environment: Vec::new(),
            progress_regex: None,
            progress_sample_interval: None,
        }
    }
}

pub(super) fn read(entry: Entry, remarks: &mut Vec<String>) -> Result<ExecutorSettings, Error> {
    let mut section = Section::open(entry)?;
    let defaults = ExecutorSettings::default();
    let mut uris = section.get("uris", uris)?.unwrap_or_default();
    uris.extend(section.get("uri", uri)?);
    let settings = ExecutorSettings {
        command: section
            .get("command", Entry::text)?
            .unwrap_or(defaults.command),
        log_level: section
            .get("log-level", log_level)?
            .unwrap_or(defaults.log_level),
        max_message_length: section
            .get("max-message-length", |entry| {
                let number = entry.integer(1, i64::from(u32::MAX))?;
                Ok(u32::try_from(number).unwrap_or(u32::MAX))
            })?
            .unwrap_or(defaults.max_message_length),
        before: section.get("before-commands", hooks)?.unwrap_or_default(),
        after: section.get("after-commands", hooks)?.unwrap_or_default(),
        uris,
        environment: section.get("environment", environment)?.unwrap_or_default(),
        progress_regex: section.get("default-progress-regex-string", |entry| {
            entry.checked(|text| pattern::check(&text).map(|()| text))
        })?,
        progress_sample_interval: section.get("progress-sample-interval-ms", |entry| {
            let number = entry.integer(1, i64::MAX)?;
            Ok(Duration::from_millis(number.unsigned_abs()))
        })?,
    };
    section.close(Unknown::Refuse, &RETIRED, remarks)?;
    Ok(settings)
}

fn log_level(entry: Entry) -> Result<String, Error> {
    let wanted = || entry.wrong("one of \"DEBUG\", \"INFO\", \"WARNING\", \"ERROR\"");
    match &entry.node.value {
        Value::String(text) => {
            let level = text.to_ascii_uppercase();
            match LOG_LEVELS.contains(&level.as_str()) {
                true => Ok(level),
                false => Err(wanted()),
            }
        }
        _ => Err(wanted()),
    }
}

fn hooks(entry: Entry) -> Result<Vec<Hook>, Error> {
    let elements = entry.elements("a vector of commands such as [{:value \"echo hello\"}]")?;
    elements.into_iter().map(hook).collect()
}

fn hook(entry: Entry) -> Result<Hook, Error> {
    let mut section = Section::open(entry)?;
    let hook = Hook {
        command: section.need("value")?.checked(Command::new)?,
        guard: match section.get("guard", Entry::flag)? {
            Some(true) => Guard::Guarded,
            Some(false) | None => Guard::Unguarded,
        },
        timing: match section.get("async", Entry::flag)? {
            Some(true) => Timing::Asynchronous,
            Some(false) | None => Timing::Synchronous,
        },
        timeout: section.get("timeout", |entry| {
            let timeout = entry.number().and_then(HookTimeout::from_seconds);
            timeout.ok_or_else(|| entry.wrong("a number of seconds above 0, at most a year"))
        })?,
    };
    section.close(Unknown::Refuse, &[], &mut Vec::new())?;
    Ok(hook)
}

fn uris(entry: Entry) -> Result<Vec<Uri>, Error> {
    let elements = entry.elements("a vector of uris such as [{:value \"/path/to/file\"}]")?;
    elements.into_iter().map(uri).collect()
}

fn uri(entry: Entry) -> Result<Uri, Error> {
    let mut section = Section::open(entry)?;
    let uri = Uri {
        value: section.need("value")?.checked(NotEmpty::new)?,
        is_for: UriUse {
            executable: section.get("executable", Entry::flag)?.unwrap_or(false),
            extract: section.get("extract", Entry::flag)?.unwrap_or(false),
        },
        cache: section.get("cache", Entry::flag)?.unwrap_or(false),
    };
    section.close(Unknown::Refuse, &[], &mut Vec::new())?;
    Ok(uri)
}

/// A map from text to text; names may be keywords too.
fn environment(entry: Entry) -> Result<Vec<Variable>, Error> {
    let wanted = "a map of text to text such as {\"LANG\" \"C.UTF-8\"}";
    let path = entry.path.clone();
    let Value::Map(pairs) = entry.node.value else {
        return Err(entry.wrong(wanted));
    };
    let mut variables = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let name = match key.value {
            Value::String(name) | Value::Keyword(name) => name,
            other => {
                let text = format!("{path} must be {wanted}, found {} as a name", other.kind());
                let place = key.place;
                return Err(Error { place, text });
            }
        };
        let text = match value.value {
            Value::String(text) => text,
            other => {
                let kind = other.kind();
                let text = format!("{path} {name:?} must be text in quotes, found {kind}");
                let place = value.place;
                return Err(Error { place, text });
            }
        };
        let wrong = |place, what: String| Error {
            place,
            text: format!("{path} {name:?} {what}"),
        };
        let variable = EnvName::new(name.as_str()).map_err(|error| {
            wrong(
                key.place,
                format!("is not a valid variable name: it {error}"),
            )
        })?;
        variables.push(
            Variable::new(variable, text).map_err(|error| wrong(value.place, error.to_string()))?,
        );
    }
    Ok(variables)
}

//! A submitted job as a protobuf message. Field numbers never change.

use prost::Message;

use super::records::{InvalidRecord, uuid};
use crate::core::job::{
    Application, Constraint, JobSpec, Priority, Retries, Runtime, Uri, UriUse, Variable,
};
use crate::core::words::{
    Amount, ApplicationText, Command, Demand, EnvName, GroupId, Guard, Hook, HookTimeout, JobName,
    LabelText, NotEmpty, TextError, Timing,
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct SpecRecord {
    #[prost(string, optional, tag = "1")]
    command: Option<String>,
    #[prost(message, repeated, tag = "2")]
    before: Vec<HookRecord>,
    #[prost(message, repeated, tag = "3")]
    after: Vec<HookRecord>,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(uint32, tag = "5")]
    priority: u32,
    #[prost(uint64, tag = "6")]
    cpus: u64,
    #[prost(uint64, tag = "7")]
    mem: u64,
    #[prost(uint32, tag = "8")]
    ports: u32,
    #[prost(uint32, tag = "9")]
    max_retries: u32,
    #[prost(uint64, optional, tag = "10")]
    max_runtime: Option<u64>,
    #[prost(uint64, optional, tag = "11")]
    expected_runtime: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    env: Vec<PairRecord>,
    #[prost(message, repeated, tag = "13")]
    labels: Vec<PairRecord>,
    #[prost(message, repeated, tag = "14")]
    uris: Vec<UriRecord>,
    #[prost(message, repeated, tag = "15")]
    constraints: Vec<PairRecord>,
    #[prost(bytes = "vec", optional, tag = "16")]
    group: Option<Vec<u8>>,
    #[prost(string, optional, tag = "17")]
    progress_output_file: Option<String>,
    #[prost(string, optional, tag = "18")]
    progress_regex: Option<String>,
    #[prost(bool, tag = "19")]
    counts_all_failures: bool,
    #[prost(message, optional, tag = "20")]
    application: Option<ApplicationRecord>,
    #[prost(bool, tag = "21")]
    names_executor: bool,
    #[prost(string, optional, tag = "22")]
    pool: Option<String>,
    #[prost(string, optional, tag = "23")]
    checkpoint: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct HookRecord {
    #[prost(string, tag = "1")]
    command: String,
    #[prost(bool, tag = "2")]
    is_guarded: bool,
    #[prost(bool, tag = "3")]
    is_asynchronous: bool,
    #[prost(uint64, optional, tag = "4")]
    timeout_micros: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct PairRecord {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct UriRecord {
    #[prost(string, tag = "1")]
    value: String,
    #[prost(bool, tag = "2")]
    executable: bool,
    #[prost(bool, tag = "3")]
    extract: bool,
    #[prost(bool, tag = "4")]
    cache: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ApplicationRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(string, optional, tag = "3")]
    workload_class: Option<String>,
    #[prost(string, optional, tag = "4")]
    workload_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    workload_details: Option<String>,
}

pub(super) fn of_spec(spec: &JobSpec) -> SpecRecord {
    let text = |text: &Option<NotEmpty>| text.as_ref().map(|text| text.as_str().to_owned());
    let pair = |key: &str, value: &str| PairRecord {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    SpecRecord {
        command: spec
            .command
            .as_ref()
            .map(|command| command.as_str().to_owned()),
        before: spec.before.iter().map(of_hook).collect(),
        after: spec.after.iter().map(of_hook).collect(),
        name: spec.name.as_str().to_owned(),
        priority: spec.priority.get(),
        cpus: spec.demand.cpus.thousandths(),
        mem: spec.demand.mem.thousandths(),
        ports: spec.demand.ports,
        max_retries: spec.max_retries.get(),
        max_runtime: spec.max_runtime.map(Runtime::millis),
        expected_runtime: spec.expected_runtime.map(Runtime::millis),
        env: spec
            .env
            .iter()
            .map(|variable| pair(variable.name().as_str(), variable.value()))
            .collect(),
        labels: spec
            .labels
            .iter()
            .map(|(key, value)| pair(key, value))
            .collect(),
        uris: spec.uris.iter().map(of_uri).collect(),
        constraints: spec
            .constraints
            .iter()
            .map(|constraint| pair(constraint.attribute.as_str(), constraint.value.as_str()))
            .collect(),
        group: spec.group.map(|group| group.0.as_bytes().to_vec()),
        progress_output_file: text(&spec.progress_output_file),
        progress_regex: text(&spec.progress_regex),
        counts_all_failures: spec.counts_all_failures,
        application: spec.application.as_ref().map(of_application),
        names_executor: spec.names_executor,
        pool: text(&spec.pool),
        checkpoint: spec.checkpoint.as_deref().map(str::to_owned),
    }
}

fn of_hook(hook: &Hook) -> HookRecord {
    HookRecord {
        command: hook.command.as_str().to_owned(),
        is_guarded: hook.guard == Guard::Guarded,
        is_asynchronous: hook.timing == Timing::Asynchronous,
        timeout_micros: hook.timeout.map(HookTimeout::micros),
    }
}

fn of_uri(uri: &Uri) -> UriRecord {
    UriRecord {
        value: uri.value.as_str().to_owned(),
        executable: uri.is_for.executable,
        extract: uri.is_for.extract,
        cache: uri.cache,
    }
}

fn of_application(application: &Application) -> ApplicationRecord {
    let text = |text: &Option<NotEmpty>| text.as_ref().map(|text| text.as_str().to_owned());
    ApplicationRecord {
        name: application.name.as_str().to_owned(),
        version: application.version.as_str().to_owned(),
        workload_class: text(&application.workload_class),
        workload_id: text(&application.workload_id),
        workload_details: text(&application.workload_details),
    }
}

pub(super) fn spec_of(record: SpecRecord) -> Result<JobSpec, InvalidRecord> {
    let hooks = |hooks: Vec<HookRecord>| {
        hooks
            .into_iter()
            .map(hook_of)
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(JobSpec {
        command: record.command.map(Command::new).transpose()?,
        before: hooks(record.before)?,
        after: hooks(record.after)?,
        name: JobName::new(record.name)?,
        priority: Priority::new(record.priority).ok_or(InvalidRecord("a priority"))?,
        demand: Demand {
            cpus: Amount::from_thousandths(record.cpus),
            mem: Amount::from_thousandths(record.mem),
            ports: record.ports,
        },
        max_retries: Retries::new(record.max_retries)
            .ok_or(InvalidRecord("a number of retries"))?,
        max_runtime: record.max_runtime.and_then(Runtime::from_millis),
        expected_runtime: record.expected_runtime.and_then(Runtime::from_millis),
        env: record
            .env
            .into_iter()
            .map(variable_of)
            .collect::<Result<_, _>>()?,
        labels: record
            .labels
            .into_iter()
            .map(|pair| (pair.key.into(), pair.value.into()))
            .collect(),
        uris: record
            .uris
            .into_iter()
            .map(uri_of)
            .collect::<Result<_, _>>()?,
        constraints: record
            .constraints
            .into_iter()
            .map(constraint_of)
            .collect::<Result<_, _>>()?,
        group: record
            .group
            .map(|group| uuid(&group).map(GroupId))
            .transpose()?,
        progress_output_file: record.progress_output_file.map(NotEmpty::new).transpose()?,
        progress_regex: record.progress_regex.map(NotEmpty::new).transpose()?,
        counts_all_failures: record.counts_all_failures,
        application: record.application.map(application_of).transpose()?,
        names_executor: record.names_executor,
        pool: record.pool.map(NotEmpty::new).transpose()?,
        checkpoint: record.checkpoint.map(Into::into),
    })
}

fn hook_of(record: HookRecord) -> Result<Hook, TextError> {
    Ok(Hook {
        command: Command::new(record.command)?,
        guard: if record.is_guarded {
            Guard::Guarded
        } else {
            Guard::Unguarded
        },
        timing: if record.is_asynchronous {
            Timing::Asynchronous
        } else {
            Timing::Synchronous
        },
        timeout: record.timeout_micros.and_then(HookTimeout::from_micros),
    })
}

fn variable_of(pair: PairRecord) -> Result<Variable, TextError> {
    Variable::new(EnvName::new(pair.key)?, pair.value)
}

fn uri_of(record: UriRecord) -> Result<Uri, TextError> {
    Ok(Uri {
        value: NotEmpty::new(record.value)?,
        is_for: UriUse {
            executable: record.executable,
            extract: record.extract,
        },
        cache: record.cache,
    })
}

fn constraint_of(pair: PairRecord) -> Result<Constraint, TextError> {
    Ok(Constraint {
        attribute: LabelText::new(pair.key)?,
        value: LabelText::new(pair.value)?,
    })
}

fn application_of(record: ApplicationRecord) -> Result<Application, TextError> {
    Ok(Application {
        name: ApplicationText::new(record.name)?,
        version: ApplicationText::new(record.version)?,
        workload_class: record.workload_class.map(NotEmpty::new).transpose()?,
        workload_id: record.workload_id.map(NotEmpty::new).transpose()?,
        workload_details: record.workload_details.map(NotEmpty::new).transpose()?,
    })
}

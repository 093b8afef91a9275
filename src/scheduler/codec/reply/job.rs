//! A job.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::instance::{Codes, InstanceReply};
use super::spec::{self, ApplicationReply, HookReply, UriReply};
use super::{Context, GroupName, GroupsAs};
use crate::core::job::{Group, Job};
use crate::core::words::{GroupId, NotEmpty};

/// Cook's number for "no limit".
const NO_LIMIT: u64 = i64::MAX.unsigned_abs();

/// A job, as `GET /rawscheduler`, `/jobs` and `/list` return it.
#[derive(Debug, Serialize)]
pub struct JobReply<'a> {
    uuid: String,
    name: &'a str,
    user: &'a str,
    /// Empty for a job of hooks only, because Cook's clients require the key.
    command: &'a str,
    status: &'static str,
    state: &'static str,
    priority: u32,
    cpus: f64,
    mem: f64,
    gpus: u32,
    ports: u32,
    max_retries: u32,
    retries_remaining: u32,
    max_runtime: u64,
    submit_time: u64,
    disable_mea_culpa_retries: bool,
    framework_id: &'a str,
    env: BTreeMap<&'a str, &'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    uris: Vec<UriReply<'a>>,
    constraints: Vec<[&'a str; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<[GroupOfJob<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<ApplicationReply<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_runtime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_output_file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_regex_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_commands: Option<Vec<HookReply<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_commands: Option<Vec<HookReply<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    before_exit_codes: Codes<'a>,
    after_exit_codes: Codes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_before_exit_codes: Option<Codes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_after_exit_codes: Option<Codes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    instances: Vec<InstanceReply<'a>>,
}

/// The form of a job's group in a reply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum GroupOfJob<'a> {
    Id(String),
    Name(GroupName<'a>),
}

impl<'a> JobReply<'a> {
    /// Converts a job. `group` looks up its group.
    pub fn new(
        job: &'a Job,
        groups_as: &GroupsAs,
        group: impl FnOnce(GroupId) -> Option<&'a Group>,
        context: &Context<'a>,
    ) -> Self {
        let spec = &*job.spec;
        let text = |text: &'a Option<NotEmpty>| text.as_ref().map(NotEmpty::as_str);
        let newest = job.newest();
        let report = newest.map(|instance| &instance.report);
        // The exit code is absent until the job has finished. A job that waits for its next attempt has
        // not.
        let is_finished = job.is_completed() && newest.is_some_and(|instance| instance.is_ended());
        let exit_code = report.and_then(|report| report.exit_code);
        Self {
            uuid: job.id.to_string(),
            name: spec.name.as_str(),
            user: job.user.as_str(),
            command: spec.command.as_ref().map_or("", |command| command.as_str()),
            status: super::status(job.status),
            state: super::state(job.status),
            priority: spec.priority.get(),
            cpus: spec.demand.cpus.as_f64(),
            mem: spec.demand.mem.as_f64(),
            gpus: 0,
            ports: spec.demand.ports,
            max_retries: job.max_retries.get(),
            retries_remaining: job.retries_remaining(context.free_failures),
            max_runtime: spec.max_runtime.map_or(NO_LIMIT, |limit| limit.millis()),
            submit_time: job.submitted.wall.0,
            disable_mea_culpa_retries: spec.counts_all_failures,
            framework_id: context.framework_id(),
            env: spec::env(spec),
            labels: spec::labels(spec),
            uris: spec.uris.iter().map(UriReply::new).collect(),
            constraints: spec::constraints(spec),
            groups: spec.group.map(|id| {
                [match groups_as {
                    GroupsAs::Ids => GroupOfJob::Id(id.to_string()),
                    GroupsAs::Names => GroupOfJob::Name(
                        group(id).map_or_else(|| GroupName::unnamed(id), GroupName::new),
                    ),
                }]
            }),
            application: spec.application.as_ref().map(ApplicationReply::new),
            expected_runtime: spec.expected_runtime.map(|runtime| runtime.millis()),
            executor: spec.names_executor.then_some("cook"),
            pool: text(&spec.pool),
            progress_output_file: text(&spec.progress_output_file),
            progress_regex_string: text(&spec.progress_regex),
            checkpoint: spec::checkpoint(spec),
            before_commands: HookReply::all(&spec.before),
            after_commands: HookReply::all(&spec.after),
            exit_code: exit_code.filter(|_| is_finished && spec.command.is_some()),
            before_exit_codes: Codes::until_unknown(report.map(|report| &*report.before_codes)),
            after_exit_codes: Codes::until_unknown(report.map(|report| &*report.after_codes)),
            default_before_exit_codes: Codes::until_unknown(
                report.map(|report| &*report.default_before_codes),
            )
            .if_any(),
            default_after_exit_codes: Codes::until_unknown(
                report.map(|report| &*report.default_after_codes),
            )
            .if_any(),
            progress: report.and_then(|report| report.progress),
            message: report
                .and_then(|report| report.message.as_ref())
                .map(|message| message.as_str()),
            instances: job
                .instances
                .iter()
                .map(|instance| InstanceReply::new(job, instance, context))
                .collect(),
        }
    }
}

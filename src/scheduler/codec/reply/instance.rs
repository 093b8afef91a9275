//! An instance of a job.

use std::borrow::Cow;

use serde::Serialize;

use super::Context;
use crate::codec::query::encoded;
use crate::core::job::{Instance, InstanceState, Job, Outcome};

/// Exit codes, by the index of their command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Codes<'a>(&'a [Option<i32>]);

/// An instance, as part of a job.
#[derive(Debug, Serialize)]
pub struct InstanceReply<'a> {
    task_id: String,
    executor_id: String,
    slave_id: &'a str,
    agent_id: &'a str,
    hostname: &'a str,
    status: &'static str,
    preempted: bool,
    backfilled: bool,
    ports: &'a [u16],
    #[serde(rename = "compute-cluster")]
    compute_cluster: ComputeCluster<'a>,
    executor: &'static str,
    start_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesos_start_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_time: Option<u64>,
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
    progress_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_string: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_mea_culpa: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_directory: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct ComputeCluster<'a> {
    name: &'a str,
    /// Clients treat any other type as Kubernetes.
    r#type: &'static str,
    mesos: MesosCluster<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct MesosCluster<'a> {
    framework_id: &'a str,
}

impl<'a> Codes<'a> {
    /// The codes before the first unknown one: on a job, the array has integers only.
    pub(super) fn until_unknown(codes: Option<&'a [Option<i32>]>) -> Self {
        let codes = codes.unwrap_or_default();
        let known = codes.iter().take_while(|code| code.is_some()).count();
        Self(&codes[..known])
    }

    /// `None` if there are no codes.
    pub(super) fn if_any(self) -> Option<Self> {
        (!self.0.is_empty()).then_some(self)
    }
}

impl<'a> InstanceReply<'a> {
    /// Converts an instance of this job.
    pub fn new(job: &Job, instance: &'a Instance, context: &Context<'a>) -> Self {
        let report = &instance.report;
        let place = &*instance.place;
        let message = report.message.as_ref().map(|message| message.as_str());
        let failure = instance.failure();
        let authority = place.files_at.as_deref().unwrap_or(context.authority);
        let sandbox = match (instance.sandbox.as_deref(), context.sandboxes) {
            (Some(known), _) => Some(Cow::Borrowed(known)),
            (None, Some(folder)) => {
                let folder = folder.join(instance.id.to_string());
                Some(Cow::Owned(folder.to_string_lossy().into_owned()))
            }
            (None, None) => None,
        };
        let (created, submitted) = (instance.created, job.submitted);
        Self {
            task_id: instance.id.to_string(),
            executor_id: instance.id.to_string(),
            slave_id: &place.agent.0,
            agent_id: &place.agent.0,
            hostname: &place.hostname,
            status: match instance.state {
                InstanceState::Unknown => "unknown",
                InstanceState::Running => "running",
                InstanceState::Ended(end) => match end.outcome {
                    Outcome::Success => "success",
                    Outcome::Failed(_) => "failed",
                },
            },
            preempted: false,
            backfilled: false,
            ports: &instance.ports,
            compute_cluster: ComputeCluster {
                name: context.cluster,
                r#type: "mesos",
                mesos: MesosCluster {
                    framework_id: context.framework_id(),
                },
            },
            executor: "cook",
            start_time: created.wall.0,
            mesos_start_time: instance.began.map(|began| began.wall.0),
            end_time: instance.end().map(|end| end.at.wall.0),
            queue_time: Some(created.steady.0.saturating_sub(submitted.steady.0)),
            exit_code: report.exit_code.filter(|_| job.spec.command.is_some()),
            before_exit_codes: Codes(&report.before_codes),
            after_exit_codes: Codes(&report.after_codes),
            default_before_exit_codes: Codes(&report.default_before_codes).if_any(),
            default_after_exit_codes: Codes(&report.default_after_codes).if_any(),
            progress: report.progress,
            progress_message: message,
            message,
            cancelled: instance.is_cancelled.then_some(true),
            reason_code: failure.map(|reason| reason.code()),
            reason_string: failure.map(|reason| reason.text()),
            reason_mea_culpa: failure.map(|reason| reason.is_mea_culpa()),
            output_url: sandbox
                .as_deref()
                .map(Cow::Borrowed)
                .or_else(|| virtual_path(instance, context).map(Cow::Owned))
                .map(|sandbox| {
                    let path = encoded(&sandbox);
                    format!("http://{authority}/files/read?path={path}")
                }),
            sandbox_directory: sandbox,
        }
    }
}

/// The name under which a Mesos agent serves a sandbox wherever its folder is. The message with the folder may get lost
/// while the scheduler is stopped.
fn virtual_path(instance: &Instance, context: &Context<'_>) -> Option<String> {
    let framework = context.framework?;
    instance.place.files_at.as_ref()?;
    instance.began?;
    let executor = instance.id;
    Some(format!(
        "/frameworks/{framework}/executors/{executor}/runs/latest"
    ))
}

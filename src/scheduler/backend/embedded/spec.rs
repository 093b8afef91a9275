//! Converts a task of the core to an executor to start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use cook_agent::agent::Agent;
use cook_agent::spec::{ContainerId, Program, Spec, Uri};
use cook_mesos::messages::{DurationInfo, TaskInfo};

use super::Settings;
use crate::codec::config::ExecutorSettings;
use crate::codec::task;
use crate::core::backend::Task;
use crate::core::job::{self, JobSpec};

/// Variables that executors inherit from this program. Those of the operator and the job override them.
const INHERITED: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "TZ"];

/// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`; the default of Mesos.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// About a thousandth of a megabyte, in bytes.
const BYTES_PER_THOUSANDTH: u64 = 1049;

/// The parts that all executors have in common.
#[derive(Clone, Debug)]
pub struct Recipe {
    settings: ExecutorSettings,
    program: Program,
    inherited: Vec<(OsString, OsString)>,
    sandboxes: PathBuf,
    executor_data: Option<Vec<u8>>,
    recovery_timeout: Duration,
    max_runtime: Option<Duration>,
}

// === impl Recipe ===

impl Recipe {
    /// Takes them from the settings.
    pub fn new(settings: &Settings, program: Program) -> Self {
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((OsString::from(*name), std::env::var_os(name)?)));
        Self {
            settings: settings.executor.clone(),
            program,
            inherited: inherited.collect(),
            sandboxes: settings.data.join("sandboxes"),
            executor_data: task::executor_data(&settings.executor),
            recovery_timeout: settings.recovery_timeout,
            max_runtime: settings.max_runtime,
        }
    }

    /// How the executor is started.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The executor to start for a task.
    pub fn spec(&self, it: &Task, container: ContainerId, tag: Vec<u8>) -> Spec {
        let id = it.instance.to_string();
        let spec = &it.job.spec;
        let limits = [spec.max_runtime.map(|limit| limit.get()), self.max_runtime];
        let limit = limits.into_iter().flatten().min();
        let mut environment = self.inherited.clone();
        let variables = task::environment(it, &self.settings).into_iter();
        environment.extend(variables.map(|(name, value)| (name.into(), value.into())));
        Spec {
            executor_id: id.clone(),
            container,
            task: TaskInfo {
                name: task::name(&it.job, it.instance).into_bytes(),
                task_id: id.as_str().into(),
                data: Some(task::data(&it.job)),
                // The executor enforces this exactly, even while the scheduler is stopped.
                max_completion_time: limit.map(|limit| DurationInfo {
                    nanoseconds: i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX),
                }),
                ..TaskInfo::default()
            },
            program: self.program.clone(),
            executor_data: self.executor_data.clone(),
            environment,
            files: self
                .settings
                .uris
                .iter()
                .chain(&spec.uris)
                .map(uri)
                .collect(),
            sandbox: self.sandboxes.join(id),
            shutdown_grace: SHUTDOWN_GRACE,
            memory: Some(
                spec.demand
                    .mem
                    .thousandths()
                    .saturating_mul(BYTES_PER_THOUSANDTH),
            ),
            cpu: Some(spec.demand.cpus.thousandths()),
            tag,
            recovery_timeout: Some(self.recovery_timeout),
        }
    }

    /// Checks whether the operator's files for every job can be fetched.
    pub fn check_own(&self, agent: &Agent) -> Result<(), String> {
        check(agent, &self.settings.uris)?;
        for uri in &self.settings.uris {
            let value = uri.value.as_str();
            let path = value.strip_prefix("file://").unwrap_or(value);
            if !path.contains("://")
                && let Err(error) = std::fs::metadata(PathBuf::from("/").join(path))
            {
                return Err(format!(":executor :uris: {value}: {error}"));
            }
        }
        Ok(())
    }

    /// Checks whether a job's files can be fetched.
    pub fn check(&self, agent: &Agent, job: &JobSpec) -> Result<(), String> {
        check(agent, &job.uris)
    }
}

fn check(agent: &Agent, uris: &[job::Uri]) -> Result<(), String> {
    uris.iter().try_for_each(|it| {
        let checked = agent.check_file(&uri(it));
        checked.map_err(|error| format!("cannot fetch {}: {error}", it.value.as_str()))
    })
}

fn uri(it: &job::Uri) -> Uri {
    Uri {
        value: it.value.as_str().to_owned(),
        executable: it.is_for.executable,
        extract: it.is_for.extract,
    }
}

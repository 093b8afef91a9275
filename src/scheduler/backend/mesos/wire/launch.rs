//! Builds TaskInfo and ExecutorInfo as Cook's scheduler does. The commands of the job are in `TaskInfo.data`, those of
//! the operator in `ExecutorInfo.data`.

use std::path::Path;
use std::time::Duration;

use cook_mesos::messages::{DurationInfo, Environment, Id, Variable};
use cook_mesos::scheduler::{
    CommandInfo, ExecutorInfo, ExecutorType, Label, Labels, TaskInfo, Uri,
};

use super::call::task_id;
use super::offer::OpenOffer;
use crate::codec::config::ExecutorSettings;
use crate::codec::task;
use crate::core::backend::Task;
use crate::core::job::{self, Job};
use crate::core::words::UserName;

/// The values that Cook's scheduler sets.
const EXECUTOR_NAME: &str = "cook_executor";
const EXECUTOR_SOURCE: &str = "cook_scheduler_executor";

/// Jobs run as this user only if it is configured.
const ROOT: &str = "root";

/// What the tasks have in common.
#[derive(Clone, Debug)]
pub struct Recipe {
    settings: ExecutorSettings,
    program: Program,
    executor_data: Option<Vec<u8>>,
    run_as_user: Option<String>,
    max_runtime: Option<Duration>,
}

/// How the agent starts the executor.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Program {
    /// A file on the agents.
    File(String),
    /// A command line for the shell.
    Line(String),
}

// === impl Recipe ===

impl Recipe {
    /// `file` is a path on the agents; it overrides the configured command.
    pub fn new(
        settings: &ExecutorSettings,
        file: Option<&Path>,
        run_as_user: Option<String>,
        max_runtime: Option<Duration>,
    ) -> Self {
        Self {
            program: match file {
                Some(file) => Program::File(file.to_string_lossy().into_owned()),
                None => Program::Line(line(settings)),
            },
            executor_data: task::executor_data(settings),
            settings: settings.clone(),
            run_as_user,
            max_runtime,
        }
    }

    /// The user that a job of this owner runs as. `None` if that were root without being configured.
    fn user(&self, owner: &UserName) -> Option<String> {
        match &self.run_as_user {
            Some(user) => Some(user.clone()),
            None => Some(owner.as_str())
                .filter(|owner| *owner != ROOT)
                .map(str::to_owned),
        }
    }

    /// Whether the agents look for the program in `PATH`: it is neither a path nor a fetched file.
    pub fn is_in_path(&self) -> bool {
        match &self.program {
            Program::File(_) => false,
            Program::Line(line) => !first_word(line).contains('/'),
        }
    }

    /// Builds the TaskInfo and takes its resources from the offer. `None` if they are not available, or if there is no
    /// user to run as.
    pub fn task(
        &self,
        it: &Task,
        framework: Option<&Id>,
        offer: &mut OpenOffer,
    ) -> Option<TaskInfo> {
        let user = self.user(&it.job.user)?;
        let resources = offer.pool.take(&it.job.spec.demand, &it.ports)?;
        let id = task_id(it.instance);
        Some(TaskInfo {
            name: task::name(&it.job, it.instance),
            task_id: id.clone(),
            agent_id: offer.agent.clone(),
            resources,
            executor: Some(ExecutorInfo {
                executor_id: id,
                framework_id: framework.cloned(),
                kind: Some(ExecutorType::Custom as i32),
                name: Some(EXECUTOR_NAME.to_owned()),
                source: Some(EXECUTOR_SOURCE.to_owned()),
                command: Some(self.command(it, user)),
                data: self.executor_data.clone(),
                ..ExecutorInfo::default()
            }),
            data: Some(task::data(&it.job)),
            labels: labels(&it.job),
            // The executor enforces it, even while the scheduler is stopped.
            max_completion_time: self.limit(&it.job),
            ..TaskInfo::default()
        })
    }

    fn command(&self, it: &Task, user: String) -> CommandInfo {
        let (shell, value, arguments) = match &self.program {
            Program::File(path) => (false, path.clone(), vec![path.clone()]),
            Program::Line(line) => (true, line.clone(), Vec::new()),
        };
        let variables = task::environment(it, &self.settings).into_iter();
        CommandInfo {
            // The operator's files are fetched last: they replace files of the same name.
            uris: it
                .job
                .spec
                .uris
                .iter()
                .map(uri)
                .chain(self.settings.uris.iter().map(|it| self.own_uri(it)))
                .collect(),
            environment: Some(Environment {
                variables: variables.map(variable).collect(),
            }),
            value: Some(value),
            user: Some(user),
            shell: Some(shell),
            arguments,
        }
    }

    /// The executor's own file is made executable even if the configuration does not say so.
    fn own_uri(&self, it: &job::Uri) -> Uri {
        let mut uri = uri(it);
        if let Program::Line(line) = &self.program
            && first_word(line).strip_prefix("./") == Some(file_name(it))
            && !it.is_for.extract
        {
            uri.executable = Some(true);
        }
        uri
    }

    fn limit(&self, job: &Job) -> Option<DurationInfo> {
        let limits = [
            job.spec.max_runtime.map(|limit| limit.get()),
            self.max_runtime,
        ];
        let limit = limits.into_iter().flatten().min()?;
        Some(DurationInfo {
            nanoseconds: i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX),
        })
    }
}

/// The command line of the executor. Its first word becomes a path in the sandbox if a file of this name is fetched.
fn line(settings: &ExecutorSettings) -> String {
    let command = settings.command.trim();
    let word = first_word(command);
    match settings.uris.iter().any(|uri| file_name(uri) == word) {
        true => format!("./{command}"),
        false => command.to_owned(),
    }
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// The name of the fetched file: the part after the last slash.
fn file_name(uri: &job::Uri) -> &str {
    uri.value.as_str().rsplit('/').next().unwrap_or_default()
}

fn uri(it: &job::Uri) -> Uri {
    Uri {
        value: it.value.as_str().to_owned(),
        executable: Some(it.is_for.executable),
        // Mesos' default is to extract.
        extract: Some(it.is_for.extract),
        cache: Some(it.cache),
        output_file: None,
    }
}

fn variable((name, value): (String, String)) -> Variable {
    Variable {
        name: name.into_bytes(),
        value: Some(value.into_bytes()),
        kind: None,
    }
}

fn labels(job: &Job) -> Option<Labels> {
    let label = |(key, value): &(Box<str>, Box<str>)| Label {
        key: key.to_string(),
        value: Some(value.to_string()),
    };
    let labels: Vec<_> = job.spec.labels.iter().map(label).collect();
    (!labels.is_empty()).then_some(Labels { labels })
}

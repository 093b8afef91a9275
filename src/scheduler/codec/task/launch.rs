//! What an executor is started with: `TaskInfo.data`, `ExecutorInfo.data` and the environment.

use serde::Serialize;

use crate::codec::config::ExecutorSettings;
use crate::codec::reply::HookReply;
use crate::core::backend::Task;
use crate::core::job::{Job, Variable};
use crate::core::words::InstanceId;

/// The commands, in the executor's JSON format.
#[derive(Serialize)]
struct Commands<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_commands: Option<Vec<HookReply<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_commands: Option<Vec<HookReply<'a>>>,
}

/// `TaskInfo.data`: the job's commands. A job of hooks only has no `command`.
pub fn data(job: &Job) -> Vec<u8> {
    let spec = &job.spec;
    encode(&Commands {
        command: spec.command.as_ref().map(|command| command.as_str()),
        before_commands: HookReply::all(&spec.before),
        after_commands: HookReply::all(&spec.after),
    })
}

/// `ExecutorInfo.data`: the operator's commands, if any. Their exit codes are reported separately.
pub fn executor_data(settings: &ExecutorSettings) -> Option<Vec<u8>> {
    let commands = Commands {
        command: None,
        before_commands: HookReply::all(&settings.before),
        after_commands: HookReply::all(&settings.after),
    };
    let is_empty = commands.before_commands.is_none() && commands.after_commands.is_none();
    (!is_empty).then(|| encode(&commands))
}

/// `TaskInfo.name`, in Cook's format.
pub fn name(job: &Job, instance: InstanceId) -> String {
    format!("{}_{}_{instance}", job.spec.name, job.user)
}

/// The environment of an instance: the job's variables, then Cook's, then the operator's, then the
/// ports. Later ones override earlier ones.
pub fn environment(task: &Task, settings: &ExecutorSettings) -> Vec<(String, String)> {
    let job = &task.job;
    let spec = &job.spec;
    let mut variables = Variables(Vec::new());
    let pair = |variable: &Variable| {
        let (name, value) = (variable.name().as_str(), variable.value());
        (name.to_owned(), value.to_owned())
    };
    variables.extend(spec.env.iter().map(pair));
    variables.set("COOK_INSTANCE_NUM", task.number.to_string());
    variables.set("COOK_INSTANCE_UUID", task.instance.to_string());
    variables.set("COOK_JOB_UUID", job.id.to_string());
    if let Some(group) = spec.group {
        variables.set("COOK_JOB_GROUP_UUID", group.to_string());
    }
    // Cook writes these with a decimal point even if there is no fraction.
    variables.set("COOK_JOB_CPUS", format!("{:?}", spec.demand.cpus.as_f64()));
    variables.set("COOK_JOB_MEM_MB", format!("{:?}", spec.demand.mem.as_f64()));
    variables.set("EXECUTOR_LOG_LEVEL", settings.log_level.clone());
    variables.set(
        "EXECUTOR_MAX_MESSAGE_LENGTH",
        settings.max_message_length.to_string(),
    );
    let pattern = spec.progress_regex.as_ref().map(|text| text.as_str());
    if let Some(pattern) = pattern.or(settings.progress_regex.as_deref()) {
        variables.set("PROGRESS_REGEX_STRING", pattern.to_owned());
    }
    if let Some(interval) = settings.progress_sample_interval {
        variables.set(
            "PROGRESS_SAMPLE_INTERVAL_MS",
            interval.as_millis().to_string(),
        );
    }
    if let Some(file) = &spec.progress_output_file {
        let name = "EXECUTOR_PROGRESS_OUTPUT_FILE_NAME";
        variables.set("EXECUTOR_PROGRESS_OUTPUT_FILE_ENV", name.to_owned());
        variables.set(name, file.as_str().to_owned());
    }
    variables.extend(settings.environment.iter().map(pair));
    for (index, port) in task.ports.iter().enumerate() {
        variables.set(&format!("PORT{index}"), port.to_string());
    }
    variables.0
}

struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn extend(&mut self, pairs: impl Iterator<Item = (String, String)>) {
        for (name, value) in pairs {
            self.set(&name, value);
        }
    }
}

fn encode(commands: &Commands<'_>) -> Vec<u8> {
    serde_json::to_vec(commands).expect("texts, flags and finite numbers can always be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::job::fixture;
    use crate::core::words::Uuid;
    use std::sync::Arc;

    fn task(body: &str) -> Task {
        Task {
            instance: InstanceId(Uuid::from_bytes([2; 16])),
            job: Arc::new(fixture::job("bob", fixture::spec(body))),
            number: 0,
            ports: [31_000, 31_001].into(),
        }
    }

    #[test]
    fn commands_are_passed_on_as_submitted() {
        let all = task(
            r#"{"command": "x", "before_commands": [{"value": "b", "guard": true, "timeout": 2}], "after_commands": [{"value": "a", "async": true}]}"#,
        );
        assert_eq!(
            String::from_utf8_lossy(&data(&all.job)),
            r#"{"command":"x","before_commands":[{"value":"b","guard":true,"timeout":2}],"after_commands":[{"value":"a","async":true}]}"#
        );
        let hooks = task(r#"{"after_commands": [{"value": "mail"}]}"#);
        assert_eq!(
            String::from_utf8_lossy(&data(&hooks.job)),
            r#"{"after_commands":[{"value":"mail"}]}"#
        );
        assert_eq!(executor_data(&ExecutorSettings::default()), None);
        assert_eq!(
            name(&hooks.job, hooks.instance),
            "cookjob_bob_02020202-0202-0202-0202-020202020202"
        );
    }

    #[test]
    fn the_operators_variables_override_those_of_the_job() {
        let task = task(
            r#"{"command": "x", "cpus": 2, "env": {"A": "job", "COOK_JOB_UUID": "forged", "PORT0": "1", "EXECUTOR_LOG_LEVEL": "TRACE"}, "progress_output_file": "p"}"#,
        );
        let variable = |name: &str, value: &str| {
            let name = crate::core::words::EnvName::new(name).expect("a name");
            Variable::new(name, value).expect("a value")
        };
        let settings = ExecutorSettings {
            environment: vec![variable("A", "operator"), variable("B", "")],
            ..ExecutorSettings::default()
        };
        let environment = environment(&task, &settings);
        let value = |wanted: &str| {
            let mut found = environment.iter().filter(|(name, _)| name == wanted);
            let value = found.next().map(|(_, value)| value.as_str());
            assert!(found.next().is_none(), "{wanted} is set twice");
            value
        };
        assert_eq!(value("A"), Some("operator"));
        assert_eq!(value("B"), Some(""));
        assert_eq!(
            value("COOK_JOB_UUID"),
            Some("01010101-0101-0101-0101-010101010101")
        );
        assert_eq!(value("COOK_JOB_CPUS"), Some("2.0"));
        assert_eq!(value("COOK_INSTANCE_NUM"), Some("0"));
        assert_eq!(value("EXECUTOR_LOG_LEVEL"), Some("INFO"));
        assert_eq!(value("EXECUTOR_MAX_MESSAGE_LENGTH"), Some("512"));
        assert_eq!(value("PORT1"), Some("31001"));
        assert_eq!(value("PORT0"), Some("31000"));
        assert_eq!(value("EXECUTOR_PROGRESS_OUTPUT_FILE_NAME"), Some("p"));
        assert_eq!(value("PROGRESS_REGEX_STRING"), None);
    }
}

//! From everywhere that commands can stand to a plan: `TaskInfo.data`, `TaskInfo.command`, the
//! environment, `ExecutorInfo.data`.
//!
//! Whatever is wrong is said in words for the author of the job, with the place where it stands.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::codec::json::kind;
use crate::core::plan::{Hook, Hooks, Plan, Program, Refusal};
use crate::words::units::Span;
use cook_mesos::messages::CommandInfo;

/// The places that commands can come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// `TaskInfo.data`.
    pub data: Option<&'a [u8]>,
    /// `TaskInfo.command`.
    pub command: Option<&'a CommandInfo>,
    /// `ExecutorInfo.data`: the operator's hooks.
    pub executor_data: Option<&'a [u8]>,
    /// Hooks from the environment.
    pub variables: &'a HookVariables,
}

/// Hooks from the environment: JSON arrays, since the shipped Cook scheduler can carry nothing else.
/// A variable that is empty counts as not set.
#[derive(Clone, Debug, Default)]
pub struct HookVariables {
    /// `EXECUTOR_BEFORE_COMMANDS`, the job's.
    pub before: Vec<u8>,
    /// `EXECUTOR_AFTER_COMMANDS`, the job's.
    pub after: Vec<u8>,
    /// `EXECUTOR_DEFAULT_BEFORE_COMMANDS`, the operator's.
    pub default_before: Vec<u8>,
    /// `EXECUTOR_DEFAULT_AFTER_COMMANDS`, the operator's.
    pub default_after: Vec<u8>,
}

/// Reads a plan. `remark` gets a line for each key that is not understood and ignored.
///
/// # Errors
///
/// No command, bad JSON, a blank or non-string `value`, a flag that is not a boolean: a refusal that
/// names the place.
pub fn read_plan(sources: Sources, remark: &mut dyn FnMut(String)) -> Result<Plan, Refusal> {
    let mut reader = Reader { remark };
    let variables = sources.variables;

    let mut job = Hooks::default();
    let mut program = None;
    if let Some(data) = sources.data {
        let keys = ["command", "before_commands", "after_commands"];
        let object = reader.object("the task's data", data, &keys)?;
        job = reader.hooks_in(&object, "")?;
        program = match object.get("command") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(Program::Shell(checked("command", text)?)),
            Some(other) => return Err(wrong_type("command", "a string", other)),
        };
    }
    job.before
        .extend(reader.variable("EXECUTOR_BEFORE_COMMANDS", &variables.before)?);
    job.after
        .extend(reader.variable("EXECUTOR_AFTER_COMMANDS", &variables.after)?);

    let (before, after) = (&variables.default_before, &variables.default_after);
    let mut operator = Hooks {
        before: reader.variable("EXECUTOR_DEFAULT_BEFORE_COMMANDS", before)?,
        after: reader.variable("EXECUTOR_DEFAULT_AFTER_COMMANDS", after)?,
    };
    // An executor's data may also hold something of its framework's own: only an object is ours.
    let is_object = |data: &&[u8]| data.trim_ascii_start().starts_with(b"{");
    if let Some(data) = sources.executor_data.filter(is_object) {
        let keys = ["before_commands", "after_commands"];
        let object = reader.object("the executor's data", data, &keys)?;
        let hooks = reader.hooks_in(&object, "the executor's ")?;
        operator.before.extend(hooks.before);
        operator.after.extend(hooks.after);
    }

    let program = match (program, sources.command) {
        (Some(program), _) => program,
        (None, Some(command)) => from_command_info(command)?,
        (None, None) => {
            return refuse("the task has no command: put {\"command\": \"...\"} into its data");
        }
    };
    Ok(Plan::new(program, job, operator))
}

struct Reader<'a> {
    remark: &'a mut dyn FnMut(String),
}

// === impl Reader ===

impl Reader<'_> {
    /// Reads a JSON object and remarks on keys that are not among `keys`.
    fn object(
        &mut self,
        what: &str,
        json: &[u8],
        keys: &[&str],
    ) -> Result<Map<String, Value>, Refusal> {
        match parse(what, json)? {
            Value::Object(object) => {
                self.remark_unknown(what, &object, keys);
                Ok(object)
            }
            other => Err(wrong_type(what, "a JSON object", &other)),
        }
    }

    fn hooks_in(&mut self, object: &Map<String, Value>, prefix: &str) -> Result<Hooks, Refusal> {
        let mut hooks = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => self.hooks(&format!("{prefix}{key}"), value),
        };
        Ok(Hooks {
            before: hooks("before_commands")?,
            after: hooks("after_commands")?,
        })
    }

    fn variable(&mut self, name: &str, json: &[u8]) -> Result<Vec<Hook>, Refusal> {
        if json.trim_ascii().is_empty() {
            return Ok(Vec::new());
        }
        let value = parse(name, json)?;
        self.hooks(name, &value)
    }

    fn hooks(&mut self, what: &str, value: &Value) -> Result<Vec<Hook>, Refusal> {
        let Value::Array(entries) = value else {
            return Err(wrong_type(what, "an array of commands", value));
        };
        let numbered = entries.iter().enumerate();
        numbered
            .map(|(index, entry)| self.hook(&format!("{what}[{index}]"), entry))
            .collect()
    }

    fn hook(&mut self, what: &str, entry: &Value) -> Result<Hook, Refusal> {
        let Value::Object(object) = entry else {
            return Err(wrong_type(
                what,
                "an object such as {\"value\": \"...\"}",
                entry,
            ));
        };
        self.remark_unknown(what, object, &["value", "guard", "async", "timeout"]);
        let named = |key: &str| format!("{what}.{key}");
        let value = match object.get("value") {
            Some(Value::String(text)) => {
                checked(&named("value"), text)?;
                text.clone()
            }
            Some(other) => return Err(wrong_type(&named("value"), "a string", other)),
            None => return refuse(&format!("{} is missing", named("value"))),
        };
        let flag = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_type(&named(key), "true or false", other)),
        };
        let seconds = |value: &Value| {
            let seconds = value.as_f64().filter(|seconds| *seconds > 0.0);
            seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .map(Span::saturating)
        };
        let timeout = match object.get("timeout") {
            None | Some(Value::Null) => None,
            Some(value) => Some(seconds(value).ok_or_else(|| match value {
                Value::Number(number) => {
                    let what = named("timeout");
                    Refusal(format!("{what} must be above 0 seconds, found {number}"))
                }
                other => wrong_type(&named("timeout"), "a number of seconds", other),
            })?),
        };
        Ok(Hook {
            value,
            guard: flag("guard")?,
            is_async: flag("async")?,
            timeout,
        })
    }

    fn remark_unknown(&mut self, what: &str, object: &Map<String, Value>, keys: &[&str]) {
        for key in object.keys().filter(|key| !keys.contains(&key.as_str())) {
            (self.remark)(format!("ignored the unknown key {key:?} in {what}"));
        }
    }
}

fn from_command_info(command: &CommandInfo) -> Result<Program, Refusal> {
    let value = command.value.clone().unwrap_or_default();
    if value.trim_ascii().is_empty() {
        return refuse("the task's command has no value");
    }
    if value.contains(&0)
        || command
            .arguments
            .iter()
            .any(|argument| argument.contains(&0))
    {
        return refuse("the task's command must not contain a NUL byte");
    }
    Ok(match command.shell.unwrap_or(true) {
        true => Program::Shell(value),
        false => Program::Exec {
            file: value,
            arguments: command.arguments.clone(),
        },
    })
}

/// The text of a command, unless no shell could run it.
fn checked(what: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    if text.trim().is_empty() {
        return refuse(&format!("{what} must not be blank"));
    }
    if text.contains('\0') {
        return refuse(&format!("{what} must not contain a NUL byte"));
    }
    Ok(text.as_bytes().to_vec())
}

fn parse(what: &str, json: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(json)
        .map_err(|error| Refusal(format!("{what} is not valid JSON: {error}")))
}

fn refuse<T>(message: &str) -> Result<T, Refusal> {
    Err(Refusal(message.to_owned()))
}

fn wrong_type(what: &str, wanted: &str, found: &Value) -> Refusal {
    Refusal(format!("{what} must be {wanted}, found {}", kind(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Result<Plan, Refusal> {
        read_with(data, &HookVariables::default(), None)
    }

    fn read_with(
        data: &str,
        variables: &HookVariables,
        executor_data: Option<&str>,
    ) -> Result<Plan, Refusal> {
        let sources = Sources {
            data: Some(data.as_bytes()),
            command: None,
            executor_data: executor_data.map(str::as_bytes),
            variables,
        };
        read_plan(sources, &mut |_| {})
    }

    fn texts(plan: &Plan) -> Vec<String> {
        let text = |command: &crate::core::plan::Command| {
            let flags = match (command.guard, command.is_async) {
                (true, true) => " guard async",
                (true, false) => " guard",
                (false, true) => " async",
                (false, false) => "",
            };
            String::from_utf8_lossy(command.program.text()).into_owned() + flags
        };
        plan.iter().map(|(_, command)| text(command)).collect()
    }

    #[test]
    fn the_documents_job_becomes_a_plan() {
        let plan = read(
            r#"{"command": "main", "before_commands": [{"value": "lock", "guard": true}, {"value": "monitor", "async": true}],
                "after_commands": [{"value": "unlock"}], "uris": []}"#,
        )
        .expect("valid");
        assert_eq!(
            texts(&plan),
            ["lock guard", "monitor async", "main", "unlock"]
        );
    }

    #[test]
    fn hooks_of_all_sources_stand_in_their_order() {
        let variables = HookVariables {
            before: br#"[{"value": "job env"}]"#.to_vec(),
            after: b" ".to_vec(),
            default_before: br#"[{"value": "operator env"}]"#.to_vec(),
            default_after: Vec::new(),
        };
        let executor = r#"{"before_commands": [{"value": "operator data"}], "after_commands": [{"value": "last"}]}"#;
        let data = r#"{"command": "main", "before_commands": [{"value": "job data"}]}"#;
        let plan = read_with(data, &variables, Some(executor)).expect("valid");
        let wanted = [
            "operator env",
            "operator data",
            "job data",
            "job env",
            "main",
            "last",
        ];
        assert_eq!(texts(&plan), wanted);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (data, words) in [
            ("", "the task's data is not valid JSON"),
            (
                "{\"command\": \"a\"",
                "the task's data is not valid JSON: EOF",
            ),
            (
                "[]",
                "the task's data must be a JSON object, found an array",
            ),
            ("{}", "the task has no command"),
            (r#"{"command": " \n"}"#, "command must not be blank"),
            (
                r#"{"command": 5}"#,
                "command must be a string, found a number",
            ),
            (
                r#"{"command": "a\u0000b"}"#,
                "command must not contain a NUL byte",
            ),
            (
                r#"{"command": "a", "before_commands": {}}"#,
                "before_commands must be an array of commands, found an object",
            ),
            (
                r#"{"command": "a", "before_commands": ["x"]}"#,
                "before_commands[0] must be an object such as",
            ),
            (
                r#"{"command": "a", "after_commands": [{"value": "x"}, {}]}"#,
                "after_commands[1].value is missing",
            ),
            (
                r#"{"command": "a", "after_commands": [{"value": ""}]}"#,
                "after_commands[0].value must not be blank",
            ),
            (
                r#"{"command": "a", "after_commands": [{"value": 1}]}"#,
                "after_commands[0].value must be a string",
            ),
            (
                r#"{"command": "a", "before_commands": [{"value": "x", "guard": "yes"}]}"#,
                "before_commands[0].guard must be true or false, found a string",
            ),
            (
                r#"{"command": "a", "before_commands": [{"value": "x", "async": 1}]}"#,
                "before_commands[0].async must be true or false, found a number",
            ),
            (
                r#"{"command": "a", "after_commands": [{"value": "x", "timeout": 0}]}"#,
                "after_commands[0].timeout must be above 0 seconds, found 0",
            ),
        ] {
            let Err(Refusal(message)) = read(data) else {
                panic!("accepted {data}");
            };
            assert!(message.contains(words), "{data}: {message}");
        }
    }

    #[test]
    fn a_bad_variable_is_named() {
        let variables = HookVariables {
            default_after: b"{".to_vec(),
            ..HookVariables::default()
        };
        let Err(Refusal(message)) = read_with(r#"{"command": "a"}"#, &variables, None) else {
            panic!("accepted");
        };
        assert!(
            message.starts_with("EXECUTOR_DEFAULT_AFTER_COMMANDS is not valid JSON"),
            "{message}"
        );
    }

    #[test]
    fn unknown_keys_are_remarked_and_an_executors_own_data_is_left_alone() {
        let mut remarks = Vec::new();
        let sources = Sources {
            data: Some(br#"{"command": "a", "uris": [], "before_commands": [{"value": "b", "gaurd": true}]}"#),
            command: None,
            executor_data: Some(b"\x00framework's own"),
            variables: &HookVariables::default(),
        };
        assert!(read_plan(sources, &mut |line| remarks.push(line)).is_ok());
        assert_eq!(
            remarks,
            [
                "ignored the unknown key \"uris\" in the task's data",
                "ignored the unknown key \"gaurd\" in before_commands[0]"
            ]
        );
    }

    #[test]
    fn without_data_the_tasks_own_command_is_run() {
        let command = CommandInfo {
            environment: None,
            value: Some(b"/bin/ls".to_vec()),
            shell: Some(false),
            arguments: vec![b"ls".to_vec(), b"-l".to_vec()],
        };
        let sources = Sources {
            data: None,
            command: Some(&command),
            executor_data: None,
            variables: &HookVariables::default(),
        };
        let plan = read_plan(sources, &mut |_| {}).expect("valid");
        let main = &plan.get(plan.main()).expect("there").program;
        assert!(
            matches!(main, Program::Exec { file, arguments } if file == b"/bin/ls" && arguments.len() == 2)
        );
    }
}

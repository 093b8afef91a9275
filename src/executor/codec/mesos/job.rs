//! Makes a plan from all places that can contain commands: `TaskInfo.command`, `TaskInfo.data`, the
//! program's own arguments, the environment, and `ExecutorInfo.data`.
//!
//! Errors are written for the author of the job, and name the place.

use serde_json::{Map, Value};

use crate::codec::json::{self, Grammar, kind};
use crate::codec::slip;
use crate::core::plan::{Hook, Hooks, Plan, Program, TaskRefusal};
use crate::core::variables;
use crate::words::units::{NotASpan, Span, truncate};
use cook_mesos::messages::CommandInfo;

/// The places that can contain commands.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// `TaskInfo.command`.
    pub command: Option<&'a CommandInfo>,
    /// `TaskInfo.data`.
    pub data: Option<&'a [u8]>,
    /// The program's own arguments.
    pub arguments: &'a [Vec<u8>],
    /// `ExecutorInfo.data`: the operator's hooks.
    pub executor_data: Option<&'a [u8]>,
    /// Hooks from the environment.
    pub variables: &'a HookVariables,
}

/// Hooks from the environment, as JSON arrays: the released Cook scheduler has no other way to pass them.
/// An empty variable counts as not set.
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

/// The keys of a job.
const COMMAND: &str = "command";
const BEFORE: &str = "before_commands";
const AFTER: &str = "after_commands";
const JOB_KEYS: [&str; 3] = [COMMAND, BEFORE, AFTER];

/// The keys of a hook.
const HOOK_KEYS: [&str; 4] = ["value", "guard", "async", "timeout"];

/// The names of `TaskInfo.data` and `ExecutorInfo.data` in errors.
const TASK_DATA: &str = "the task's data";
const EXECUTOR_DATA: &str = "the executor's data";

/// The usual way to set a command.
const NOTHING_TO_RUN: &str = "the task has no command: put {\"command\": \"...\"} into its data";

/// Maximum length of a quoted key.
const MAX_QUOTED: usize = 64;

/// Makes a plan. `remark` gets a line for each unknown key that is ignored.
///
/// # Errors
///
/// There is nothing to run, or something is invalid: JSON syntax, a blank or missing `value`, a wrong type,
/// or a key that is probably misspelt. The refusal names the place.
pub fn read_plan(sources: Sources, remark: &mut dyn FnMut(String)) -> Result<Plan, TaskRefusal> {
    let mut reader = Reader { remark };
    // A `TaskInfo.command` without a value can only add variables.
    let command = sources.command.filter(|command| command.value.is_some());
    let (main, mut hooks) = match command {
        Some(command) => (
            Some(from_command_info(command)?),
            reader.hooks_beside_a_command(sources.data)?,
        ),
        None => reader.job(sources.data, sources.arguments)?,
    };
    let given = sources.variables;
    let before = reader.variable(variables::BEFORE_COMMANDS, &given.before)?;
    let after = reader.variable(variables::AFTER_COMMANDS, &given.after)?;
    hooks.before.extend(before);
    hooks.after.extend(after);
    if main.is_none() && hooks == Hooks::default() {
        return refuse(NOTHING_TO_RUN);
    }
    let (before, after) = (&given.default_before, &given.default_after);
    let mut operator = Hooks {
        before: reader.variable(variables::DEFAULT_BEFORE_COMMANDS, before)?,
        after: reader.variable(variables::DEFAULT_AFTER_COMMANDS, after)?,
    };
    let more = reader.operators_hooks(sources.executor_data)?;
    operator.before.extend(more.before);
    operator.after.extend(more.after);
    Ok(Plan::new(main, hooks, operator))
}

struct Reader<'a> {
    remark: &'a mut dyn FnMut(String),
}

// === impl Reader ===

impl Reader<'_> {
    /// Reads the job in the task's data, or else the program's arguments. The data may have a meaning only
    /// for the framework, so invalid data is an error only if there is no other command.
    fn job(
        &mut self,
        data: Option<&[u8]>,
        arguments: &[Vec<u8>],
    ) -> Result<(Option<Program>, Hooks), TaskRefusal> {
        let data = data.filter(|data| !is_blank(data));
        let object = match data.map(|data| object(TASK_DATA, data)).transpose() {
            Ok(object) => object.unwrap_or_default(),
            Err(refusal) if arguments.is_empty() => return Err(refusal),
            Err(TaskRefusal(why)) => {
                (self.remark)(format!("ignored the task's data: {why}"));
                Map::new()
            }
        };
        let is_ours = JOB_KEYS.iter().any(|key| object.contains_key(*key));
        if is_ours || arguments.is_empty() {
            self.check_keys(TASK_DATA, &object, &JOB_KEYS)?;
        }
        let main = match object.get(COMMAND) {
            None | Some(Value::Null) => from_arguments(arguments)?,
            Some(Value::String(text)) => Some(Program::Shell(checked(COMMAND, text)?)),
            Some(other) => return Err(wrong_type(COMMAND, "a string", other)),
        };
        Ok((main, self.hooks_in(&object, "")?))
    }

    /// If there is a `TaskInfo.command`, the task's data belongs to the framework unless it has hooks.
    fn hooks_beside_a_command(&mut self, data: Option<&[u8]>) -> Result<Hooks, TaskRefusal> {
        match data.and_then(with_hooks) {
            Some(object) => self.hooks_in(&object, ""),
            None => Ok(Hooks::default()),
        }
    }

    /// The executor's data may belong to the framework. Only hooks in it are read.
    fn operators_hooks(&mut self, data: Option<&[u8]>) -> Result<Hooks, TaskRefusal> {
        let Some(object) = data.and_then(with_hooks) else {
            return Ok(Hooks::default());
        };
        self.check_keys(EXECUTOR_DATA, &object, &[BEFORE, AFTER])?;
        self.hooks_in(&object, "the executor's ")
    }

    /// Mentions unknown keys in the log, and refuses those that are probably misspelt: a job must not run
    /// without its lock because of a wrong letter.
    fn check_keys(
        &mut self,
        what: &str,
        object: &Map<String, Value>,
        keys: &[&str],
    ) -> Result<(), TaskRefusal> {
        for key in object.keys().filter(|key| !keys.contains(&key.as_str())) {
            let quoted = truncate(key, MAX_QUOTED);
            if let Some(meant) = slip::meant(key, keys) {
                return refuse(&format!(
                    "{what} has the unknown key {quoted:?}: did you mean {meant:?}?"
                ));
            }
            (self.remark)(format!("ignored the unknown key {quoted:?} in {what}"));
        }
        Ok(())
    }

    fn hooks_in(
        &mut self,
        object: &Map<String, Value>,
        prefix: &str,
    ) -> Result<Hooks, TaskRefusal> {
        let mut hooks = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => self.hooks(&format!("{prefix}{key}"), value),
        };
        Ok(Hooks {
            before: hooks(BEFORE)?,
            after: hooks(AFTER)?,
        })
    }

    fn variable(&mut self, name: &str, json: &[u8]) -> Result<Vec<Hook>, TaskRefusal> {
        if is_blank(json) {
            return Ok(Vec::new());
        }
        let value = parse(name, json)?;
        self.hooks(name, &value)
    }

    fn hooks(&mut self, what: &str, value: &Value) -> Result<Vec<Hook>, TaskRefusal> {
        let Value::Array(entries) = value else {
            return Err(wrong_type(what, "an array of commands", value));
        };
        let numbered = entries.iter().enumerate();
        numbered
            .map(|(index, entry)| hook(&format!("{what}[{index}]"), entry))
            .collect()
    }
}

/// Parses a hook. An unknown key is an error here.
fn hook(what: &str, entry: &Value) -> Result<Hook, TaskRefusal> {
    let Value::Object(object) = entry else {
        let wanted = "an object such as {\"value\": \"...\"}";
        return Err(wrong_type(what, wanted, entry));
    };
    if let Some(key) = object.keys().find(|key| !HOOK_KEYS.contains(&key.as_str())) {
        let meant = slip::meant(key, &HOOK_KEYS);
        let meant = meant.map_or(String::new(), |meant| format!(" (did you mean {meant:?}?)"));
        let quoted = truncate(key, MAX_QUOTED);
        return refuse(&format!(
            "{what} has the unknown key {quoted:?}{meant}: allowed are \"value\", \"guard\", \"async\" and \
             \"timeout\""
        ));
    }
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
    let timeout = match object.get("timeout") {
        None | Some(Value::Null) => None,
        Some(value) => Some(span(&named("timeout"), value)?),
    };
    Ok(Hook {
        value,
        guard: flag("guard")?,
        is_async: flag("async")?,
        timeout,
    })
}

/// Parses a number of seconds.
fn span(what: &str, value: &Value) -> Result<Span, TaskRefusal> {
    let (Value::Number(number), Some(seconds)) = (value, value.as_f64()) else {
        return Err(wrong_type(what, "a number of seconds", value));
    };
    Span::from_seconds(seconds).map_err(|error| {
        let most = Span::MAX.get().as_secs();
        TaskRefusal(match error {
            NotASpan::NotAboveZero => format!("{what} must be above 0 seconds, found {number}"),
            NotASpan::TooLarge => {
                format!("{what} is too large: at most {most} seconds, found {number}")
            }
        })
    })
}

fn from_command_info(command: &CommandInfo) -> Result<Program, TaskRefusal> {
    let value = command.value.clone().unwrap_or_default();
    let arguments = &command.arguments;
    if value.contains(&0) || arguments.iter().any(|argument| argument.contains(&0)) {
        return refuse("the task's command must not contain a NUL byte");
    }
    Ok(match command.shell.unwrap_or(true) {
        true => Program::Shell(value),
        false => Program::Exec {
            file: value,
            arguments: arguments.clone(),
        },
    })
}

/// The command in the program's own arguments.
fn from_arguments(arguments: &[Vec<u8>]) -> Result<Option<Program>, TaskRefusal> {
    match arguments.first() {
        None => Ok(None),
        Some(file) if file.trim_ascii().is_empty() => {
            refuse("the command in the executor's arguments must not be blank")
        }
        Some(file) => Ok(Some(Program::Exec {
            file: file.clone(),
            arguments: arguments.to_vec(),
        })),
    }
}

/// The text of a command, if a shell can run it.
fn checked(what: &str, text: &str) -> Result<Vec<u8>, TaskRefusal> {
    if text.trim().is_empty() {
        return refuse(&format!("{what} must not be blank"));
    }
    if text.contains('\0') {
        return refuse(&format!("{what} must not contain a NUL byte"));
    }
    Ok(text.as_bytes().to_vec())
}

fn is_blank(text: &[u8]) -> bool {
    json::without_mark(text).trim_ascii().is_empty()
}

/// The JSON object in the data, if it has hooks.
fn with_hooks(data: &[u8]) -> Option<Map<String, Value>> {
    let object = object("data", data).ok()?;
    let has_hooks = object.contains_key(BEFORE) || object.contains_key(AFTER);
    has_hooks.then_some(object)
}

fn object(what: &str, text: &[u8]) -> Result<Map<String, Value>, TaskRefusal> {
    match parse(what, text)? {
        Value::Object(object) => Ok(object),
        other => Err(wrong_type(what, "a JSON object", &other)),
    }
}

fn parse(what: &str, text: &[u8]) -> Result<Value, TaskRefusal> {
    json::read(text, Grammar::Strict)
        .map_err(|error| TaskRefusal(format!("{what} is not valid JSON: {error}")))
}

fn refuse<T>(message: &str) -> Result<T, TaskRefusal> {
    Err(TaskRefusal(message.to_owned()))
}

fn wrong_type(what: &str, wanted: &str, found: &Value) -> TaskRefusal {
    TaskRefusal(format!("{what} must be {wanted}, found {}", kind(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Result<Plan, TaskRefusal> {
        read_with(data, &HookVariables::default(), None)
    }

    fn read_with(
        data: &str,
        variables: &HookVariables,
        executor_data: Option<&str>,
    ) -> Result<Plan, TaskRefusal> {
        let sources = Sources {
            command: None,
            data: Some(data.as_bytes()),
            arguments: &[],
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
    fn a_job_becomes_a_plan() {
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
    fn hooks_of_all_sources_are_in_order() {
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

    /// Every complete text is in the table of `tests/task/refusals.rs`; this test has the forms of each.
    #[test]
    fn a_refusal_names_the_place() {
        for (data, words) in [
            ("", NOTHING_TO_RUN),
            (" \n", NOTHING_TO_RUN),
            ("\u{feff}", NOTHING_TO_RUN),
            ("{}", NOTHING_TO_RUN),
            (r#"{"command": null, "uris": []}"#, NOTHING_TO_RUN),
            (
                r#"{"before_commands": [], "after_commands": null}"#,
                NOTHING_TO_RUN,
            ),
            (
                "{\"command\": \"a\"",
                "the task's data is not valid JSON: EOF",
            ),
            (
                "[]",
                "the task's data must be a JSON object, found an array",
            ),
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
                r#"{"comand": "a"}"#,
                "the task's data has the unknown key \"comand\": did you mean \"command\"?",
            ),
            (
                r#"{"command": "a", "After-Command": []}"#,
                "the task's data has the unknown key \"After-Command\": did you mean \"after_commands\"?",
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
                r#"{"command": "a", "before_commands": [{"value": "x", "gaurd": true}]}"#,
                "before_commands[0] has the unknown key \"gaurd\" (did you mean \"guard\"?): allowed are",
            ),
            (
                r#"{"command": "a", "before_commands": [{"value": "x", "retries": 3}]}"#,
                "before_commands[0] has the unknown key \"retries\": allowed are",
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
                r#"{"command": "a", "after_commands": [{"value": "x", "timeout": "5"}]}"#,
                "after_commands[0].timeout must be a number of seconds, found a string",
            ),
        ] {
            let Err(TaskRefusal(message)) = read(data) else {
                panic!("accepted {data}");
            };
            assert!(message.starts_with(words), "{data}: {message}");
        }
    }

    #[test]
    fn a_timeout_is_above_zero_and_at_most_a_billion_seconds() {
        let timeout = |text: &str| {
            let data = format!(
                r#"{{"command": "a", "before_commands": [{{"value": "x", "timeout": {text}}}]}}"#
            );
            read(&data).map(|plan| {
                let hook = plan.iter().next().expect("there").1;
                hook.timeout.map(|span| span.get().as_secs_f64())
            })
        };
        for (text, seconds) in [
            ("null", None),
            ("0.25", Some(0.25)),
            ("1e9", Some(1e9)),
            ("1000000000", Some(1e9)),
        ] {
            assert_eq!(timeout(text), Ok(seconds), "{text}");
        }
        for (text, found) in [
            ("0", "0"),
            ("-0", "-0.0"),
            ("-1", "-1"),
            ("1e-12", "1e-12"),
            ("-1e300", "-1e+300"),
        ] {
            let wanted =
                format!("before_commands[0].timeout must be above 0 seconds, found {found}");
            assert_eq!(timeout(text), Err(TaskRefusal(wanted)));
        }
        for (text, found) in [
            ("1000000001", "1000000001"),
            ("1e19", "1e+19"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let wanted = format!(
                "before_commands[0].timeout is too large: at most 1000000000 seconds, found {found}"
            );
            assert_eq!(timeout(text), Err(TaskRefusal(wanted)));
        }
        let Err(TaskRefusal(message)) = timeout("1e400") else {
            panic!("no number is so large");
        };
        assert!(
            message.contains("number out of range: it is too large"),
            "{message}"
        );
        assert!(timeout("NaN").is_err() && timeout("1.e5").is_err());
    }

    #[test]
    fn hooks_alone_are_a_job() {
        for data in [
            r#"{"after_commands": [{"value": "mail bob"}]}"#,
            r#"{"command": null, "before_commands": null, "after_commands": [{"value": "mail bob"}]}"#,
        ] {
            let plan = read(data).expect("valid");
            assert_eq!(
                (texts(&plan), plan.main()),
                (vec!["mail bob".to_owned()], None)
            );
        }
        let variables = HookVariables {
            before: br#"[{"value": "from outside"}]"#.to_vec(),
            ..HookVariables::default()
        };
        let plan = read_with("{}", &variables, None).expect("valid");
        assert_eq!(texts(&plan), ["from outside"]);
        // The operator's hooks are not a job, and hooks from elsewhere do not make invalid data valid.
        let operators = HookVariables {
            default_before: variables.before.clone(),
            ..HookVariables::default()
        };
        assert_eq!(
            read_with("{}", &operators, None),
            Err(TaskRefusal(NOTHING_TO_RUN.to_owned()))
        );
        for broken in ["{", "[]", r#"{"comand": "a"}"#, r#"{"command": ""}"#] {
            assert!(read_with(broken, &variables, None).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_bad_variable_is_named() {
        let variables = HookVariables {
            default_after: b"{".to_vec(),
            ..HookVariables::default()
        };
        let Err(TaskRefusal(message)) = read_with(r#"{"command": "a"}"#, &variables, None) else {
            panic!("accepted");
        };
        assert!(
            message.starts_with("EXECUTOR_DEFAULT_AFTER_COMMANDS is not valid JSON"),
            "{message}"
        );
    }

    #[test]
    fn a_byte_order_mark_is_skipped_everywhere() {
        let marked = |text: &str| format!("\u{feff}{text}");
        let hooks = |value: &str| marked(&format!(r#"[{{"value": "{value}"}}]"#)).into_bytes();
        let variables = HookVariables {
            before: hooks("1"),
            default_after: hooks("3"),
            after: marked(" ").into_bytes(),
            ..HookVariables::default()
        };
        let executor = marked(r#"{"after_commands": [{"value": "4"}]}"#);
        let plan = read_with(&marked(r#"{"command": "2"}"#), &variables, Some(&executor));
        assert_eq!(
            plan.map(|plan| texts(&plan)),
            Ok(["1", "2", "3", "4"].map(str::to_owned).into())
        );
    }

    #[test]
    fn unknown_keys_are_logged_and_an_executors_own_data_is_ignored() {
        let mut remarks = Vec::new();
        for executor_data in [
            "\0framework's own",
            "",
            "{",
            "[{}]",
            r#"{"command": 5, "before": [{}]}"#,
        ] {
            let sources = Sources {
                command: None,
                data: Some(br#"{"command": "a", "uris": [], "priority": 5}"#),
                arguments: &[],
                executor_data: Some(executor_data.as_bytes()),
                variables: &HookVariables::default(),
            };
            let plan = read_plan(sources, &mut |line| remarks.push(line)).expect("valid");
            assert_eq!(texts(&plan), ["a"], "{executor_data}");
        }
        remarks.sort();
        remarks.dedup();
        assert_eq!(
            remarks,
            [
                "ignored the unknown key \"priority\" in the task's data",
                "ignored the unknown key \"uris\" in the task's data",
            ]
        );
        let misspelt = r#"{"before_commands": [], "after_comands": []}"#;
        assert!(
            read_with(
                r#"{"command": "a"}"#,
                &HookVariables::default(),
                Some(misspelt)
            )
            .is_err()
        );
    }

    fn command(value: Option<&str>) -> CommandInfo {
        CommandInfo {
            value: value.map(Into::into),
            ..CommandInfo::default()
        }
    }

    #[test]
    fn beside_a_command_the_data_is_the_frameworks_unless_it_has_hooks() {
        let command = command(Some("the command"));
        let read = |data: &[u8]| {
            let sources = Sources {
                command: Some(&command),
                data: Some(data),
                arguments: &[b"not this".to_vec()],
                executor_data: None,
                variables: &HookVariables::default(),
            };
            let mut remarks = 0;
            let plan = read_plan(sources, &mut |_| remarks += 1);
            assert_eq!(remarks, 0, "remarks about data of the framework");
            plan.map(|plan| texts(&plan))
        };
        let alone = Ok(vec!["the command".to_owned()]);
        for data in [
            &b""[..],
            b"text",
            b"\x00\xff\xfe",
            b"[1]",
            b"5",
            b"null",
            b"{",
            br#"{"command": "not this"}"#,
            br#"{"command": 5, "comand": 6, "before_comands": [{}]}"#,
            br#"{"before_commands": null}"#,
            br#"{"before_commands": [{"value": "x"}]"#,
        ] {
            assert_eq!(read(data), alone, "{data:?}");
        }
        let hooks =
            read(br#"{"command": 5, "comand": 6, "before_commands": [{"value": "first"}]}"#);
        assert_eq!(
            hooks,
            Ok(vec!["first".to_owned(), "the command".to_owned()])
        );
        assert!(read(br#"{"after_commands": [{"value": ""}]}"#).is_err());
        assert!(read(br#"{"after_commands": {}}"#).is_err());
    }

    #[test]
    fn the_tasks_own_command_may_be_blank_and_need_not_be_a_shell_line() {
        for (value, shell, wanted) in [
            ("", None, Program::Shell(Vec::new())),
            (" ", Some(true), Program::Shell(b" ".to_vec())),
            (
                "/bin/ls",
                Some(false),
                Program::Exec {
                    file: b"/bin/ls".to_vec(),
                    arguments: vec![b"ls".to_vec(), b"-l".to_vec()],
                },
            ),
        ] {
            let command = CommandInfo {
                shell,
                arguments: vec![b"ls".to_vec(), b"-l".to_vec()],
                ..command(Some(value))
            };
            assert_eq!(main_of(Some(&command), None, &[]), Ok(wanted));
        }
    }

    #[test]
    fn the_programs_arguments_are_the_command_if_there_is_no_other() {
        let arguments = [b"sleep".to_vec(), b"1 000".to_vec()];
        let exec = Ok(Program::Exec {
            file: b"sleep".to_vec(),
            arguments: arguments.to_vec(),
        });
        // Old versions of Marathon send the app as JSON.
        for data in [
            None,
            Some(""),
            Some("{}"),
            Some(r#"{"cmd": "sleep 1000", "args": null}"#),
            Some("{"),
            Some("[]"),
        ] {
            assert_eq!(main_of(None, data, &arguments), exec, "{data:?}");
        }
        assert_eq!(main_of(Some(&command(None)), None, &arguments), exec);
        let shell = Ok(Program::Shell(b"a".to_vec()));
        assert_eq!(
            main_of(None, Some(r#"{"command": "a"}"#), &arguments),
            shell
        );
        assert_eq!(main_of(Some(&command(Some("a"))), None, &arguments), shell);
        for blank in ["", " "] {
            assert!(main_of(None, None, &[blank.into()]).is_err());
        }
        let hooks = r#"{"after_commands": [{"value": "b"}]}"#;
        assert_eq!(main_of(None, Some(hooks), &arguments), exec);
        assert!(main_of(None, Some(r#"{"after_commands": [{}]}"#), &arguments).is_err());
    }

    fn main_of(
        command: Option<&CommandInfo>,
        data: Option<&str>,
        arguments: &[Vec<u8>],
    ) -> Result<Program, TaskRefusal> {
        let sources = Sources {
            command,
            data: data.map(str::as_bytes),
            arguments,
            executor_data: None,
            variables: &HookVariables::default(),
        };
        let plan = read_plan(sources, &mut |_| {})?;
        let main = plan
            .main()
            .and_then(|id| plan.get(id))
            .expect("there is one");
        Ok(main.program.clone())
    }
}

//! Makes a plan from all places that can contain commands: `TaskInfo.command`, `TaskInfo.data`, the
//! program's own arguments, the environment, and `ExecutorInfo.data`.
//!
//! Errors are written for the author of the job, and name the place.

#[cfg(test)]
mod tests;

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

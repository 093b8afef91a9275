//! What the program's own arguments mean.
//!
//! A framework usually starts the program without arguments. Marathon appends the command of the app. An
//! agent that uses it instead of `mesos-executor` passes flags, which say where, as which user and what the
//! task runs, so an unsupported flag must not be ignored.

use serde_json::{Map, Value as Json};

use crate::codec::json::{self, Grammar, kind};
use crate::core::environment::{Name, Value};
use crate::core::plan::TaskRefusal;
use crate::words::units::truncate;

/// What the program was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// `--help` and nothing else.
    Help,
    /// `--version` and nothing else.
    Version,
    /// `get`: print the result of GET on the task API.
    Get,
    /// `patch`: send this body to the task API.
    Patch(Vec<u8>),
    /// Run as an executor.
    Executor(Arguments),
}

/// The arguments of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// The command to run if the task has none; empty if there are no arguments.
    Command(Vec<Vec<u8>>),
    /// The agent's flags for its command executor, or why tasks cannot be run with them.
    Flags(Result<Flags, TaskRefusal>),
}

/// The flags that are supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--task_environment`: variables that the agent's isolators add to the task, including resolved
    /// secrets. They override the executor's own environment, and are overridden by that of the task's
    /// command.
    pub environment: Vec<(Name, Value)>,
    /// Those of its variables whose secret the agent has not resolved. They are left out.
    pub unresolved: Vec<String>,
}

/// The meaning of each flag of Mesos' command executor (`src/launcher/executor.cpp`, Mesos 1.0 to 1.12).
enum Meaning {
    /// It is supported.
    TaskEnvironment,
    /// It changes where, as which user or what the task runs, and is not supported.
    Unsupported,
    /// It changes nothing for the task. It may take a value.
    Harmless(Takes),
}

/// Whether a flag takes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Value,
    Nothing,
}

/// Maximum length of a quoted flag.
const MAX_QUOTED: usize = 64;

/// What to do about an unsupported flag.
const REMEDY: &str = "run the task without a container image, terminal or capabilities of its own, or with \
                      Mesos' own command executor";

// === impl Started ===

impl Started {
    /// Parses the arguments after the program's name.
    pub fn read(arguments: &[Vec<u8>]) -> Self {
        match arguments {
            [flag] if flag == b"--help" => Self::Help,
            [flag] if flag == b"--version" => Self::Version,
            [word] if word == b"get" => Self::Get,
            [word, body] if word == b"patch" && is_object(body) => Self::Patch(body.clone()),
            [first, ..] if first.starts_with(b"--") => {
                Self::Executor(Arguments::Flags(Flags::read(arguments)))
            }
            command => Self::Executor(Arguments::Command(command.to_vec())),
        }
    }
}

/// Whether the text looks like a JSON object. The command of an app does not.
fn is_object(text: &[u8]) -> bool {
    let text = json::without_mark(text).trim_ascii_start();
    text.starts_with(b"{")
}

// === impl Flags ===

impl Flags {
    /// Parses `--flag=value`, `--flag value`, `--flag` and `--no-flag`.
    fn read(arguments: &[Vec<u8>]) -> Result<Self, TaskRefusal> {
        let mut flags = Self::default();
        // Only known names, of which there are few.
        let mut seen = Vec::new();
        let mut unsupported = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, mut value) = split(argument);
            let Some(meaning) = meaning(&name) else {
                return Err(unknown(argument, &name));
            };
            if seen.contains(&name) {
                return Err(TaskRefusal(format!(
                    "the agent's flag --{name} is given twice"
                )));
            }
            seen.push(name.clone());
            let takes = match meaning {
                Meaning::TaskEnvironment | Meaning::Unsupported => Takes::Value,
                Meaning::Harmless(takes) => takes,
            };
            let next = rest.as_slice().first();
            if value.is_none()
                && takes == Takes::Value
                && let Some(next) = next.filter(|next| !next.starts_with(b"--"))
            {
                value = Some(next);
                rest.next();
            }
            match (meaning, value) {
                (Meaning::TaskEnvironment, Some(json)) => flags.read_environment(json)?,
                (Meaning::TaskEnvironment, None) => {
                    return Err(TaskRefusal(format!(
                        "the agent's flag --{name} needs a value"
                    )));
                }
                (Meaning::Unsupported, _) => unsupported.push(format!("--{name}")),
                (Meaning::Harmless(_), _) => {}
            }
        }
        match unsupported.is_empty() {
            true => Ok(flags),
            false => Err(TaskRefusal(format!(
                "the agent asks for {}, which cook-executor does not support: {REMEDY}",
                unsupported.join(", ")
            ))),
        }
    }

    /// Parses `{"variables": [{"name": "...", "value": "..."}]}`. Errors never quote a value, because it
    /// may be a secret.
    fn read_environment(&mut self, text: &[u8]) -> Result<(), TaskRefusal> {
        const FLAG: &str = "--task_environment";
        let wrong = |what: &str, wanted: &str, found: &Json| {
            TaskRefusal(format!("{what} must be {wanted}, found {}", kind(found)))
        };
        let value = json::read(text, Grammar::Strict)
            .map_err(|error| TaskRefusal(format!("{FLAG} is not valid JSON: {error}")))?;
        let Json::Object(object) = &value else {
            return Err(wrong(FLAG, "a JSON object", &value));
        };
        let variables = match object.get("variables") {
            None | Some(Json::Null) => return Ok(()),
            Some(Json::Array(variables)) => variables,
            Some(other) => {
                let what = format!("{FLAG}: variables");
                return Err(wrong(&what, "an array of variables", other));
            }
        };
        for (index, variable) in variables.iter().enumerate() {
            let place = format!("{FLAG}: variables[{index}]");
            let Json::Object(variable) = variable else {
                return Err(wrong(&place, "an object", variable));
            };
            let text = |key: &str| text_of(variable, key, &place);
            let name = text("name")?.unwrap_or_default();
            if text("type")? == Some("SECRET") {
                self.unresolved.push(truncate(name, MAX_QUOTED));
                continue;
            }
            let value = text("value")?.unwrap_or_default();
            let checked = Name::new(name).and_then(|name| Ok((name, Value::new(value)?)));
            self.environment.push(checked.map_err(|invalid| {
                let name = truncate(name, MAX_QUOTED);
                TaskRefusal(format!("{place} ({name:?}) is invalid: {invalid}"))
            })?);
        }
        Ok(())
    }
}

/// A member that is a string; `None` if it is missing.
fn text_of<'a>(
    object: &'a Map<String, Json>,
    key: &str,
    place: &str,
) -> Result<Option<&'a str>, TaskRefusal> {
    match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(TaskRefusal(format!(
            "{place}.{key} must be a string, found {}",
            kind(other)
        ))),
    }
}

/// The name of a flag, with underscores as in Mesos, and the value after `=`.
fn split(argument: &[u8]) -> (String, Option<&[u8]>) {
    let flag = argument.strip_prefix(b"--").unwrap_or_default();
    let equals = flag.iter().position(|byte| *byte == b'=');
    let (name, value) = match equals {
        Some(at) => (&flag[..at], Some(&flag[at + 1..])),
        None => (flag, None),
    };
    let name = String::from_utf8_lossy(name).replace('-', "_");
    (name, value)
}

fn meaning(name: &str) -> Option<Meaning> {
    Some(match name {
        "task_environment" => Meaning::TaskEnvironment,
        "rootfs"
        | "user"
        | "working_directory"
        | "task_command"
        | "capabilities"
        | "bounding_capabilities"
        | "effective_capabilities"
        | "task_launch_info"
        | "task_supplementary_groups"
        | "tty_slave_path" => Meaning::Unsupported,
        // The paths of Mesos' own programs, and of the sandbox in a container image.
        "launcher_dir" | "sandbox_directory" => Meaning::Harmless(Takes::Value),
        // Logging flags of Mesos' own programs (`src/logging/flags.cpp`).
        "logging_level" | "log_dir" | "logbufsecs" | "external_log_file" => {
            Meaning::Harmless(Takes::Value)
        }
        "quiet" | "no_quiet" | "initialize_driver_logging" | "no_initialize_driver_logging" => {
            Meaning::Harmless(Takes::Nothing)
        }
        _ => return None,
    })
}

/// The refusal of an unknown argument. Its value may be a secret and is left out.
fn unknown(argument: &[u8], name: &str) -> TaskRefusal {
    let quoted = match argument.starts_with(b"--") {
        true => truncate(&format!("--{name}"), MAX_QUOTED),
        false => truncate(&String::from_utf8_lossy(argument), MAX_QUOTED),
    };
    TaskRefusal(format!(
        "the argument {quoted:?} is unknown: an agent's flag that is not understood could change what the \
         task runs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Started {
        let arguments: Vec<_> = arguments
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        Started::read(&arguments)
    }

    fn flags(arguments: &[&str]) -> Result<Flags, String> {
        match read(arguments) {
            Started::Executor(Arguments::Flags(flags)) => flags.map_err(|refusal| refusal.0),
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    fn command(arguments: &[&str]) -> Started {
        let words = arguments.iter().map(|word| word.as_bytes().to_vec());
        Started::Executor(Arguments::Command(words.collect()))
    }

    #[test]
    fn only_exact_arguments_select_another_mode_than_the_executor() {
        assert_eq!(read(&["--help"]), Started::Help);
        assert_eq!(read(&["--version"]), Started::Version);
        assert_eq!(read(&["get"]), Started::Get);
        for body in ["{}", " \n{progress: 1}", "\u{feff}{", "{nonsense"] {
            let patch = Started::Patch(body.as_bytes().to_vec());
            assert_eq!(read(&["patch", body]), patch);
        }
        for words in [
            &[][..],
            &["get", "rich"],
            &["patch"],
            &["patch", ""],
            &["patch", "progress: 1"],
            &["patch", "[{}]"],
            &["patch", "{}", "{}"],
            &["Get"],
            &["help"],
            &["-v"],
            &["sleep", "1000"],
            &[""],
        ] {
            assert_eq!(read(words), command(words));
        }
    }

    #[test]
    fn an_unsupported_flag_is_refused_by_name() {
        for name in [
            "rootfs",
            "user",
            "working_directory",
            "task_command",
            "capabilities",
            "bounding_capabilities",
            "effective_capabilities",
            "task_launch_info",
            "task_supplementary_groups",
            "tty_slave_path",
        ] {
            let (with_value, dashes) = (format!("--{name}=x"), format!("--{name}"));
            let dashes = dashes.replace("_", "-");
            let empty = format!("--{name}=");
            for arguments in [
                &[with_value.as_str()][..],
                &["--launcher_dir=/x", &with_value],
                &[&dashes, "x"],
                &[&dashes],
                &[&empty],
            ] {
                let text = flags(arguments).expect_err(name);
                let start = format!("the agent asks for --{name}, which");
                assert!(text.starts_with(&start), "{arguments:?}: {text}");
            }
        }
        let several = flags(&["--rootfs=/r", "--launcher_dir", "/x", "--user=u"]);
        assert!(several.is_err_and(|text| text.contains("--rootfs, --user, which")));
    }

    #[test]
    fn harmless_flags_are_accepted_by_name_and_all_others_refused() {
        for arguments in [
            &["--launcher_dir=/usr/libexec/mesos"][..],
            &["--launcher_dir", "/usr/libexec/mesos"],
            &["--sandbox_directory=/mnt/mesos/sandbox", "--quiet"],
            &["--no-quiet", "--logging_level=INFO", "--logbufsecs=0"],
        ] {
            assert_eq!(flags(arguments), Ok(Flags::default()), "{arguments:?}");
        }
        for (arguments, quoted) in [
            (&["--override", "x"][..], "--override"),
            (&["--user_name=secret"], "--user_name"),
            (&["--no-rootfs"], "--no_rootfs"),
            (&["--"], "--"),
            (&["--version", "--help"], "--version"),
            (&["--launcher_dir=/x", "sleep", "1000"], "sleep"),
            (&["--quiet", "x"], "x"),
        ] {
            let text = flags(arguments).expect_err(quoted);
            let start = format!("the argument {quoted:?} is unknown");
            assert!(text.starts_with(&start), "{arguments:?}: {text}");
        }
        let twice = flags(&["--launcher_dir=/x", "--launcher-dir=/y"]);
        assert_eq!(
            twice,
            Err("the agent's flag --launcher_dir is given twice".to_owned())
        );
    }

    #[test]
    fn the_tasks_environment_is_parsed_and_never_quoted() {
        let json = "\u{feff}{\"variables\": [{\"name\": \"A\", \"value\": \"secret\", \"type\": \"VALUE\"}, \
                    {\"name\": \"B\"}, {\"name\": \"C\", \"type\": \"SECRET\", \"secret\": {}}]}";
        let pair = |name: &str, value: &str| {
            let name = Name::new(name).expect("valid");
            (name, Value::new(value).expect("valid"))
        };
        let wanted = Flags {
            environment: vec![pair("A", "secret"), pair("B", "")],
            unresolved: vec!["C".to_owned()],
        };
        for arguments in [
            &[&*format!("--task_environment={json}")][..],
            &["--task-environment", json],
        ] {
            assert_eq!(flags(arguments), Ok(wanted.clone()));
        }
        for none in ["{}", r#"{"variables": []}"#, r#"{"variables": null}"#] {
            let argument = format!("--task_environment={none}");
            assert_eq!(flags(&[&argument]), Ok(Flags::default()));
        }
        for (json, words) in [
            (
                "",
                "is not valid JSON: EOF while parsing a value at line 1 column 0",
            ),
            ("{\"variables\"", "is not valid JSON: EOF"),
            ("[]", "must be a JSON object, found an array"),
            (
                r#"{"variables": {}}"#,
                ": variables must be an array of variables, found an object",
            ),
            (
                r#"{"variables": ["A=secret"]}"#,
                ": variables[0] must be an object, found a string",
            ),
            (
                r#"{"variables": [{"name": "A", "value": 5}]}"#,
                ": variables[0].value must be a string, found a number",
            ),
            (
                r#"{"variables": [{"name": "A"}, {"value": "secret"}]}"#,
                ": variables[1] (\"\") is invalid: the name of a variable must not be empty",
            ),
            (
                r#"{"variables": [{"name": "A=B", "value": "secret"}]}"#,
                ": variables[0] (\"A=B\") is invalid: the name of a variable must not contain '='",
            ),
        ] {
            let text = flags(&[&format!("--task_environment={json}")]).expect_err(json);
            let start = format!(
                "--task_environment{}{words}",
                if words.starts_with(':') { "" } else { " " }
            );
            assert!(text.starts_with(&start), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        let missing = flags(&["--task_environment", "--launcher_dir=/x"]);
        assert_eq!(
            missing,
            Err("the agent's flag --task_environment needs a value".to_owned())
        );
    }
}

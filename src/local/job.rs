//! A job file: the document's job JSON, and what a scheduler and an agent make of it.
//!
//! `env` becomes the executor's environment and `uris` files in the sandbox. All the rest goes to the
//! executor in `TaskInfo.data` as it stands, good or bad: judging commands is the executor's task.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The job that runs when none is given: every feature once, in a second.
pub const DEMO: &str = r#"{
  "before_commands": [
    {"value": "echo \"[before] runs first, and sets a variable for what follows\"", "guard": true},
    {"value": "command -v curl >/dev/null || { echo '[before] no curl here: no API calls'; exit 0; }; curl -s -X PATCH -d '{env: {GREETING: \"hello from a before command\"}}' $EXECUTOR_ENDPOINT"}
  ],
  "command": "echo \"[command] $GREETING\"; for p in 25 50 75 100; do command -v curl >/dev/null && curl -s -X PATCH -d \"{\\\"progress\\\": $p, \\\"message\\\": \\\"step $p\\\"}\" $EXECUTOR_ENDPOINT; sleep 0.2; done; echo '[command] done'",
  "after_commands": [
    {"value": "command -v curl >/dev/null && echo \"[after] the executor says $(curl -s $EXECUTOR_ENDPOINT)\""}
  ]
}"#;

/// A job, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `TaskInfo.data`.
    pub data: Vec<u8>,
    /// Variables for the executor.
    pub environment: Vec<(String, String)>,
    /// Files for the sandbox.
    pub uris: Vec<Uri>,
}

/// A file that the agent puts into the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// A path, absolute or from the job file's folder, or a `file://` URI.
    pub value: String,
    /// Whether to make it executable.
    pub executable: bool,
}

/// Why a job cannot be run here.
#[derive(Debug)]
pub enum JobError {
    /// It is not JSON.
    Syntax(serde_json::Error),
    /// A key has a value that makes no sense: the key, and what it should be.
    Shape(String, &'static str),
    /// A URI is not a local file.
    Remote(String),
    /// A file cannot be copied into the sandbox.
    Copy(PathBuf, io::Error),
}

// === impl JobError ===

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "it is not valid JSON: {error}"),
            Self::Shape(key, wanted) => write!(f, "{key} must be {wanted}"),
            Self::Remote(value) => write!(
                f,
                "{value} cannot be fetched here; use a path or a file:// URI, or a real Mesos agent"
            ),
            Self::Copy(path, error) => write!(f, "cannot copy {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            Self::Copy(_, error) => Some(error),
            Self::Shape(..) | Self::Remote(_) => None,
        }
    }
}

// === impl Job ===

impl Job {
    /// Takes a job file apart.
    ///
    /// # Errors
    ///
    /// It is not a JSON object, or its `env` or `uris` are not what the document says.
    pub fn parse(text: &str) -> Result<Self, JobError> {
        let Value::Object(mut job) = serde_json::from_str(text).map_err(JobError::Syntax)? else {
            return Err(JobError::Shape("the job".into(), "a JSON object"));
        };
        let environment = parse_environment(job.remove("env"))?;
        let uris = parse_uris(job.remove("uris"))?;
        Ok(Self {
            data: Value::Object(job).to_string().into_bytes(),
            environment,
            uris,
        })
    }

    /// Copies the job's files into the sandbox, as the agent's fetcher would. Relative paths start
    /// at `folder`.
    ///
    /// # Errors
    ///
    /// A file is not local, or cannot be copied.
    pub fn fetch(&self, folder: &Path, sandbox: &Path) -> Result<(), JobError> {
        self.uris
            .iter()
            .try_for_each(|uri| uri.fetch(folder, sandbox))
    }
}

fn parse_environment(value: Option<Value>) -> Result<Vec<(String, String)>, JobError> {
    const WANTED: &str = "an object of strings";
    let variables = match value {
        None => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(JobError::Shape("env".into(), WANTED)),
    };
    let variables = variables.into_iter().map(|(name, value)| match value {
        // What the kernel cannot pass on would fail the start of the executor with less to say.
        Value::String(value) if !name.is_empty() && !name.contains(['=', '\0']) => {
            Ok((name, value))
        }
        _ => Err(JobError::Shape(format!("env.{name}"), "a string")),
    });
    variables.collect()
}

fn parse_uris(value: Option<Value>) -> Result<Vec<Uri>, JobError> {
    let uris = match value {
        None => Vec::new(),
        Some(Value::Array(uris)) => uris,
        Some(_) => return Err(JobError::Shape("uris".into(), "an array of objects")),
    };
    let uris = uris.iter().enumerate().map(|(index, uri)| {
        let flag = |key: &str| match uri.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(JobError::Shape(format!("uris[{index}].{key}"), "a boolean")),
        };
        if flag("extract")? {
            let key = format!("uris[{index}].extract");
            return Err(JobError::Shape(key, "false: cook-local does not extract"));
        }
        let Some(Value::String(value)) = uri.get("value") else {
            return Err(JobError::Shape(format!("uris[{index}].value"), "a string"));
        };
        Ok(Uri {
            value: value.clone(),
            executable: flag("executable")?,
        })
    });
    uris.collect()
}

// === impl Uri ===

impl Uri {
    fn fetch(&self, folder: &Path, sandbox: &Path) -> Result<(), JobError> {
        let path = self.value.strip_prefix("file://").unwrap_or(&self.value);
        if path.contains("://") {
            return Err(JobError::Remote(self.value.clone()));
        }
        let from = folder.join(path);
        let copy = |from: &Path| {
            let name = from.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let to = sandbox.join(name);
            fs::copy(from, &to)?;
            if self.executable {
                let mode = fs::metadata(&to)?.permissions().mode();
                fs::set_permissions(&to, fs::Permissions::from_mode(mode | 0o111))?;
            }
            Ok(())
        };
        copy(&from).map_err(|error| JobError::Copy(from, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_file_is_taken_apart_and_its_commands_stay_as_they_are() {
        let job = Job::parse(
            r#"{"command": "true", "before_commands": [{"value": 5}], "later": 1,
                "env": {"A": "1"}, "uris": [{"value": "x.sh", "executable": true}]}"#,
        )
        .unwrap();
        let data: Value = serde_json::from_slice(&job.data).unwrap();
        assert_eq!(
            data,
            serde_json::json!({"command": "true", "before_commands": [{"value": 5}], "later": 1})
        );
        assert_eq!(job.environment, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(
            job.uris,
            [Uri {
                value: "x.sh".to_owned(),
                executable: true
            }]
        );
        assert!(Job::parse(DEMO).is_ok());
    }

    #[test]
    fn a_bad_job_file_is_told_what_is_wrong_and_where() {
        for (text, told) in [
            ("{\"command\": \"a\"\n\"env\": {}}", "line 2"),
            ("[]", "the job must be a JSON object"),
            (r#"{"env": []}"#, "env must be an object"),
            (r#"{"env": {"A": 1}}"#, "env.A must be a string"),
            (
                r#"{"uris": [{"value": "a"}, {}]}"#,
                "uris[1].value must be a string",
            ),
            (
                r#"{"uris": [{"value": "a", "executable": 1}]}"#,
                "uris[0].executable",
            ),
            (
                r#"{"uris": [{"value": "a", "extract": true}]}"#,
                "uris[0].extract",
            ),
        ] {
            let error = Job::parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        let remote = Job::parse(r#"{"uris": [{"value": "http://x/a.sh"}]}"#).unwrap();
        let error = remote.fetch(Path::new("."), Path::new(".")).unwrap_err();
        assert!(error.to_string().contains("cannot be fetched here"));
    }
}

//! A job file: the JSON of a job, and what a scheduler and an agent do with it.
//!
//! `env` becomes the executor's environment, and `uris` become files in the sandbox. Everything else goes
//! unchanged to the executor in `TaskInfo.data`, because the executor validates commands.

use std::fmt;

use cook_agent::spec::Uri;
use serde_json::{Map, Value};

/// The job that runs without a job file: shows every feature once, and takes a second.
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

/// A job, split into its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `TaskInfo.data`.
    pub data: Vec<u8>,
    /// The executor's environment.
    pub environment: Vec<(String, String)>,
    /// Files for the sandbox.
    pub uris: Vec<Uri>,
}

/// Why a job cannot be run here.
#[derive(Debug)]
pub enum JobError {
    /// It is not JSON.
    Syntax(serde_json::Error),
    /// A key has a wrong value: the key, and what the value must be.
    Shape(String, &'static str),
}

// === impl JobError ===

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "it is not valid JSON: {error}"),
            Self::Shape(key, wanted) => write!(f, "{key} must be {wanted}"),
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            Self::Shape(..) => None,
        }
    }
}

// === impl Job ===

impl Job {
    /// Splits a job file into its parts. A byte order mark is skipped, as wherever a job is read.
    ///
    /// # Errors
    ///
    /// It is not a JSON object, or its `env` or `uris` are malformed.
    pub fn parse(text: &str) -> Result<Self, JobError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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
}

fn parse_environment(value: Option<Value>) -> Result<Vec<(String, String)>, JobError> {
    const WANTED: &str = "an object of strings";
    let variables = match value {
        None => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(JobError::Shape("env".into(), WANTED)),
    };
    // The kernel cannot pass on a variable with a NUL byte. The error here is clearer than a failed start of the
    // executor.
    let variables = variables.into_iter().map(|(name, value)| match value {
        _ if name.is_empty() || name.contains(['=', '\0']) => Err(JobError::Shape(
            format!("the name {name:?} in env"),
            "without = and NUL, and not empty",
        )),
        Value::String(value) if !value.contains('\0') => Ok((name, value)),
        _ => Err(JobError::Shape(
            format!("env.{name}"),
            "a string without NUL",
        )),
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
        let Some(Value::String(value)) = uri.get("value") else {
            return Err(JobError::Shape(format!("uris[{index}].value"), "a string"));
        };
        Ok(Uri {
            value: value.clone(),
            executable: flag("executable")?,
            extract: flag("extract")?,
        })
    });
    uris.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_file_is_split_and_its_commands_stay_unchanged() {
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
                executable: true,
                extract: false,
            }]
        );
        assert!(Job::parse(DEMO).is_ok());
        assert!(Job::parse(&format!("\u{feff}{DEMO}")).is_ok());
    }

    #[test]
    fn an_error_in_a_job_file_names_the_place_and_what_would_be_right() {
        for (text, told) in [
            ("{\"command\": \"a\"\n\"env\": {}}", "line 2"),
            ("[]", "the job must be a JSON object"),
            (r#"{"env": []}"#, "env must be an object"),
            (r#"{"env": {"A": 1}}"#, "env.A must be a string"),
            (
                r#"{"env": {"A": "\u0000"}}"#,
                "env.A must be a string without NUL",
            ),
            (
                r#"{"env": {"A=B": "1"}}"#,
                "the name \"A=B\" in env must be",
            ),
            (r#"{"env": {"": "1"}}"#, "the name \"\" in env must be"),
            (
                r#"{"uris": [{"value": "a"}, {}]}"#,
                "uris[1].value must be a string",
            ),
            (
                r#"{"uris": [{"value": "a", "executable": 1}]}"#,
                "uris[0].executable",
            ),
            (
                r#"{"uris": [{"value": "a", "extract": 1}]}"#,
                "uris[0].extract",
            ),
        ] {
            let error = Job::parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}

//! The command line of `cook-local`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// The help text.
pub const USAGE: &str = "\
cook-local runs a job through cook-executor without Mesos.

usage: cook-local [JOB.json] [--executor PATH] [--sandbox DIR] [--keep]

  JOB.json         the job: an object with `command`, `before_commands`,
                   `after_commands` (arrays of hooks), `env`
                   (an object of strings) and `uris` (an array of
                   {value, executable}; local files, relative to the job file).
                   Without it, a demonstration job runs.
  --executor PATH  the executor; default: cook-executor next to this program
  --sandbox DIR    run in this folder, and keep it
  --keep           keep the temporary sandbox, and print its path
  --help           this text

Each line shows the seconds since the start and what happened: `state` and `data`
are status updates to the scheduler, `progress` and `message` framework messages,
`stdout` and `stderr` the job's output.

Ctrl-C shuts the executor down, as an agent does: after commands still run. 
more kills everything at once.

exit code: 0 the task finished, the command's own exit code if it failed (1 if
there is none, 128 + n for signal n), 130 it was killed, 2 the arguments or the
job are invalid.";

/// The options of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The job file; `None` for the demonstration job.
    pub job: Option<PathBuf>,
    /// The executor's file.
    pub executor: Option<PathBuf>,
    /// The sandbox.
    pub sandbox: Option<PathBuf>,
    /// Whether to keep the sandbox.
    pub keep: bool,
}

/// The result of parsing the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Usage {
    /// The help text.
    Help,
    /// A run.
    Run(Options),
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such option.
    Unknown(String),
    /// The option needs a value.
    NoValue(&'static str),
    /// There is more than one job file.
    SecondJob(PathBuf),
}

// === impl Error ===

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => write!(f, "there is no option {option}"),
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::SecondJob(path) => write!(
                f,
                "only one job file is possible; {} is a second one",
                path.display()
            ),
        }?;
        f.write_str("; see cook-local --help")
    }
}

// === impl Options ===

impl Options {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// An argument is not valid.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Usage, Error> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = |option| {
                let value = arguments.next().ok_or(Error::NoValue(option))?;
                Ok(Some(PathBuf::from(value)))
            };
            match argument.to_str() {
                Some("--help" | "-h") => return Ok(Usage::Help),
                Some("--keep") => options.keep = true,
                Some("--executor") => options.executor = value("--executor")?,
                Some("--sandbox") => options.sandbox = value("--sandbox")?,
                Some(option) if option.starts_with('-') => {
                    return Err(Error::Unknown(option.to_owned()));
                }
                _ if options.job.is_some() => return Err(Error::SecondJob(argument.into())),
                _ => options.job = Some(argument.into()),
            }
        }
        Ok(Usage::Run(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Usage, Error> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_may_be_in_any_order() {
        let wanted = Options {
            job: Some("job.json".into()),
            executor: Some("/bin/x".into()),
            sandbox: None,
            keep: true,
        };
        let parsed = parse(&["--keep", "job.json", "--executor", "/bin/x"]);
        assert_eq!(parsed, Ok(Usage::Run(wanted)));
        assert_eq!(parse(&[]), Ok(Usage::Run(Options::default())));
        assert_eq!(parse(&["a", "--help"]), Ok(Usage::Help));
    }

    #[test]
    fn an_error_names_the_invalid_argument() {
        assert_eq!(parse(&["-x"]), Err(Error::Unknown("-x".into())));
        assert_eq!(parse(&["--sandbox"]), Err(Error::NoValue("--sandbox")));
        assert_eq!(parse(&["a", "b"]), Err(Error::SecondJob("b".into())));
    }
}

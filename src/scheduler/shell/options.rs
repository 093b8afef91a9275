//! The command line of `cook-scheduler`.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::codec::config::masters;

/// The text of `--help`; it fits on one screen.
pub const USAGE: &str = "\
cook-scheduler runs jobs with before and after commands, on this machine or on
Apache Mesos, and serves Cook's Scheduler HTTP API.

usage: cook-scheduler [--config FILE.edn] [--listen ADDRESS:PORT] [--data DIR]
                      [--master URL[,URL...]] [--executor FILE]
       cook-scheduler --drain [--config FILE.edn] [--data DIR] [--master ...]

  --config FILE.edn      the configuration; options override it
  --listen ADDRESS:PORT  where to serve the API; default: 127.0.0.1:12321.
                         An address other than loopback needs :http-basic with
                         logins in the configuration
  --data DIR             the folder for jobs and sandboxes; default:
                         $XDG_STATE_HOME/cook-scheduler, or
                         ~/.local/state/cook-scheduler
  --master URL           run jobs on the Mesos cluster of this master; if there
                         are several, list all of them. Without it, jobs run on
                         this machine
  --executor FILE        the cook-executor that runs the jobs; default: the one
                         beside this program. With --master: a path on the agents
  --drain                kill the jobs that a stopped scheduler has left running
                         (their after commands run), and exit
  --help, --version

Submit a job, and read its result:
  curl -d '{\"command\": \"echo hello\"}' http://127.0.0.1:12321/rawscheduler
  curl 'http://127.0.0.1:12321/rawscheduler?job=UUID'

SIGTERM: exits at once; running jobs continue, and the next start finds them.
Ctrl-C: the same, but if jobs are running it waits 5 seconds for a second
Ctrl-C, which kills them.

exit status: 0 it was asked to exit, 1 it cannot continue, 2 the arguments or
the configuration are wrong.";

/// The options of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Where to serve.
    pub listen: Option<SocketAddr>,
    /// The data folder.
    pub data: Option<PathBuf>,
    /// The Mesos masters; empty to run jobs on this machine.
    pub masters: Vec<String>,
    /// The executor's file.
    pub executor: Option<PathBuf>,
}

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Serve the API and run jobs.
    Serve(Options),
    /// Kill the jobs that a stopped scheduler has left running.
    Drain(Options),
}

/// Why the command line is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// There is no such option.
    Unknown(String),
    /// The option needs a value.
    NoValue(&'static str),
    /// The option is given twice.
    Twice(&'static str),
    /// The value of `--listen` is not an address with a port.
    Listen(String),
    /// The value of `--master` is not a list of masters; the text says why.
    Master(String),
    /// An argument that is not an option.
    Stray(String),
}

// === impl OptionError ===

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => write!(f, "there is no option {option}"),
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::Twice(option) => write!(f, "{option} must not be given twice"),
            Self::Listen(value) => write!(
                f,
                "--listen must be ADDRESS:PORT with a numeric address, such as 127.0.0.1:12321, found {value:?}"
            ),
            Self::Master(what) => write!(f, "--master {what}"),
            Self::Stray(value) => write!(f, "unexpected argument {value:?}"),
        }?;
        f.write_str("; see cook-scheduler --help")
    }
}

impl std::error::Error for OptionError {}

// === impl Options ===

impl Options {
    /// Parses the arguments after the program's name. A value is the next argument, or follows a `=`.
    ///
    /// # Errors
    ///
    /// Why the command line is refused.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<CommandLine, OptionError> {
        let mut options = Self::default();
        let mut drain = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(text) = argument.to_str() else {
                let text = argument.to_string_lossy().into_owned();
                return Err(OptionError::Unknown(text));
            };
            let (name, inline) = match text.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.into())),
                _ => (text, None),
            };
            let mut value = |option| {
                let given = inline.clone().or_else(|| arguments.next());
                given
                    .filter(|value: &OsString| !value.is_empty())
                    .ok_or(OptionError::NoValue(option))
            };
            match name {
                "--help" | "-h" if inline.is_none() => return Ok(CommandLine::Help),
                "--version" | "-V" if inline.is_none() => return Ok(CommandLine::Version),
                "--drain" if inline.is_none() => drain = true,
                "--config" => set(&mut options.config, "--config", value("--config")?.into())?,
                "--data" => set(&mut options.data, "--data", value("--data")?.into())?,
                "--executor" => {
                    set(
                        &mut options.executor,
                        "--executor",
                        value("--executor")?.into(),
                    )?;
                }
                "--listen" => {
                    let text = value("--listen")?.to_string_lossy().into_owned();
                    let address = text.parse().map_err(|_| OptionError::Listen(text))?;
                    set(&mut options.listen, "--listen", address)?;
                }
                "--master" => {
                    let text = value("--master")?.to_string_lossy().into_owned();
                    if !options.masters.is_empty() {
                        return Err(OptionError::Twice("--master"));
                    }
                    options.masters = masters(&text).map_err(OptionError::Master)?;
                }
                option if option.starts_with('-') => {
                    return Err(OptionError::Unknown(option.to_owned()));
                }
                _ => return Err(OptionError::Stray(text.to_owned())),
            }
        }
        Ok(match drain {
            true => CommandLine::Drain(options),
            false => CommandLine::Serve(options),
        })
    }
}

fn set<T>(field: &mut Option<T>, option: &'static str, value: T) -> Result<(), OptionError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(OptionError::Twice(option)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<CommandLine, OptionError> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_may_have_any_order_and_both_forms_of_values() {
        let wanted = Options {
            config: Some("a.edn".into()),
            listen: Some(([127, 0, 0, 1], 0).into()),
            data: Some("/d".into()),
            masters: vec!["one:5050".into(), "two:5051".into()],
            executor: Some("x".into()),
        };
        let parsed = parse(&[
            "--data=/d",
            "--master",
            "one,http://two:5051/",
            "--listen",
            "127.0.0.1:0",
            "--config=a.edn",
            "--executor",
            "x",
        ]);
        assert_eq!(parsed, Ok(CommandLine::Serve(wanted)));
        assert_eq!(parse(&[]), Ok(CommandLine::Serve(Options::default())));
        assert_eq!(
            parse(&["--drain"]),
            Ok(CommandLine::Drain(Options::default()))
        );
        assert_eq!(parse(&["--drain", "--help"]), Ok(CommandLine::Help));
        assert_eq!(parse(&["--version"]), Ok(CommandLine::Version));
    }

    #[test]
    fn refused_arguments_are_named() {
        for (arguments, words) in [
            (&["-x"][..], "there is no option -x"),
            (&["--drain=1"], "there is no option --drain"),
            (&["--data"], "--data needs a value"),
            (&["--data="], "--data needs a value"),
            (
                &["--data", "a", "--data", "b"],
                "--data must not be given twice",
            ),
            (
                &["--listen", "localhost:1"],
                "--listen must be ADDRESS:PORT",
            ),
            (&["--listen", "127.0.0.1"], "found \"127.0.0.1\""),
            (&["--master", "zk://a/mesos"], "--master names ZooKeeper"),
            (&["--master", "a:b"], "--master must be a list of masters"),
            (&["--master", "a,,b"], "--master must be a list of masters"),
            (&["job.json"], "unexpected argument \"job.json\""),
        ] {
            let error = parse(arguments).expect_err("refused").to_string();
            assert!(error.contains(words), "{arguments:?}: {error}");
            assert!(error.ends_with("; see cook-scheduler --help"));
        }
    }
}

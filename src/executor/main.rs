//! `cook-executor`: the executor, when an agent starts it in a sandbox; a client of the task API, when a
//! task's command does.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;
use std::time::Instant;

use cook_executor::codec::mesos::arguments::{Arguments, Started};
use cook_executor::core::effect::ExitStatus;
use cook_executor::core::variables;
use cook_executor::shell::config::Config;
use cook_executor::shell::runtime;
use cook_executor::world::client::{self, Request};
use cook_executor::world::log::{self, ENDING, Log, complain};
use cook_executor::world::memory;
use cook_executor::world::process::signals;
use cook_executor::world::random;
use no_backtrace as _;

const HELP: &str = r#"cook-executor: a Mesos executor with before and after commands and a task API

A Mesos agent starts it as the executor of one task; README.md says how to set
that up. To run a job without Mesos, use cook-local.

  --version     print the version
  --help        print this text

In a command of a task, where EXECUTOR_ENDPOINT is set, it is a client of the task API:
  "$EXECUTOR_BIN" get                      print what is known about the task
  "$EXECUTOR_BIN" patch '{"progress": 10}' report; the exit status is 1 on an error

With other arguments it is an executor. Flags of an agent (--launcher_dir=...) are
accepted or refused; other arguments are the command of a task that has none.

Environment (more in packaging/docs/environment.md):
  EXECUTOR_LOG_LEVEL           DEBUG, INFO (default), WARNING or ERROR
  EXECUTOR_MAX_MESSAGE_LENGTH  maximum length of a task's message; default 512
  PROGRESS_SAMPLE_INTERVAL_MS  minimum time between progress messages; default 1000
  PROGRESS_REGEX_STRING        the pattern of progress in the task's output
  EXECUTOR_PROGRESS_OUTPUT_FILE
                               a file to which the task may write its progress
  EXECUTOR_PORT0               preferred port of the task API
  EXECUTOR_BEFORE_COMMANDS, EXECUTOR_AFTER_COMMANDS,
  EXECUTOR_DEFAULT_BEFORE_COMMANDS, EXECUTOR_DEFAULT_AFTER_COMMANDS
                               hooks: JSON arrays of {value, guard, async, timeout}

Files: executor.log in the sandbox.
Exit status: 0 if the agent knows how the task ended, else 1.
"#;

/// The exit status for invalid arguments of the client.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments = std::env::args_os().skip(1).map(OsString::into_vec);
    let arguments: Vec<Vec<u8>> = arguments.collect();
    match Started::read(&arguments) {
        Started::Version => print(concat!(env!("CARGO_PKG_VERSION"), "\n")),
        Started::Help => print(HELP),
        Started::Get => ask(&Request::Get),
        Started::Patch(body) => ask(&Request::Patch(OsStr::from_bytes(&body))),
        Started::Executor(arguments) => run(arguments, started),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// In a command: sends a request to the task API and prints the response, on stderr if it is an error.
fn ask(request: &Request) -> ExitCode {
    let name = variables::ENDPOINT;
    let Some(endpoint) = std::env::var_os(name) else {
        complain(&format!(
            "{name} is not set: get and patch can be used only in a task's command"
        ));
        return ExitCode::FAILURE;
    };
    let endpoint = &*endpoint.to_string_lossy();
    if !client::is_endpoint(endpoint) {
        complain(&format!(
            "{name} is {endpoint:?}, not a task's endpoint such as http://127.0.0.1:31005/task/some-id"
        ));
        return ExitCode::FAILURE;
    }
    match client::ask(endpoint, request) {
        Ok(answer) if (200..300).contains(&answer.status) => print(&answer.text()),
        Ok(answer) => {
            // If stderr is closed, nobody can be told.
            let _ = std::io::stderr().write_all(&answer.body);
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!(
                "failed to reach the task API at {endpoint}: {error}"
            ));
            ExitCode::FAILURE
        }
    }
}

/// Whether this is a command of the same executor that it would be. A second executor would replace the
/// first one at the agent, and so end its task.
fn is_inside_its_own_task() -> bool {
    let get = std::env::var_os;
    let ids = get(variables::FRAMEWORK_ID).zip(get(variables::EXECUTOR_ID));
    let own = ids.map(|(framework, executor)| variables::of(&framework, &executor));
    own.is_some() && get(variables::OF) == own
}

fn run(arguments: Arguments, started: Instant) -> ExitCode {
    if is_inside_its_own_task() {
        complain(
            "this is a command of a task; the arguments must be get, or patch '{\"progress\": 10}'",
        );
        return ExitCode::from(USAGE);
    }
    let signals = signals::survive();
    let seed = match random::seed() {
        Ok(seed) => seed,
        Err(error) => {
            complain(&format!("cannot get random bytes from the kernel: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let config = match Config::read(std::env::vars_os(), arguments, seed) {
        Ok(config) => config,
        Err(missing) => {
            complain(&format!(
                "{missing}; this program is started by a Mesos agent. To run a job without one, use cook-local"
            ));
            return ExitCode::FAILURE;
        }
    };
    if config.target.token.is_some() {
        // Then the task's user cannot read /proc/PID/environ.
        let hidden = rustix::process::DumpableBehavior::NotDumpable;
        if let Err(error) = rustix::process::set_dumpable_behavior(hidden) {
            complain(&format!("failed to hide the authentication token: {error}"));
        }
    }
    let log = Log::open(&config.sandbox, config.log_level);
    // It cannot fail: it is the first one.
    let _ = tracing::subscriber::set_global_default(log);
    log::log_panics();
    tracing::info!(
        "cook-executor {} for executor {:?} of framework {:?}",
        env!("CARGO_PKG_VERSION"),
        config.caller.executor,
        config.caller.framework
    );
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let status = runtime::run(config, signals, started);
    memory::report();
    let code = match status {
        ExitStatus::Done => 0,
        ExitStatus::Unreported => 1,
        ExitStatus::Test(status) => status,
    };
    tracing::info!(target: ENDING, "exiting with status {code}");
    ExitCode::from(code)
}

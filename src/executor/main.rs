//! `cook-executor`: started by a Mesos agent in a task's sandbox; in a task's command, a client of it.

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

A Mesos agent starts it as the executor of one task. Give its URI to your
framework; see README.md. To try a job without Mesos: cook-local.

  --version     print the version
  --help        print this

In a task's command, where EXECUTOR_ENDPOINT is set, it is a client of the task API:
  "$EXECUTOR_BIN" get                      print what is known about the task
  "$EXECUTOR_BIN" patch '{"progress": 10}' report; the exit status is 1 on an error

With any other arguments it is an executor: flags of an agent (--launcher_dir=...)
are obeyed or refused, anything else is the command of a task that has none.

Environment (more in packaging/docs/environment.md):
  EXECUTOR_LOG_LEVEL           DEBUG, INFO (default), WARNING or ERROR
  EXECUTOR_MAX_MESSAGE_LENGTH  longest message of a task, 512 characters
  PROGRESS_SAMPLE_INTERVAL_MS  least time between two progress messages, 1000
  PROGRESS_REGEX_STRING        what progress looks like in the task's output
  EXECUTOR_PROGRESS_OUTPUT_FILE
                               a file that it may write its progress to
  EXECUTOR_PORT0               preferred port of the task API
  EXECUTOR_BEFORE_COMMANDS, EXECUTOR_AFTER_COMMANDS,
  EXECUTOR_DEFAULT_BEFORE_COMMANDS, EXECUTOR_DEFAULT_AFTER_COMMANDS
                               hooks, as JSON arrays of {value, guard?, async?,
                               timeout?}

Files: executor.log in the sandbox.
Exit status: 0 when the agent knows how the task ended, 1 otherwise.
"#;

/// The exit status of a client that was called wrongly.
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

/// In a command: prints the answer of the task API, on stderr if it is an error.
fn ask(request: &Request) -> ExitCode {
    let name = variables::ENDPOINT;
    let Some(endpoint) = std::env::var_os(name) else {
        complain(&format!(
            "{name} is not set: get and patch ask the task API, from a task's command"
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
            // Nobody is left to tell if stderr is closed.
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

/// Whether this is a command of the very task that an executor with these ids would serve: a second executor
/// would take the first one's place at the agent, and end its task.
fn is_inside_its_own_task() -> bool {
    let get = std::env::var_os;
    let ids = get(variables::FRAMEWORK_ID).zip(get(variables::EXECUTOR_ID));
    let own = ids.map(|(framework, executor)| variables::of(&framework, &executor));
    own.is_some() && get(variables::OF) == own
}

fn run(arguments: Arguments, started: Instant) -> ExitCode {
    if is_inside_its_own_task() {
        complain("in a command, use it as: get, or: patch '{\"progress\": 10}'");
        return ExitCode::from(USAGE);
    }
    let signals = signals::survive();
    let seed = match random::seed() {
        Ok(seed) => seed,
        Err(error) => {
            complain(&format!("the kernel gives no random bytes: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let config = match Config::read(std::env::vars_os(), arguments, seed) {
        Ok(config) => config,
        Err(missing) => {
            complain(&format!(
                "{missing}: it is started by a Mesos agent; to try a job without one, use cook-local"
            ));
            return ExitCode::FAILURE;
        }
    };
    if config.target.token.is_some() {
        // /proc/PID/environ is not readable by the task's user then.
        let hidden = rustix::process::DumpableBehavior::NotDumpable;
        if let Err(error) = rustix::process::set_dumpable_behavior(hidden) {
            complain(&format!("failed to hide the authentication token: {error}"));
        }
    }
    let log = Log::open(&config.sandbox, config.log_level);
    // It is the first and only one.
    let _ = tracing::subscriber::set_global_default(log);
    log::tell_panics();
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

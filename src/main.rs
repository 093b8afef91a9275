//! `cook-executor`: started by a Mesos agent in a task's sandbox, without arguments.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use cook_executor::config::Config;
use cook_executor::core::effect::ExitStatus;
use cook_executor::log::Log;
use cook_executor::runtime;

const HELP: &str = "\
cook-executor: a Mesos executor with before and after commands and a task API

A Mesos agent starts it, without arguments, as the executor of one task. Give its
URI to your framework; see README.md. To try a job without Mesos: cook-local.

  --version   print the version
  --help      print this

Environment (more in README.md):
  EXECUTOR_LOG_LEVEL           DEBUG, INFO (default), WARNING or ERROR
  EXECUTOR_MAX_MESSAGE_LENGTH  longest message of a task, 512 characters
  PROGRESS_SAMPLE_INTERVAL_MS  least time between two progress messages, 1000
  EXECUTOR_PORT0               preferred port of the task API
  EXECUTOR_BEFORE_COMMANDS, EXECUTOR_AFTER_COMMANDS,
  EXECUTOR_DEFAULT_BEFORE_COMMANDS, EXECUTOR_DEFAULT_AFTER_COMMANDS
                               hooks, as JSON arrays of {value, guard?, async?}

Files: executor.log in the sandbox.
Exit status: 0 when the agent knows how the task ended, 1 otherwise.
";

fn main() -> ExitCode {
    let started = Instant::now();
    // Schedulers append arguments of their own, such as the task's command (Marathon): only these
    // two, alone, are for us.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).take(2).collect();
    match arguments.as_slice() {
        [flag] if flag == "--version" => println!("{}", env!("CARGO_PKG_VERSION")),
        [flag] if flag == "--help" => print!("{HELP}"),
        _ => return run(started),
    }
    ExitCode::SUCCESS
}

fn run(started: Instant) -> ExitCode {
    let mut seed = [0; 16];
    if let Err(error) = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()) {
        eprintln!("cook-executor: failed to get random bytes: {error}");
        return ExitCode::FAILURE;
    }
    let config = match Config::read(std::env::vars_os(), seed) {
        Ok(config) => config,
        Err(missing) => {
            eprintln!(
                "cook-executor: failed to {missing}: it is started by a Mesos agent; to try a job \
                 without one, see cook-local"
            );
            return ExitCode::FAILURE;
        }
    };
    if config.target.token.is_some() {
        // /proc/PID/environ is not readable by the task's user then.
        let hidden = rustix::process::DumpableBehavior::NotDumpable;
        if let Err(error) = rustix::process::set_dumpable_behavior(hidden) {
            eprintln!("cook-executor: failed to hide the authentication token: {error}");
        }
    }
    let log = Log::open(&config.sandbox, config.log_level);
    // It is the first and only one.
    let _ = tracing::subscriber::set_global_default(log);
    tracing::info!(
        "cook-executor {} for executor {:?} of framework {:?}",
        env!("CARGO_PKG_VERSION"),
        config.caller.executor,
        config.caller.framework
    );
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let status = runtime::run(config, started);
    let code = match status {
        ExitStatus::Done => 0,
        ExitStatus::Unreported => 1,
    };
    tracing::info!("exiting with status {code}");
    ExitCode::from(code)
}

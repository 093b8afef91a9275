//! `cook-scheduler`: serves Cook's Scheduler HTTP API.

use std::process::ExitCode;

use cook_scheduler::shell::options::{CommandLine, OptionError, Options, USAGE};
use cook_scheduler::shell::serve::{Ending, StartError, Task, run};
use cook_scheduler::shell::{log, prepare, version};
// Nothing is called: it is there to be linked.
use no_backtrace as _;

/// Exit code for unusable arguments or configuration.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    // The embedded agent starts executors through this program itself.
    cook_agent::helper::run_if_asked();
    let (options, task) = match Options::parse(std::env::args_os().skip(1)) {
        Ok(CommandLine::Help) => {
            return say(USAGE);
        }
        Ok(CommandLine::Version) => {
            return say(&format!("cook-scheduler {}", version()));
        }
        Ok(CommandLine::Serve(options)) => (options, Task::Serve),
        Ok(CommandLine::Drain(options)) => (options, Task::Drain),
        Err(error) => return unusable(&OptionError::to_string(&error)),
    };
    log::listen();
    let setup = match prepare(options) {
        Ok(setup) => setup,
        Err(text) => return unusable(&text),
    };
    match run(setup, task) {
        Ok(Ending::Asked) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::FAILURE,
        Err(StartError(text)) => unusable(&text),
    }
}

fn say(text: &str) -> ExitCode {
    use std::io::Write;
    // The reader may have closed the pipe.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn unusable(text: &str) -> ExitCode {
    log::complain(text);
    ExitCode::from(UNUSABLE)
}

//! `cook-local`: runs a job file with cook-executor, without Mesos.
//!
//! It contains a Mesos agent (`cook_agent`), which starts the executor as a real agent does. It shows
//! everything that happens, and exits with the job's result. See [`USAGE`]. The modules: `options` parses
//! the arguments, `job` reads the job file, `run` is the event loop, `show` prints, and `result` makes the
//! exit code.
//!
//! ```text
//! cook-local --keep packaging/examples/jobs/progress.json
//! ```

mod folder;
mod job;
mod options;
mod result;
mod run;
mod show;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use cook_agent::helper;
use folder::Folder;
use job::Job;
use options::{Options, USAGE, Usage};
use run::Run;
use smol::LocalExecutor;

/// The exit code for invalid arguments or job files.
const UNUSABLE: u8 = 2;

/// Why nothing can be run: a sentence for the user.
struct Unusable(String);

fn main() -> ExitCode {
    helper::run_if_asked();
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Usage::Run(options)) => options,
        Ok(Usage::Help) => {
            say(io::stdout(), USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => return unusable(&error.to_string()),
    };
    match run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(Unusable(sentence)) => unusable(&sentence),
    }
}

fn unusable(sentence: &str) -> ExitCode {
    say(io::stderr(), &format!("cook-local: {sentence}"));
    ExitCode::from(UNUSABLE)
}

/// Prints a line. An output that was closed is ignored.
fn say(mut out: impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

/// Runs the job to its end. Returns the exit code for its result.
fn run(options: &Options) -> Result<u8, Unusable> {
    let (job, folder) = read_job(options.job.as_deref())?;
    let program = find_executor(options.executor.as_deref())?;
    let sandbox = Folder::sandbox(options)?;
    let agent = Folder::temporary("agent")?;
    let executor = Rc::new(LocalExecutor::new());
    // Before the first spawn: otherwise async-process starts a thread for this.
    executor.spawn(async_process::driver()).detach();
    let running = async {
        let mut run = Run::start(job, folder, program, &sandbox, &agent, executor.clone())?;
        Ok(run.follow().await)
    };
    async_io::block_on(executor.run(running))
}

/// The job, and the folder where its relative paths start.
fn read_job(path: Option<&Path>) -> Result<(Job, PathBuf), Unusable> {
    let Some(path) = path else {
        let job = Job::parse(job::DEMO).map_err(|error| Unusable(error.to_string()))?;
        return Ok((job, PathBuf::from(".")));
    };
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Unusable(format!("cannot read the job file {shown}: {error}")))?;
    let job = Job::parse(&text).map_err(|error| Unusable(format!("{shown}: {error}")))?;
    Ok((job, path.parent().unwrap_or(Path::new("")).to_owned()))
}

/// The executor that the user named, or the one next to this program.
fn find_executor(wanted: Option<&Path>) -> Result<PathBuf, Unusable> {
    let path = match wanted {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .map_err(|error| Unusable(format!("cannot find the path of this program: {error}")))?
            .with_file_name("cook-executor"),
    };
    // Absolute, because the executor is started in another folder.
    fs::canonicalize(&path).map_err(|error| {
        let path = path.display();
        Unusable(format!(
            "no executor at {path} ({error}); build it with `make`, or name it with --executor PATH"
        ))
    })
}

//! `cook-local`: runs a job file through cook-executor without Mesos.
//!
//! It is its own agent: it starts the executor as a Mesos agent would, shows everything that happens
//! and leaves with the job's result. See [`USAGE`].

mod job;
mod options;
mod show;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use cook_mesos::messages::TaskState;
use cook_test_agent::agent::{Agent, AgentConfig};
use cook_test_agent::census;
use cook_test_agent::events;
use cook_test_agent::journal::{Journal, data_of};
use cook_test_agent::launch::{Executor, Launch};
use job::Job;
use options::{Options, USAGE, Usage};
use serde_json::Value;
use show::Show;
use smol::stream::StreamExt;

/// The id of the one task.
const TASK_ID: &str = "local-task";

/// How often the task's output is looked at; updates are shown at once.
const TICK: Duration = Duration::from_millis(50);

/// What the executor is given after SHUTDOWN before the agent destroys the container, as by a real
/// agent: `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`, and a moment more.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(5_500);

/// The exit code for arguments or a job file that cannot be used.
const UNUSABLE: u8 = 2;

/// The exit code for a killed task: that of a shell whose command was interrupted.
const INTERRUPTED: u8 = 130;

/// A run in progress.
struct Run {
    agent: Agent,
    executor: Executor,
    show: Show<io::Stdout>,
    /// How often the user wanted it to end.
    interrupts: Arc<AtomicUsize>,
    /// What marks the processes of this run.
    cookie: String,
}

/// A folder that goes when the run is over, unless it is to be kept.
struct Sandbox {
    path: PathBuf,
    keep: bool,
}

/// Why there is no run: a sentence for the user.
struct Unusable(String);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Usage::Run(options)) => options,
        Ok(Usage::Help) => {
            println!("{USAGE}");
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
    eprintln!("cook-local: {sentence}");
    ExitCode::from(UNUSABLE)
}

/// Runs the job to its end; the exit code that tells its result.
fn run(options: &Options) -> Result<u8, Unusable> {
    let (job, folder) = read_job(options.job.as_deref())?;
    let program = find_executor(options.executor.as_deref())?;
    let sandbox = Sandbox::create(options)?;
    job.fetch(&folder, &sandbox.path)
        .map_err(|error| Unusable(format!("uris: {error}")))?;
    let mut run = Run::start(&job, &program, &sandbox)?;
    let shown = run.follow();
    let code = run.agent.inspect(result);
    shown.map_err(|error| Unusable(format!("cannot print: {error}")))?;
    Ok(code)
}

/// The job, and the folder that its relative paths start from.
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

/// The executor that was asked for, or the one beside this program.
fn find_executor(wanted: Option<&Path>) -> Result<PathBuf, Unusable> {
    let path = match wanted {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .map_err(|error| Unusable(format!("cannot find myself: {error}")))?
            .with_file_name("cook-executor"),
    };
    // The executor is started in another folder.
    fs::canonicalize(&path).map_err(|error| {
        let path = path.display();
        Unusable(format!(
            "no executor at {path} ({error}); build it with `make`, or name it with --executor PATH"
        ))
    })
}

/// The exit code that tells a run's result.
fn result(journal: &Journal) -> u8 {
    let Some(status) = journal.terminal_of(TASK_ID) else {
        return 1;
    };
    match status.state() {
        TaskState::Finished => 0,
        TaskState::Killed => INTERRUPTED,
        TaskState::Error => UNUSABLE,
        TaskState::Failed | TaskState::Starting | TaskState::Running | TaskState::Killing => {
            let data = data_of(status);
            let code = data.and_then(|data| data.get("exit_code").and_then(Value::as_i64));
            match code {
                // A guard failed, or an after command has the last word.
                None | Some(0) => 1,
                // A signal, in the way of shells.
                Some(code) if code < 0 => u8::try_from(128 - code).unwrap_or(1),
                Some(code) => u8::try_from(code).unwrap_or(1),
            }
        }
    }
}

/// Counts SIGINT and SIGTERM on a thread of its own.
fn count_interrupts() -> io::Result<Arc<AtomicUsize>> {
    let mut signals = Signals::new([Signal::Int, Signal::Term])?;
    let interrupts = Arc::new(AtomicUsize::new(0));
    let count = interrupts.clone();
    thread::spawn(move || {
        async_io::block_on(async {
            while signals.next().await.is_some() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    Ok(interrupts)
}

// === impl Run ===

impl Run {
    fn start(job: &Job, program: &Path, sandbox: &Sandbox) -> Result<Self, Unusable> {
        let broken = |error: io::Error| Unusable(format!("cannot start the executor: {error}"));
        let config = AgentConfig {
            executor_environment: job.environment.clone(),
            ..AgentConfig::default()
        };
        let agent_id = config.agent_id.clone();
        let agent = Agent::start(config).map_err(broken)?;
        let interrupts = count_interrupts().map_err(broken)?;
        let mut show = Show::new(io::stdout());
        let mut launch = Launch::new(program, &sandbox.path, &agent);
        launch.without_checkpoint();
        let executor = launch.start(agent.exit_recorder()).map_err(broken)?;
        for label in ["stdout", "stderr"] {
            show.follow(label, &sandbox.path.join(label))
                .map_err(broken)?;
        }
        agent.launch(events::task(TASK_ID, &agent_id, job.data.clone()));
        Ok(Self {
            agent,
            executor,
            show,
            interrupts,
            cookie: format!("MESOS_SANDBOX={}", sandbox.path.display()),
        })
    }

    /// Shows the run until the executor has ended; ends it when the user wants that.
    fn follow(&mut self) -> io::Result<()> {
        let mut shutdown: Option<Instant> = None;
        while self.executor.wait(Duration::ZERO).is_none() {
            self.show.update(&self.agent, TICK)?;
            let interrupts = self.interrupts.load(Ordering::Relaxed);
            let overdue = shutdown.is_some_and(|since| since.elapsed() > SHUTDOWN_GRACE);
            if interrupts > 0 && shutdown.is_none() {
                let text = "shutting down; once more to kill everything at once";
                self.show.line("local", text)?;
                self.agent.shutdown();
                shutdown = Some(Instant::now());
            } else if interrupts > 1 || overdue {
                self.show.line("local", "killing everything")?;
                census::kill_all(&self.cookie);
            }
        }
        self.show.finish(&self.agent)?;
        for process in census::kill_all(&self.cookie) {
            let text = format!("killed {process}, which the executor left behind");
            self.show.line("EXECUTOR", &text)?;
        }
        Ok(())
    }
}

// === impl Sandbox ===

impl Sandbox {
    fn create(options: &Options) -> Result<Self, Unusable> {
        let name = format!("cook-local-{}", std::process::id());
        let path = match &options.sandbox {
            Some(path) => path.clone(),
            None => std::env::temp_dir().join(name),
        };
        let created = fs::create_dir_all(&path).and_then(|()| fs::canonicalize(&path));
        match created {
            Ok(path) => Ok(Self {
                path,
                keep: options.keep || options.sandbox.is_some(),
            }),
            Err(error) => Err(Unusable(format!(
                "cannot create the sandbox {}: {error}; choose another one with --sandbox DIR",
                path.display()
            ))),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.keep {
            println!("The sandbox, with executor.log, is {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

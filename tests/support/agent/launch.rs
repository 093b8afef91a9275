//! Starts the executor as an agent does: in its sandbox, with only the agent's variables, with its output
//! in the sandbox's `stdout` and `stderr`, and in its own process group.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::agent::Agent;

/// What the launch helper of a Mesos agent sets if there is no other value.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How to start an executor.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    sandbox: PathBuf,
    variables: BTreeMap<OsString, OsString>,
    prelude: Option<String>,
}

/// The process of an executor. It does not end when this is dropped.
#[derive(Debug)]
pub struct Executor {
    pid: Pid,
    exit: Arc<Exit>,
}

/// Set by the thread that waits for the process.
#[derive(Debug, Default)]
struct Exit {
    status: Mutex<Option<ExitStatus>>,
    known: Condvar,
}

// === impl Launch ===

impl Launch {
    /// Starts `program` in `sandbox` with the variables that `agent` sets for executors (`slave.cpp`, lines
    /// 11410 to 11537). The framework has checkpointing enabled.
    pub fn new(program: impl Into<PathBuf>, sandbox: impl Into<PathBuf>, agent: &Agent) -> Self {
        let sandbox = sandbox.into();
        let config = agent.config();
        let address = agent.address();
        let mut launch = Self {
            program: program.into(),
            sandbox: sandbox.clone(),
            variables: BTreeMap::new(),
            prelude: None,
        };
        launch
            .set("MESOS_FRAMEWORK_ID", config.framework_id)
            .set("MESOS_EXECUTOR_ID", config.executor_id)
            .set("MESOS_SLAVE_ID", config.agent_id)
            .set("MESOS_SLAVE_PID", format!("slave(1)@{address}"))
            .set("MESOS_AGENT_ENDPOINT", address.to_string())
            .set("MESOS_DIRECTORY", &sandbox)
            .set("MESOS_SANDBOX", &sandbox)
            .set("MESOS_CHECKPOINT", "1")
            .set("MESOS_RECOVERY_TIMEOUT", "15mins")
            .set("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs")
            .set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs")
            .set("MESOS_HTTP_COMMAND_EXECUTOR", "0")
            .set("LIBPROCESS_PORT", "0")
            .set("PATH", PATH);
        if let Some(token) = config.token {
            launch.set("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", token);
        }
        if let Some(path) = agent.socket() {
            launch.set("MESOS_DOMAIN_SOCKET", path);
        }
        for (name, value) in config.executor_environment {
            launch.set(name, value);
        }
        launch
    }

    /// The framework has no checkpointing.
    pub fn without_checkpoint(&mut self) -> &mut Self {
        self.set("MESOS_CHECKPOINT", "0")
            .unset("MESOS_RECOVERY_TIMEOUT")
            .unset("MESOS_SUBSCRIPTION_BACKOFF_MAX")
    }

    /// Sets one variable.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Unsets one variable.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.remove(OsStr::new(name));
        self
    }

    /// Shell commands that run in the executor's process before it starts, to change its limits and
    /// descriptors.
    pub fn set_prelude(&mut self, commands: impl Into<String>) -> &mut Self {
        self.prelude = Some(commands.into());
        self
    }

    /// The working directory.
    pub fn sandbox(&self) -> &Path {
        &self.sandbox
    }

    /// Starts the executor. `on_exit` is called on another thread when it has ended, with its exit code, or
    /// `None` for a signal.
    ///
    /// # Errors
    ///
    /// The sandbox cannot be written, or the program cannot be started.
    pub fn start(
        &self,
        on_exit: impl FnOnce(Option<i32>) + Send + 'static,
    ) -> io::Result<Executor> {
        let mut command = match &self.prelude {
            None => Command::new(&self.program),
            Some(prelude) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(format!("{prelude}\nexec \"$0\""));
                command.arg(&self.program);
                command
            }
        };
        let child = command
            .current_dir(&self.sandbox)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(File::create(self.sandbox.join("stdout"))?)
            .stderr(File::create(self.sandbox.join("stderr"))?)
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        let exit = Arc::new(Exit::default());
        let known = exit.clone();
        thread::spawn(move || known.reap(child, pid, on_exit));
        Ok(Executor { pid, exit })
    }
}

// === impl Executor ===

impl Executor {
    /// The id of the process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the executor alone, if it is running.
    pub fn signal(&self, signal: Signal) {
        // While the lock is held and there is no status, the process is not reaped, so its id is not
        // reused.
        let status = self.exit.lock();
        if status.is_none() {
            // It may be a zombie.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits until it has ended, at most for `patience`. Returns its exit status.
    pub fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        let mut status = self.exit.lock();
        while status.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.exit.known.wait_timeout(status, left);
            status = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *status
    }
}

// === impl Exit ===

impl Exit {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the process without reaping it, and then reaps it under the lock, so that nobody signals a
    /// process with a reused id. Whoever waits for the exit finds that `on_exit` has been called.
    fn reap(&self, mut child: Child, pid: Pid, on_exit: impl FnOnce(Option<i32>)) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
        let mut status = self.lock();
        *status = child.wait().ok();
        on_exit(status.and_then(|status| status.code()));
        self.known.notify_all();
    }
}

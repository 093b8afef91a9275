//! Starts an executor (sandbox, files, process), and waits for the end of its process.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use async_io::Async;
use rustix::fs::OFlags;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::cgroup::Cgroups;
use crate::environment;
use crate::fetch::Tools;
use crate::helper;
use crate::process::Process;
use crate::record::{Record, Records};
use crate::spec::{Program, Spec};

/// What all starts have in common.
#[derive(Debug)]
pub struct Launcher {
    /// The framework's id.
    pub framework_id: String,
    /// The agent's id.
    pub agent_id: String,
    /// The socket on which executors reach the agent.
    pub socket: PathBuf,
    /// The boot id of this machine.
    pub boot: String,
    /// The folder where relative paths of files start.
    pub folder: PathBuf,
    /// The records of containers.
    pub records: Records,
    /// The programs for fetching.
    pub tools: Tools,
    /// The soft limit of open files for executors.
    pub open_files: Option<u64>,
    /// Where containers get cgroups; `None` for no cgroups.
    pub cgroups: Option<Cgroups>,
}

/// A process of an executor that can be waited for.
#[derive(Debug)]
pub struct Watched {
    /// The process.
    pub process: Process,
    descriptor: OwnedFd,
}

// === impl Launcher ===

impl Launcher {
    /// Starts an executor.
    ///
    /// # Errors
    ///
    /// Why it could not be started: a text for people.
    pub async fn launch(&self, spec: &Spec) -> Result<Watched, String> {
        let sandbox = &spec.sandbox;
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        if spec.recovery_timeout.is_some() {
            // Before the record describes anything that exists.
            let written = self.records.write(spec.container, &self.record(spec));
            written.map_err(|error| failed("cannot write a record", &error))?;
        }
        fs::create_dir_all(sandbox)
            .map_err(|error| failed(&format!("sandbox {}", sandbox.display()), &error))?;
        let open = |emptied: Emptied| {
            let output = |name: &str| {
                let opened = open_output(sandbox, name, emptied);
                opened.map_err(|error| failed(&format!("{name} in the sandbox"), &error))
            };
            Ok::<_, String>((output("stdout")?, output("stderr")?))
        };
        let mut outputs = open(Emptied::Yes)?;
        for uri in &spec.files {
            let fetched = self.tools.fetch(uri, &self.folder, sandbox, spec.container);
            fetched
                .await
                .map_err(|error| failed(&format!("cannot fetch {}", uri.value), &error))?;
        }
        if !spec.files.is_empty() {
            // A fetched file may have one of these names, and the programs that fetch write to stderr.
            outputs = open(Emptied::No)?;
        }
        let watched = self
            .spawn(spec, outputs)
            .map_err(|error| failed("cannot start the executor", &error))?;
        if spec.recovery_timeout.is_some() {
            let process = watched.process.to_record();
            if let Err(error) = self.records.set_process(spec.container, process) {
                // The next process of the agent will find it by the container's id instead.
                tracing::warn!("cannot add the executor's process to its record: {error}");
            }
        }
        Ok(watched)
    }

    fn record(&self, spec: &Spec) -> Record {
        Record {
            executor_id: spec.executor_id.clone(),
            container: spec.container.to_string(),
            boot: self.boot.clone(),
            sandbox: spec.sandbox.as_os_str().as_bytes().to_vec(),
            task: Some(spec.task.clone()),
            grace: u64::try_from(spec.shutdown_grace.as_millis()).unwrap_or(u64::MAX),
            executor_data: spec.executor_data.clone(),
            tag: spec.tag.clone(),
        }
    }

    fn spawn(&self, spec: &Spec, (stdout, stderr): (File, File)) -> io::Result<Watched> {
        let join = match &self.cgroups {
            Some(cgroups) => Some(cgroups.create(spec.container, spec.memory, spec.cpu)?),
            None => None,
        };
        let program = match &spec.program {
            Program::Direct(program) => program.clone(),
            Program::Shell(line) => vec!["/bin/sh".into(), "-c".into(), "--".into(), line.clone()],
        };
        let arguments =
            helper::arguments(join.as_deref(), self.open_files, &spec.sandbox, &program);
        let variables =
            environment::variables(spec, &self.framework_id, &self.agent_id, &self.socket);
        // This program, even if its file was replaced.
        let child = Command::new("/proc/self/exe")
            .args(arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()?;
        Watched::of_child(Pid::from_child(&child))
    }
}

/// Whether to remove the output of an earlier executor in the same sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptied {
    Yes,
    No,
}

fn open_output(sandbox: &Path, name: &str, emptied: Emptied) -> io::Result<File> {
    let flags = match emptied {
        Emptied::Yes => OFlags::TRUNC,
        Emptied::No => OFlags::empty(),
    };
    let mut options = File::options();
    // The standard library does not allow `truncate` together with `append`.
    let options = options.append(true).create(true);
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    options.custom_flags(flags).open(sandbox.join(name))
}

// === impl Watched ===

impl Watched {
    /// A process that an earlier process of the agent started; `None` if it has ended.
    ///
    /// # Errors
    ///
    /// No descriptor is free.
    pub fn of_recovered(process: Process) -> io::Result<Option<Self>> {
        let descriptor = process.open()?;
        Ok(descriptor.map(|descriptor| Self {
            process,
            descriptor,
        }))
    }

    /// A child that was just started. Its id cannot be reused before it is waited for.
    fn of_child(pid: Pid) -> io::Result<Self> {
        let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        let process = Process::of_child(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            process,
            descriptor,
        })
    }

    /// Waits until the process has ended. Returns its exit code, if it has one and the process was our
    /// child.
    pub async fn ended(self) -> Option<i32> {
        let Ok(descriptor) = Async::new(self.descriptor) else {
            tracing::error!("cannot wait for process {:?}", self.process.pid);
            return std::future::pending().await;
        };
        // Waiting for a process descriptor cannot fail.
        let _ = descriptor.readable().await;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::PidFd(descriptor.as_fd()), options);
        status.ok().flatten()?.exit_status()
    }
}

//! Starts a command as a process.
//!
//! The standard library uses `posix_spawn` if only a process group, an environment and a program with a
//! path are set. Anything else would need a fork.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use async_process::Child;
use rustix::fs::Access;
use rustix::io::Errno;

use crate::core::environment::Environment;
use crate::core::plan::Program;
use crate::words::outcome::Outcome;

/// Why a program could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// Whether another attempt may succeed.
    pub is_transient: bool,
    /// A text with the program's name.
    pub reason: String,
}

/// The shell for shell commands.
const SHELL: &str = "/bin/sh";

/// The value of `PATH` if it is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts a program in its own process group, with our stdin, stdout and stderr and exactly this
/// environment. When this returns, `exec` has succeeded.
///
/// It is not started in its own session: if we are killed, the agent's posix launcher finds our processes
/// by our session (`src/slave/containerizer/mesos/launcher.cpp`).
///
/// # Errors
///
/// The kernel's error, and whether another attempt may succeed.
pub fn spawn(program: &Program, environment: &Environment) -> Result<Child, SpawnError> {
    let command = command(program, environment);
    let name = name_of(&command);
    started(command.into(), &name)
}

/// The same for a program that is not part of the task: its stdin is empty, and its output goes to
/// `output`, or nowhere.
///
/// # Errors
///
/// See [`spawn`].
pub fn spawn_aside(
    program: &Program,
    environment: &Environment,
    output: Option<OwnedFd>,
) -> Result<Child, SpawnError> {
    let command = command(program, environment);
    let name = name_of(&command);
    let mut command = async_process::Command::from(command);
    let copy = output.as_ref().and_then(|output| output.try_clone().ok());
    let stdio = |output: Option<OwnedFd>| output.map_or_else(Stdio::null, Stdio::from);
    command
        .stdin(Stdio::null())
        .stdout(stdio(output))
        .stderr(stdio(copy));
    started(command, &name)
}

fn command(program: &Program, environment: &Environment) -> std::process::Command {
    let text = |bytes| OsStr::from_bytes(bytes);
    let mut command = match program {
        Program::Shell(script) => {
            let mut command = std::process::Command::new(SHELL);
            command.arg0("sh").arg("-c").arg("--").arg(text(script));
            command
        }
        Program::Exec { file, arguments } => {
            let mut command = std::process::Command::new(&*located(text(file)));
            if let Some((name, rest)) = arguments.split_first() {
                command
                    .arg0(text(name))
                    .args(rest.iter().map(|one| text(one)));
            }
            command
        }
    };
    command
        .process_group(0)
        .env_clear()
        .envs(environment.iter());
    command
}

fn name_of(command: &std::process::Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn started(mut command: async_process::Command, name: &str) -> Result<Child, SpawnError> {
    command.spawn().map_err(|error| SpawnError {
        is_transient: is_transient(&error),
        reason: reason(name, &error),
    })
}

/// A program without a slash in its name is looked up first in the working directory and then in `PATH`, as
/// by the Mesos command executor (`src/slave/containerizer/mesos/launch.cpp`, lines 1173 to 1189).
fn located(file: &OsStr) -> Cow<'_, OsStr> {
    let here = Path::new(".").join(file);
    match !file.as_bytes().contains(&b'/') && is_program(&here) {
        true => Cow::Owned(here.into_os_string()),
        false => Cow::Borrowed(file),
    }
}

/// Looks up a program in `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| is_program(place))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// Whether another attempt may succeed: the limit of processes, memory or descriptors was reached, or the
/// program's file was still being written.
fn is_transient(error: &io::Error) -> bool {
    let transient = [
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::TXTBSY,
    ];
    Errno::from_io_error(error).is_some_and(|errno| transient.contains(&errno))
}

/// Names the program, and explains errors that people can correct.
fn reason(program: &str, error: &io::Error) -> String {
    let hint = match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => " (the limit of processes is reached)",
        Some(Errno::TOOBIG) => " (the command with its environment is too large)",
        Some(Errno::NOEXEC) => " (no program for this machine, and no #! line)",
        _ => "",
    };
    let text = error.to_string();
    // The error number means nothing to people.
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("{program}: {text}{hint}")
}

/// How a process ended.
pub fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        // Exit codes are the low 8 bits of the argument of exit(2).
        (Some(code), _) => Outcome::Exited(code as u8),
        (None, Some(signal)) => Outcome::Signalled {
            signal,
            core_dumped: status.core_dumped(),
        },
        (None, None) => Outcome::Unknown,
    }
}

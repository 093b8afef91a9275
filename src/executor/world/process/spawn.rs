//! One command to one running process.
//!
//! The standard library starts it by `posix_spawn` as long as it is asked for nothing but a process
//! group, an environment and a program with a path; anything else costs a fork.

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

/// Why a program does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// Another try may find room.
    pub is_transient: bool,
    /// In words, with the program's name.
    pub reason: String,
}

/// What runs a shell command.
const SHELL: &str = "/bin/sh";

/// Where programs are if nobody says so.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts a program in its own process group, with our stdin, stdout and stderr and exactly this
/// environment. When it returns, `exec` has succeeded.
///
/// Not a session of its own: if we are killed, the agent's posix launcher finds what runs by our
/// session (`src/slave/containerizer/mesos/launcher.cpp`).
///
/// # Errors
///
/// What the kernel says against it, and whether it may change its mind.
pub fn spawn(program: &Program, environment: &Environment) -> Result<Child, SpawnError> {
    let command = command(program, environment);
    let name = name_of(&command);
    started(command.into(), &name)
}

/// The same for what has no part in the task: nothing to read, and what it writes goes to `output`, or
/// nowhere.
///
/// # Errors
///
/// As [`spawn`].
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

/// A program without a slash in its name is looked for in the working directory first and then in `PATH`,
/// as the Mesos command executor does (`src/slave/containerizer/mesos/launch.cpp`, 1173-1189).
fn located(file: &OsStr) -> Cow<'_, OsStr> {
    let here = Path::new(".").join(file);
    match !file.as_bytes().contains(&b'/') && is_program(&here) {
        true => Cow::Owned(here.into_os_string()),
        false => Cow::Borrowed(file),
    }
}

/// Where `PATH` has a program.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| is_program(place))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// Another try may find room: processes, memory or descriptors were short, or the program's file was
/// still being written.
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

/// Names the program, and explains the reasons that a person can do something about.
fn reason(program: &str, error: &io::Error) -> String {
    let hint = match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => " (the limit of processes is reached)",
        Some(Errno::TOOBIG) => " (the command with its environment is too large)",
        Some(Errno::NOEXEC) => " (no program for this machine, and no #! line)",
        _ => "",
    };
    let text = error.to_string();
    // The number behind it says nothing to a person.
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("{program}: {text}{hint}")
}

/// How a process ended.
pub fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        // Exit codes are the low 8 bits of what was passed to exit(2).
        (Some(code), _) => Outcome::Exited(code as u8),
        (None, Some(signal)) => Outcome::Signalled {
            signal,
            core_dumped: status.core_dumped(),
        },
        (None, None) => Outcome::Unknown,
    }
}

//! One command to one running process.
//!
//! The standard library starts it by `posix_spawn` as long as it is asked for nothing but a process
//! group, an environment and a program with a path; anything else costs a fork.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;

use async_process::Child;

use crate::core::environment::Environment;
use crate::core::plan::Program;
use crate::outcome::Outcome;

/// What runs a shell command.
const SHELL: &str = "/bin/sh";

/// Starts a program in its own process group, with our stdin, stdout and stderr and exactly this
/// environment. When it returns, `exec` has succeeded.
///
/// Not a session of its own: if we are killed, the agent's posix launcher finds what runs by our
/// session (`src/slave/containerizer/mesos/launcher.cpp`).
///
/// # Errors
///
/// The kernel's reason why the program could not be started.
pub fn spawn(program: &Program, environment: &Environment) -> io::Result<Child> {
    let text = |bytes| std::ffi::OsStr::from_bytes(bytes);
    let mut command = match program {
        Program::Shell(script) => {
            let mut command = std::process::Command::new(SHELL);
            command.arg0("sh").arg("-c").arg(text(script));
            command
        }
        Program::Exec { file, arguments } => {
            let mut command = std::process::Command::new(text(file));
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
    async_process::Command::from(command).spawn()
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

//! Code that must run between fork and exec runs in a process of its own here: the program starts itself
//! once more as a helper, which becomes the executor with exec.
//!
//! Only a process itself can change its session, umask and cgroup, and the standard library does not change
//! them for a child without unsafe code. Mesos has `mesos-containerizer launch` for the same reason.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::Mode;

use crate::limits;

/// The first argument of a helper. The next ones are: the file with which to join a cgroup, or an empty
/// string; the soft limit of open files, or an empty string; the working directory; the program and its
/// arguments.
pub const ARGUMENT: &str = "--become-an-executor";

/// The exit status of a helper that could not become the executor: that of a shell that cannot find a
/// command.
const NOT_STARTED: i32 = 127;

/// Files that executors and their commands create are readable by everybody, as under a Mesos agent.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Becomes the executor, if this process was started as a helper. A program that uses the agent must call
/// this first of all.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let error = become_executor(arguments);
    // This goes to the sandbox's stderr.
    eprintln!("cannot start the executor: {error}");
    std::process::exit(NOT_STARTED);
}

/// Builds the arguments of a helper.
pub fn arguments(
    join: Option<&Path>,
    open_files: Option<u64>,
    folder: &Path,
    program: &[OsString],
) -> Vec<OsString> {
    let join = join.map_or(OsStr::new(""), Path::as_os_str);
    let open_files = open_files.map(|it| it.to_string()).unwrap_or_default();
    let mut arguments = vec![
        ARGUMENT.into(),
        join.to_owned(),
        open_files.into(),
        folder.into(),
    ];
    arguments.extend_from_slice(program);
    arguments
}

/// Returns only if it fails.
fn become_executor(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "an argument is missing");
    let mut next = || arguments.next();
    let (Some(join), Some(open_files), Some(folder), Some(program)) =
        (next(), next(), next(), next())
    else {
        return missing();
    };
    // Before anything is forked, so that all processes are in the cgroup.
    if !join.is_empty()
        && let Err(error) = std::fs::write(&join, "0")
    {
        return io::Error::new(error.kind(), format!("{}: {error}", join.display()));
    }
    if let Some(soft) = open_files.to_str().and_then(|it| it.parse().ok()) {
        limits::set_open_files(Some(soft));
    }
    // This fails only for the leader of a process group, and a new child is none.
    let _ = rustix::process::setsid();
    rustix::process::umask(UMASK);
    if let Err(error) = std::env::set_current_dir(&folder) {
        return io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    }
    let error = Command::new(&program).args(arguments).exec();
    io::Error::new(error.kind(), format!("{}: {error}", program.display()))
}

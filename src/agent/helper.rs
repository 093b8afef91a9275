//! The moment between fork and exec, in a process of its own: the program starts itself once more, as a helper
//! that becomes the executor.
//!
//! A new session, the umask and the cgroup are a process's own to change, and the standard library changes none of them for a child
//! without unsafe code. Mesos has `mesos-containerizer launch` for the same reason.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::Mode;

use crate::limits;

/// The first argument of a helper. It is followed by the file to join a cgroup by, or nothing; the soft limit of open
/// files, or nothing; the folder to start in, the program and its arguments.
pub const ARGUMENT: &str = "--become-an-executor";

/// The exit status of a helper that could not become the executor: that of a shell that does not find a command.
const NOT_STARTED: i32 = 127;

/// What executors and their commands create is for everybody to read, as under a Mesos agent.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Becomes the executor, if this process was started to do that. A program that uses the agent calls it first of all.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let error = become_executor(arguments);
    // Into the sandbox's stderr.
    eprintln!("cannot start the executor: {error}");
    std::process::exit(NOT_STARTED);
}

/// The arguments of a helper.
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

/// Comes back only if it fails.
fn become_executor(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "an argument is missing");
    let mut next = || arguments.next();
    let (Some(join), Some(open_files), Some(folder), Some(program)) =
        (next(), next(), next(), next())
    else {
        return missing();
    };
    // Before anything is forked: everything that follows is inside.
    if !join.is_empty()
        && let Err(error) = std::fs::write(&join, "0")
    {
        return io::Error::new(error.kind(), format!("{}: {error}", join.display()));
    }
    if let Some(soft) = open_files.to_str().and_then(|it| it.parse().ok()) {
        limits::set_open_files(Some(soft));
    }
    // It fails only for the leader of a process group, which a child that was just made is not.
    let _ = rustix::process::setsid();
    rustix::process::umask(UMASK);
    if let Err(error) = std::env::set_current_dir(&folder) {
        return io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    }
    let error = Command::new(&program).args(arguments).exec();
    io::Error::new(error.kind(), format!("{}: {error}", program.display()))
}

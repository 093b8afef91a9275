//! The limit of open files: three for each executor, which is soon more than the usual 1024.
//!
//! The agent takes all that it may have. Its executors get the limit that it was started with: programs that use select(2)
//! break above 1024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many open files as the hard limit allows; the soft limit as it was, unless there was none.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    set_open_files(limit.maximum);
    limit.current
}

/// Sets the soft limit; `None` is none. If that fails, the limit stays as it is.
pub fn set_open_files(current: Option<u64>) {
    let limit = Rlimit {
        current,
        ..getrlimit(Resource::Nofile)
    };
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("cannot set the limit of open files: {error}");
    }
}

//! The limit of open files. Each executor needs three, so the usual 1024 are soon used up.
//!
//! The agent raises its own soft limit to the hard limit. Executors get the soft limit with which the agent
//! was started, because programs that use select(2) break above 1024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard limit. Returns the old soft limit, or `None` if there
/// was none.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    set_open_files(limit.maximum);
    limit.current
}

/// Sets the soft limit; `None` means unlimited. If that fails, the limit stays as it is.
pub fn set_open_files(current: Option<u64>) {
    let limit = Rlimit {
        current,
        ..getrlimit(Resource::Nofile)
    };
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("cannot set the limit of open files: {error}");
    }
}

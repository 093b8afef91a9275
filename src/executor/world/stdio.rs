//! The task's stdout and stderr, which are also ours. If nobody reads them, a text is dropped instead of
//! waiting.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::debug;

/// Maximum length of a write: a pipe that is ready takes this much without blocking (`PIPE_BUF`).
const MAX_LENGTH: usize = 4096;

/// Writes to stdout.
pub fn print(text: &str) {
    if let Err(error) = write(rustix::stdio::stdout(), text) {
        debug!("failed to write to stdout: {error}");
    }
}

/// Writes to stderr. If that fails, nobody can be told.
pub fn complain(text: &str) {
    let _ = write(rustix::stdio::stderr(), text);
}

fn write(file: BorrowedFd<'_>, text: &str) -> Result<(), Errno> {
    let mut ready = [PollFd::new(&file, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec::default()))? != 1 {
        return Err(Errno::AGAIN);
    }
    let length = text.len().min(MAX_LENGTH);
    rustix::io::write(file, &text.as_bytes()[..length]).map(drop)
}

//! The task's own stdout and stderr, which are ours too: what is written there is lost rather than waited
//! for if nobody reads it.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::debug;

/// At most this much is written at once: a pipe that is ready takes it without waiting (`PIPE_BUF`).
const MAX_LENGTH: usize = 4096;

/// Writes to stdout.
pub fn print(text: &str) {
    if let Err(error) = write(rustix::stdio::stdout(), text) {
        debug!("failed to write to stdout: {error}");
    }
}

/// Writes to stderr. Nobody is left to be told if that fails.
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

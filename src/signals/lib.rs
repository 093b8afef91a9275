//! Catches signals: a set notes which have come, and a byte in a socket wakes whoever waits for them.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//!
//! cook_signals::catch(10)?; // SIGUSR1
//! let (woken, wake) = UnixStream::pair()?;
//! cook_signals::wake_through(wake.into());
//! // After `woken` became readable:
//! for signal in cook_signals::take() {
//!     println!("signal {signal} has come");
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Why there is unsafe code
//!
//! This is the only package with any. To catch a signal is to give the kernel a function, which no safe interface
//! can do without bookkeeping of its own. The usual one (signal-hook-registry) copies its whole table each time
//! that a signal is added. An executor catches fifty before it does anything else, and that took 2 ms and 160 system
//! calls, more than everything else up to its first request to the agent.
//!
//! The handler must be async-signal-safe (signal-safety(7)): it may interrupt any code, on any thread. It changes
//! two atomic numbers, calls send(2), which is on the list, and leaves `errno` as it was. It allocates nothing,
//! takes no lock and cannot panic.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// The highest signal of Linux (`_NSIG`): each has a bit in [`COME`].
const MAX_SIGNAL: i32 = 64;

/// The signals that have come and were not taken, signal n as bit n - 1.
static COME: AtomicU64 = AtomicU64::new(0);

/// The descriptor to send a byte to; -1 is none.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// Signals that have come, from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u64);

/// From now on, this signal is noted and has no other effect. Programs that are executed start with its default
/// action (execve(2)). System calls that it interrupts are restarted where the kernel can do so.
///
/// # Errors
///
/// There is no such signal, or nobody can catch it: SIGKILL, SIGSTOP, and those that the C library keeps.
pub fn catch(signal: i32) -> io::Result<()> {
    if !(1..=MAX_SIGNAL).contains(&signal) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeros are a valid `sigaction`: the default action, an empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` lives as long as the call; `note` has the signature that goes without SA_SIGINFO, and is
    // async-signal-safe (see the module).
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Each signal that comes from now on sends a byte through `socket`, if there is room in it; those that have come
/// and were not taken send one together. The socket is never closed, since a handler may be using it; so this is
/// meant to be called once.
pub fn wake_through(socket: OwnedFd) {
    WAKE.store(socket.into_raw_fd(), Ordering::SeqCst);
    if COME.load(Ordering::SeqCst) != 0 {
        wake();
    }
}

/// The signals that have come since the last call.
pub fn take() -> Set {
    Set(COME.swap(0, Ordering::SeqCst))
}

extern "C" fn note(signal: libc::c_int) {
    // The kernel calls this for the signals of `catch` only, so the shift is less than 64.
    COME.fetch_or(1 << (signal - 1), Ordering::SeqCst);
    // SAFETY: the place of this thread's `errno` is valid as long as the thread runs.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above. The interrupted code may be about to look at it.
    let before = unsafe { *errno };
    wake();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Sends a byte, if there is a socket. Async-signal-safe but for `errno`.
fn wake() {
    let socket = WAKE.load(Ordering::SeqCst);
    if socket >= 0 {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the buffer has the one byte, and the descriptor is never closed. A full socket needs no more.
        unsafe { libc::send(socket, b"!".as_ptr().cast(), 1, flags) };
    }
}

// === impl Set ===

impl Iterator for Set {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        // Below 64.
        Some(bit as i32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    fn send(signal: i32) {
        let own = std::process::id().to_string();
        let sent = Command::new("kill")
            .args([format!("-{signal}"), own])
            .status();
        assert!(sent.expect("kill is there").success());
    }

    #[test]
    fn what_comes_is_noted_once_and_wakes() {
        let (mut woken, wake) = UnixStream::pair().expect("two descriptors");
        let mut hear = |count| {
            woken
                .read_exact(&mut vec![0; count])
                .expect("a byte for each")
        };
        for signal in [10, 12, 64] {
            catch(signal).expect("it can be caught");
        }
        send(12);
        wake_through(wake.into());
        hear(1);
        assert_eq!(
            take().collect::<Vec<_>>(),
            [12],
            "it came before anybody waited"
        );
        send(64);
        send(10);
        hear(2);
        assert_eq!(take().collect::<Vec<_>>(), [10, 64]);
        assert_eq!(take().next(), None);
    }

    #[test]
    fn what_nobody_can_catch_is_an_error() {
        for signal in [i32::MIN, -1, 0, 9, 19, 65, i32::MAX] {
            assert!(catch(signal).is_err(), "{signal}");
        }
    }
}

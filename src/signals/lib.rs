//! Catches signals. A set records which signals have arrived, and a byte in a socket wakes the thread that
//! waits for them.
//!
//! [`catch`] starts catching a signal, [`wake_through`] names the socket, and [`take`] returns the [`Set`]
//! of signals that have arrived.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//!
//! cook_signals::catch(10)?; // SIGUSR1
//! let (woken, wake) = UnixStream::pair()?;
//! cook_signals::wake_through(wake.into());
//! // When `woken` is readable:
//! for signal in cook_signals::take() {
//!     println!("received signal {signal}");
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Why there is unsafe code
//!
//! This is the only package with unsafe code. To catch a signal, a function must be given to the kernel,
//! which a safe interface can do only with bookkeeping. The usual crate, signal-hook-registry, copies its
//! whole table for each signal that is added. An executor catches fifty signals at its start, which took 2
//! ms and 160 system calls: more than everything else until its first request to the agent.
//!
//! The handler must be async-signal-safe (signal-safety(7)), because it may interrupt any code on any
//! thread. It changes two atomic numbers, calls send(2), which is on the list of safe functions, and
//! preserves `errno`. It does not allocate, take a lock or panic.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// The highest signal of Linux (`_NSIG`): each one has a bit in [`COME`].
const MAX_SIGNAL: i32 = 64;

/// The signals that have arrived and were not taken; signal n is bit n - 1.
static COME: AtomicU64 = AtomicU64::new(0);

/// The signal that was caught last; 0 if there is none.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// The descriptor of the socket to wake; -1 if there is none.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// Signals that have arrived, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u64);

/// The signals that C libraries use for their threads and do not let anybody catch: 32 and 33 in glibc, also 34 in
/// musl, which is SIGRTMIN for programs that use glibc. They cancel threads and change the user of all threads.
const KEPT: RangeInclusive<i32> = 32..=34;

/// From now on, this signal is recorded and has no other effect. In programs that this process executes, it
/// has its default action (execve(2)). A system call that it interrupts is restarted if the kernel supports
/// that.
///
/// For the signals that the C library uses itself (32 to 34), the kernel is called directly; another signal must have
/// been caught before. A program that cancels threads must not catch them.
///
/// # Errors
///
/// There is no such signal, or it cannot be caught: SIGKILL, SIGSTOP.
pub fn catch(signal: i32) -> io::Result<()> {
    if !(1..=MAX_SIGNAL).contains(&signal) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeros are a valid `sigaction`: the default action, an empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` lives as long as the call. `note` has the signature for handlers without SA_SIGINFO,
    // and is async-signal-safe (see the documentation of the crate).
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => {
            CAUGHT.store(signal, Ordering::SeqCst);
            Ok(())
        }
        _ if KEPT.contains(&signal) => catch_as(CAUGHT.load(Ordering::SeqCst), signal),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives `signal` the action of `model` without the C library.
fn catch_as(model: i32, signal: i32) -> io::Result<()> {
    /// An action as the kernel has it: handler, flags, restorer, mask.
    type Action = [u64; 4];
    /// The size of the mask in bytes.
    const MASK: usize = 8;
    let mut action = Action::default();
    let nothing = std::ptr::null_mut::<Action>();
    // SAFETY: the kernel writes one `Action` (`struct sigaction` of 64-bit Linux).
    let read = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            model,
            nothing,
            &raw mut action,
            MASK,
        )
    };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has returned this action, whose handler is `note`.
    let written = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            &raw const action,
            nothing,
            MASK,
        )
    };
    match written {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Each signal from now on sends a byte through `socket`, unless the socket is full. Signals that have
/// arrived before and were not taken send one byte together. Call this once: the socket is never closed,
/// because a handler may be using it.
pub fn wake_through(socket: OwnedFd) {
    WAKE.store(socket.into_raw_fd(), Ordering::SeqCst);
    if COME.load(Ordering::SeqCst) != 0 {
        wake();
    }
}

/// Returns the signals that have arrived since the last call.
pub fn take() -> Set {
    Set(COME.swap(0, Ordering::SeqCst))
}

extern "C" fn note(signal: libc::c_int) {
    // The kernel calls this only for signals of `catch`, so the shift is less than 64.
    COME.fetch_or(1 << (signal - 1), Ordering::SeqCst);
    // SAFETY: the location of this thread's `errno` is valid as long as the thread runs.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above. The interrupted code may be about to read it.
    let before = unsafe { *errno };
    wake();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Sends a byte, if there is a socket. Async-signal-safe, except that it changes `errno`.
fn wake() {
    let socket = WAKE.load(Ordering::SeqCst);
    if socket >= 0 {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the buffer has the one byte, and the descriptor is never closed. If the socket is full,
        // the reader will wake up anyway.
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
        // Less than 64.
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
        assert!(sent.expect("kill(1) is installed").success());
    }

    #[test]
    fn a_caught_signal_is_recorded_once_and_wakes() {
        let (mut woken, wake) = UnixStream::pair().expect("two descriptors");
        let mut hear = |count| {
            woken
                .read_exact(&mut vec![0; count])
                .expect("one byte for each signal")
        };
        for signal in [10, 12, 64, 32, 33, 34] {
            catch(signal).expect("it can be caught");
        }
        send(12);
        wake_through(wake.into());
        hear(1);
        assert_eq!(
            take().collect::<Vec<_>>(),
            [12],
            "signals that arrived before the call are returned"
        );
        for signal in [64, 10, 34, 33, 32] {
            send(signal);
        }
        hear(5);
        assert_eq!(take().collect::<Vec<_>>(), [10, 32, 33, 34, 64]);
        assert_eq!(take().next(), None);
    }

    #[test]
    fn a_signal_that_cannot_be_caught_is_an_error() {
        for signal in [i32::MIN, -1, 0, 9, 19, 65, i32::MAX] {
            assert!(catch(signal).is_err(), "{signal}");
        }
    }
}

//! Signals to this process: those that ask for its end, SIGCHLD, and those that would kill it if they were
//! not caught.
//!
//! A pair of sockets wakes the loop for all signals, and flags say which have arrived. If the socket is
//! full, because many signals arrive at once, the flags are still set.
//!
//! Signals are caught, not ignored: a command inherits an ignored signal, but starts with the default
//! action for a caught one.

use std::cell::Cell;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use async_io::Async;
use cook_http::task;
use nix::sys::signal::SigSet;
use rustix::process::Signal;
use signal_hook::low_level::pipe;
use smol::LocalExecutor;
use smol::channel::Sender;
use smol::io::AsyncReadExt;
use tracing::{info, warn};

use super::proc;
use crate::words::outcome::SignalName;
use crate::world::inbox::Incoming;
use crate::world::log::{ENDING, UNTRUSTED};

/// Signals that ask for the end.
const ENDS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];

/// Signals that end a process by default and have no meaning for the executor. They are caught and logged,
/// so that the task does not end. The list does not contain signals of a broken program, which must end it
/// (SIGILL, SIGBUS, SIGFPE, SIGSEGV), and SIGSYS, because a forbidden system call would seem to have
/// succeeded. SIGPIPE is ignored by the standard library, which resets it for commands.
const HARMLESS: [Signal; 13] = [
    Signal::HUP,
    Signal::TRAP,
    // A panic still ends the process: abort(3) raises it again with the default action.
    Signal::ABORT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::STKFLT,
    // The soft limit of CPU time. At the hard limit the kernel sends SIGKILL.
    Signal::XCPU,
    // Writing beyond the limit of file sizes.
    Signal::XFSZ,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// The real-time signals. C libraries use the first three to cancel threads, which this program never does.
const REAL_TIME: std::ops::RangeInclusive<i32> = 32..=64;

/// Proof that signals are caught.
pub struct Caught(());

/// The signals that have arrived.
pub struct Received {
    /// The inbox was told, and the loop has not looked yet.
    is_announced: Rc<Cell<bool>>,
    is_end_told: Cell<bool>,
}

/// Catches signals, before anything else is done.
pub fn survive() -> Caught {
    let fixed = ENDS.iter().chain(&HARMLESS).map(|signal| signal.as_raw());
    for signal in fixed.chain(REAL_TIME).chain(ignored()) {
        // A signal that cannot be caught keeps its action.
        let _ = cook_signals::catch(signal);
    }
    // A launcher may have left signals blocked. Then we would not get them, and commands would inherit
    // that. It cannot fail for this mask.
    let _ = SigSet::empty().thread_set_mask();
    Caught(())
}

/// Signals that were ignored at our start and are not in the lists above (for example after `trap '' TSTP`
/// in a launcher).
fn ignored() -> Vec<i32> {
    let status = proc::read_text("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let others = (1..32).filter(|signal| {
        let is_caught = ENDS
            .iter()
            .chain(&HARMLESS)
            .any(|one| one.as_raw() == *signal);
        !is_caught && !NEVER.iter().any(|one| one.as_raw() == *signal)
    });
    let is_ignored = |signal: &i32| mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1);
    others.filter(is_ignored).collect()
}

/// Signals that must not or cannot be caught. SIGCHLD and SIGPIPE are handled elsewhere.
const NEVER: [Signal; 9] = [
    Signal::ILL,
    Signal::BUS,
    Signal::FPE,
    Signal::SEGV,
    Signal::SYS,
    Signal::KILL,
    Signal::STOP,
    Signal::CHILD,
    Signal::PIPE,
];

// === impl Caught ===

impl Caught {
    /// From now on, [`Incoming::Signals`] says when to look.
    pub fn announce(self, executor: &LocalExecutor<'static>, inbox: Sender<Incoming>) -> Received {
        let is_announced = Rc::new(Cell::new(false));
        match listen() {
            Ok(woken) => {
                let announce = announce(woken, Rc::clone(&is_announced), inbox);
                task::spawn(executor, announce).detach();
            }
            Err(error) => warn!("failed to listen for signals: {error}"),
        }
        Received {
            is_announced,
            is_end_told: Cell::new(false),
        }
    }
}

/// A socket that becomes readable with each signal, including SIGCHLD.
fn listen() -> io::Result<Async<UnixStream>> {
    let (woken, wake) = UnixStream::pair()?;
    let woken = Async::new(woken)?;
    // async-process listens for SIGCHLD as well, by this crate. The descriptor is never closed, as
    // `wake_through` promises.
    pipe::register_raw(Signal::CHILD.as_raw(), wake.as_raw_fd())?;
    cook_signals::wake_through(wake.into());
    Ok(woken)
}

/// How many bytes are read at once.
const BURST: usize = 64;

/// Wakes the loop once, however many signals have arrived: one look finds all of them.
async fn announce(
    mut woken: Async<UnixStream>,
    is_announced: Rc<Cell<bool>>,
    inbox: Sender<Incoming>,
) {
    let mut bytes = [0; BURST];
    while let Ok(1..) = woken.read(&mut bytes).await {
        if !is_announced.replace(true) {
            // The receiver lives as long as the runtime.
            let _ = inbox.send(Incoming::Signals).await;
        }
    }
}

// === impl Received ===

impl Received {
    /// Whether a signal has asked for the end since the last call. Each signal is logged. Further signals
    /// are announced again.
    pub fn take_end(&self) -> bool {
        self.is_announced.set(false);
        let mut is_end = false;
        for signal in cook_signals::take() {
            let name = SignalName(signal);
            if !ENDS.iter().any(|end| end.as_raw() == signal) {
                info!(target: UNTRUSTED, "ignored signal {signal} ({name})");
                continue;
            }
            is_end = true;
            // The first one explains the task's end. Further ones must not fill the log.
            match self.is_end_told.replace(true) {
                false => {
                    info!(target: ENDING, "received signal {signal} ({name}): stopping the task")
                }
                true => info!(target: UNTRUSTED, "received signal {signal} ({name}) as well"),
            }
        }
        is_end
    }
}

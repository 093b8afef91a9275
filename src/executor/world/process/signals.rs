//! Signals to this process: those that ask for its end, those that tell of ended children, and those
//! that would kill it if nobody caught them.
//!
//! A pair of sockets wakes the loop, the same for all signals, and flags say what for. It holds some
//! hundred signals, and a task may have more processes that end at once; whatever finds no room in it,
//! the flags stay.
//!
//! Everything is caught, and nothing ignored: a command starts with the default action for what we catch,
//! but would inherit what we ignore.

use std::cell::Cell;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use async_io::Async;
use nix::sys::signal::SigSet;
use rustix::process::Signal;
use signal_hook::low_level::pipe;
use smol::LocalExecutor;
use smol::channel::Sender;
use smol::future::FutureExt;
use smol::io::AsyncReadExt;
use tracing::{info, warn};

use super::proc;
use crate::words::outcome::SignalName;
use crate::world::inbox::Incoming;
use crate::world::log::{ENDING, STRANGER};

/// Signals that ask for the end.
const ENDS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];

/// Signals that end a process by default, and ask for nothing here: they are caught, and cost a log line and
/// not the task. Not among them are the signs of a broken program, which must end it (SIGILL, SIGBUS,
/// SIGFPE, SIGSEGV), and SIGSYS, after which a forbidden system call would seem to have succeeded.
/// SIGPIPE is ignored by the standard library, which takes that back for commands.
const HARMLESS: [Signal; 13] = [
    Signal::HUP,
    Signal::TRAP,
    // A panic ends the process all the same: abort(3) raises it again with the default action.
    Signal::ABORT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::STKFLT,
    // The soft limit of CPU time; the hard one is SIGKILL.
    Signal::XCPU,
    // A full quota.
    Signal::XFSZ,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// The real-time signals but for the first three, which are the C library's own (32 to 34 in musl): it lets
/// nobody catch them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 35..=64;

/// Proof that everything is caught: from here on, the executor lives.
pub struct Caught(());

/// What signals have come.
pub struct Received {
    /// The inbox has been told, and the loop has not looked yet.
    is_announced: Rc<Cell<bool>>,
    is_end_told: Cell<bool>,
}

/// Keeps the executor alive, before it does anything else.
pub fn survive() -> Caught {
    let fixed = ENDS.iter().chain(&HARMLESS).map(|signal| signal.as_raw());
    for signal in fixed.chain(REAL_TIME).chain(ignored()) {
        // One that cannot be caught ends us, as it would have before.
        let _ = cook_signals::catch(signal);
    }
    // What a launcher has left blocked would make us deaf, and commands inherit it. It fails for no mask.
    let _ = SigSet::empty().thread_set_mask();
    Caught(())
}

/// What we were started with as ignored, and do not catch for another reason (`trap '' TSTP` in a launcher,
/// say).
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

/// What must not be caught, or cannot be; SIGCHLD and SIGPIPE are seen to elsewhere.
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
    /// [`Incoming::Signals`] says from now on when to look.
    pub fn announce(self, executor: &LocalExecutor<'static>, inbox: Sender<Incoming>) -> Received {
        let is_announced = Rc::new(Cell::new(false));
        match listen() {
            Ok(woken) => {
                let announce = announce(woken, Rc::clone(&is_announced), inbox);
                executor.spawn(announce.boxed_local()).detach();
            }
            Err(error) => warn!("failed to listen for signals: {error}"),
        }
        Received {
            is_announced,
            is_end_told: Cell::new(false),
        }
    }
}

/// What becomes readable with each signal, and with the end of a child.
fn listen() -> io::Result<Async<UnixStream>> {
    let (woken, wake) = UnixStream::pair()?;
    let woken = Async::new(woken)?;
    // The end of a child has listeners in async-process as well, which takes care of them by this crate.
    // It is never closed, as `wake_through` promises.
    pipe::register_raw(Signal::CHILD.as_raw(), wake.as_raw_fd())?;
    cook_signals::wake_through(wake.into());
    Ok(woken)
}

/// So many signals are taken off at once.
const BURST: usize = 64;

/// Wakes the loop once for however many signals have come: looking once finds everything.
async fn announce(
    mut woken: Async<UnixStream>,
    is_announced: Rc<Cell<bool>>,
    inbox: Sender<Incoming>,
) {
    let mut bytes = [0; BURST];
    while let Ok(1..) = woken.read(&mut bytes).await {
        if !is_announced.replace(true) {
            // The receiver lives as long as the runtime does.
            let _ = inbox.send(Incoming::Signals).await;
        }
    }
}

// === impl Received ===

impl Received {
    /// Whether the end was asked for since the last look; each signal that has come is logged. Whatever comes
    /// from now on is announced again.
    pub fn take_end(&self) -> bool {
        self.is_announced.set(false);
        let mut is_end = false;
        for signal in cook_signals::take() {
            let name = SignalName(signal);
            if !ENDS.iter().any(|end| end.as_raw() == signal) {
                info!(target: STRANGER, "survived signal {signal} ({name})");
                continue;
            }
            is_end = true;
            // The first one may be the reason for the task's end; whoever sends more must not fill the log.
            match self.is_end_told.replace(true) {
                false => {
                    info!(target: ENDING, "received signal {signal} ({name}): the task is to end")
                }
                true => info!(target: STRANGER, "received signal {signal} ({name}) as well"),
            }
        }
        is_end
    }
}

//! Signals to this process: those that ask for its end, those that tell of ended children, and those
//! that would kill it if nobody caught them.
//!
//! A pair of sockets wakes the loop, the same for all signals, and flags say what for. It holds some
//! hundred signals, and a task may have more processes that end at once; whatever finds no room in it,
//! the flags stay.

use std::cell::Cell;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_io::Async;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;
use signal_hook::low_level::pipe;
use smol::LocalExecutor;
use smol::channel::Sender;
use smol::io::AsyncReadExt;
use tracing::warn;

use crate::world::inbox::Incoming;

/// Signals that ask for the end.
const ENDS: [i32; 2] = [SIGTERM, SIGINT];

/// Signals that are caught for nothing else than not to die of them. A full disk quota (SIGXFSZ) must
/// cost a log line and not the task.
const HARMLESS: [i32; 4] = [SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ];

/// Keeps the executor alive, before it does anything else.
pub fn survive() {
    for signal in HARMLESS {
        // Caught, and not ignored: commands would inherit that. It fails for no signal of these.
        let _ = flag::register(signal, Arc::default());
    }
}

/// What signals have come.
pub struct Received {
    end_is_wanted: Arc<AtomicBool>,
    /// The inbox has been told, and the loop has not looked yet.
    is_announced: Rc<Cell<bool>>,
}

/// Catches all of them; [`Incoming::Signals`] says when to look.
pub fn catch(executor: &LocalExecutor<'static>, inbox: Sender<Incoming>) -> Received {
    let end_is_wanted = Arc::new(AtomicBool::new(false));
    // The flags come first: whoever is woken by the pipe finds them set.
    for signal in ENDS {
        if let Err(error) = flag::register(signal, Arc::clone(&end_is_wanted)) {
            warn!(signal, "failed to catch a signal: {error}");
        }
    }
    let is_announced = Rc::new(Cell::new(false));
    match listen() {
        Ok(bell) => {
            let announce = announce(bell, Rc::clone(&is_announced), inbox);
            executor.spawn(announce).detach();
        }
        Err(error) => warn!("failed to listen for signals: {error}"),
    }
    Received {
        end_is_wanted,
        is_announced,
    }
}

/// What becomes readable with a signal that asks for the end or tells of a child's.
fn listen() -> io::Result<Async<UnixStream>> {
    let (bell, rope) = UnixStream::pair()?;
    let bell = Async::new(bell)?;
    // Never closed: what is caught stays caught, and to catch one of these does not fail.
    let rope = rope.into_raw_fd();
    for signal in ENDS.into_iter().chain([SIGCHLD]) {
        pipe::register_raw(signal, rope)?;
    }
    Ok(bell)
}

/// So many signals are taken off at once.
const BURST: usize = 64;

/// Wakes the loop once for however many signals have come: looking once finds everything.
async fn announce(
    mut bell: Async<UnixStream>,
    is_announced: Rc<Cell<bool>>,
    inbox: Sender<Incoming>,
) {
    let mut strokes = [0; BURST];
    while let Ok(1..) = bell.read(&mut strokes).await {
        if !is_announced.replace(true) {
            // The receiver lives as long as the runtime does.
            let _ = inbox.send(Incoming::Signals).await;
        }
    }
}

// === impl Received ===

impl Received {
    /// Whether the end was asked for since the last look. Whatever comes from now on is announced again.
    pub fn take_end(&self) -> bool {
        self.is_announced.set(false);
        self.end_is_wanted.swap(false, Ordering::Relaxed)
    }
}

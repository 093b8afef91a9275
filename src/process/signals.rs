//! Signals to this process: those that ask for its end, those that tell of ended children, and those
//! that would kill it if nobody caught them.
//!
//! A pipe wakes the loop, and flags say what for. The pipe holds some hundred signals, and a task may
//! have more processes that end at once; whatever is pushed out of it, the flags stay.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_signal::{Signal, Signals};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;
use smol::LocalExecutor;
use smol::channel::Sender;
use smol::stream::StreamExt;
use tracing::warn;

use crate::inbox::Incoming;

/// Signals that ask for the end.
const ENDS: [i32; 2] = [SIGTERM, SIGINT];

/// Signals that are caught for nothing else than not to die of them. A full disk quota (SIGXFSZ) must
/// cost a log line and not the task.
const HARMLESS: [i32; 4] = [SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ];

/// What signals have come.
pub struct Received {
    end_is_wanted: Arc<AtomicBool>,
    /// The inbox has been told, and the loop has not looked yet.
    is_announced: Rc<Cell<bool>>,
}

/// Catches all of them; [`Incoming::Signals`] says when to look.
pub fn catch(executor: &LocalExecutor<'static>, inbox: Sender<Incoming>) -> Received {
    let end_is_wanted = Arc::default();
    let ends = ENDS.map(|signal| (signal, Arc::clone(&end_is_wanted)));
    // Caught, and not ignored: commands would inherit that.
    let harmless = HARMLESS.map(|signal| (signal, Arc::default()));
    // The flags come first: whoever is woken by the pipe finds them set.
    for (signal, flag) in ends.into_iter().chain(harmless) {
        if let Err(error) = flag::register(signal, flag) {
            warn!(signal, "failed to catch a signal: {error}");
        }
    }
    let is_announced = Rc::new(Cell::new(false));
    match Signals::new([Signal::Term, Signal::Int, Signal::Child]) {
        Ok(signals) => {
            let announce = announce(signals, Rc::clone(&is_announced), inbox);
            executor.spawn(announce).detach();
        }
        Err(error) => warn!("failed to listen for signals: {error}"),
    }
    Received {
        end_is_wanted,
        is_announced,
    }
}

/// Wakes the loop once for however many signals have come: looking once finds everything.
async fn announce(mut signals: Signals, is_announced: Rc<Cell<bool>>, inbox: Sender<Incoming>) {
    while let Some(Ok(_)) = signals.next().await {
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

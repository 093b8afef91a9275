//! What the tasks around the loop have waited for, on its way to the loop.

use crate::core::event::Event;
use crate::core::session::Generation;

/// One thing that happened, before the core hears of it.
#[derive(Debug)]
pub enum Incoming {
    /// Something for the core as it is.
    Event(Event),
    /// One record of a subscription's stream.
    Record(Generation, Vec<u8>),
    /// There are signals to look at, or processes that have ended.
    Signals,
}

/// Senders wait while so much is unread; the loop never waits for them.
pub const SIZE: usize = 32;

//! Inputs from the tasks around the loop to the loop.

use crate::core::event::Event;
use crate::core::session::Generation;

/// An input of the loop.
#[derive(Debug)]
pub enum Incoming {
    /// An event for the core.
    Event(Event),
    /// A record of a subscription's stream.
    Record(Generation, Vec<u8>),
    /// Signals have arrived, or children have ended.
    Signals,
}

/// Maximum number of unread inputs. Senders wait if there are more; the loop never waits for them.
pub const SIZE: usize = 32;

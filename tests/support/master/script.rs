//! How the master behaves differently from a healthy one.

use std::collections::VecDeque;

use cook_mesos::scheduler::CallType;
pub use cook_test_agent::script::Splitting;

/// The faults to inject; the default is a healthy master.
#[derive(Debug, Default)]
pub struct Script {
    /// Which master leads.
    pub leader: Leader,
    /// The user and secret of Basic authentication that every call must have, if any.
    pub login: Option<(String, String)>,
    /// How the event stream is split into chunks.
    pub splitting: Splitting,
    /// Faults for the next calls of each kind, in order.
    troubles: Vec<(CallType, VecDeque<Trouble>)>,
    /// The number of releases of held calls.
    pub releases: u64,
    /// Requests are read and not handled, as on a machine that has stopped.
    pub is_frozen: bool,
    /// No heartbeats are sent.
    pub is_silent: bool,
}

/// Which master leads, as far as this one knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leader {
    /// This one.
    #[default]
    Us,
    /// Another one: calls are redirected to this `Location`.
    At(String),
    /// There is no leader yet: calls are refused with 503.
    Nobody,
}

/// A fault for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused with this status and text.
    Refuse(u16, &'static str),
    /// It is redirected to this `Location`.
    Redirect(String),
    /// The connection is reset before the call is handled.
    Reset,
    /// It is not handled until [`Master::release`](crate::Master::release).
    Hold,
    /// The response says that it was accepted, but nothing is done.
    Swallow,
    /// It is handled, but the connection is reset instead of a response.
    LoseReply,
    /// It is handled, and the connection ends after this many bytes of the response.
    Cut(usize),
    /// The response to SUBSCRIBE is 200, this ERROR event, and the end of the stream.
    Error(&'static str),
    /// The response to SUBSCRIBE is 200, these bytes in one chunk, and then nothing.
    Bytes(Vec<u8>),
}

// === impl Script ===

impl Script {
    /// Adds a fault for the next call of this kind.
    pub fn add(&mut self, kind: CallType, trouble: Trouble) {
        match self.troubles.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, queue)) => queue.push_back(trouble),
            None => self.troubles.push((kind, VecDeque::from([trouble]))),
        }
    }

    /// The fault for a call of this kind now.
    pub fn next(&mut self, kind: CallType) -> Option<Trouble> {
        let queue = self.troubles.iter_mut().find(|(known, _)| *known == kind);
        queue.and_then(|(_, queue)| queue.pop_front())
    }

    /// Cancels all faults that have not happened yet.
    pub fn forget(&mut self) {
        self.troubles.clear();
    }
}

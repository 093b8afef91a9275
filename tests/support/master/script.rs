//! What a test wants the master to do otherwise than a healthy one would.

use std::collections::VecDeque;

use cook_mesos::scheduler::CallType;
pub use cook_test_agent::script::Splitting;

/// The script; the default is a healthy master.
#[derive(Debug, Default)]
pub struct Script {
    /// Who leads.
    pub leader: Leader,
    /// The user and secret that every call must carry by Basic authentication, if any.
    pub login: Option<(String, String)>,
    /// How events are cut into chunks.
    pub splitting: Splitting,
    /// What happens to the next calls of a kind, in this order.
    troubles: Vec<(CallType, VecDeque<Trouble>)>,
    /// Counts releases of held calls.
    pub releases: u64,
}

/// Which master leads, in the eyes of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leader {
    /// This one.
    #[default]
    Us,
    /// Another one: calls are redirected to this `Location`.
    At(String),
    /// Nobody yet: calls are refused with 503.
    Nobody,
}

/// What can happen to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused with this status and text.
    Refuse(u16, &'static str),
    /// It is redirected to this `Location`.
    Redirect(String),
    /// The connection is reset before the call is looked at.
    Reset,
    /// It is not looked at until [`Master::release`](crate::Master::release).
    Hold,
    /// It is answered as if it were done, and is not.
    Swallow,
    /// It is done, and the connection is reset in the place of a reply.
    LoseReply,
    /// It is done, and the connection ends after so many bytes of the reply.
    Cut(usize),
    /// The reply to SUBSCRIBE is 200, this ERROR event, and the end.
    Error(&'static str),
    /// The reply to SUBSCRIBE is 200, these bytes in one chunk, and then silence.
    Bytes(Vec<u8>),
}

// === impl Script ===

impl Script {
    /// The next call of this kind gets into this trouble.
    pub fn add(&mut self, kind: CallType, trouble: Trouble) {
        match self.troubles.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, queue)) => queue.push_back(trouble),
            None => self.troubles.push((kind, VecDeque::from([trouble]))),
        }
    }

    /// What is to happen to a call of this kind now.
    pub fn next(&mut self, kind: CallType) -> Option<Trouble> {
        let queue = self.troubles.iter_mut().find(|(known, _)| *known == kind);
        queue.and_then(|(_, queue)| queue.pop_front())
    }

    /// Forgets all troubles that are still to come.
    pub fn forget(&mut self) {
        self.troubles.clear();
    }
}

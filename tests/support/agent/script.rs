//! What a test wants the agent to do otherwise than a healthy one would.

use std::collections::VecDeque;

/// The script; the default is a healthy agent.
#[derive(Debug, Default)]
pub struct Script {
    /// Acknowledgements stay due until they are released.
    pub hold_acknowledgements: bool,
    /// Acknowledgements go out before the 202 of their update.
    pub acknowledge_first: bool,
    /// Requests are read and not answered.
    pub hang: bool,
    /// How events are cut into chunks.
    pub splitting: Splitting,
    /// What happens to the next SUBSCRIBE calls.
    pub subscribes: VecDeque<Trouble>,
    /// What happens to the next other calls.
    pub calls: VecDeque<Trouble>,
}

/// How the bytes of the event stream are cut. Records and chunks are unrelated in principle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Splitting {
    /// A record is a chunk, as in today's agents.
    #[default]
    Whole,
    /// A byte is a chunk, and each is written by itself.
    Bytes,
}

/// What can happen to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused with this status.
    Status(u16),
    /// It is refused with this status and sentence.
    Refusal(u16, &'static str),
    /// The connection is reset before the call is looked at.
    Reset,
    /// The call is accepted, then the connection is reset in the place of a reply.
    LoseReply,
}

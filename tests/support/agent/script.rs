//! How the agent behaves differently from a healthy one.

use std::collections::VecDeque;

/// The faults to inject; the default is a healthy agent.
#[derive(Debug, Default)]
pub struct Script {
    /// Acknowledgements are not sent until they are released.
    pub hold_acknowledgements: bool,
    /// Acknowledgements are sent before the 202 for their update.
    pub acknowledge_first: bool,
    /// Requests are read and get no response.
    pub hang: bool,
    /// How the event stream is split into chunks.
    pub splitting: Splitting,
    /// Faults for the next SUBSCRIBE calls.
    pub subscribes: VecDeque<Trouble>,
    /// Faults for the next other calls.
    pub calls: VecDeque<Trouble>,
}

/// How the event stream is split into chunks. Records and chunks are independent of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Splitting {
    /// Each record is one chunk, as in present agents.
    #[default]
    Whole,
    /// Each byte is one chunk, and is written separately.
    Bytes,
}

/// A fault for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused with this status.
    Status(u16),
    /// It is refused with this status and text.
    Refusal(u16, &'static str),
    /// The connection is reset before the call is handled.
    Reset,
    /// The call is accepted, but the connection is reset instead of a response.
    LoseReply,
}

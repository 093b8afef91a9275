//! The inputs and outputs of the session.

use std::time::Duration;

use cook_mesos::scheduler as pb;

use super::super::address::Address;
use super::super::wire::Notice;
use crate::core::backend::FrameworkId;

/// The number of an attempt to subscribe. Inputs of an attempt other than the current one are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// The value of `Mesos-Stream-Id`: identifies the subscription that a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub String);

/// Everything that can happen to the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A deadline may have passed.
    Tick,
    /// The head of the response to SUBSCRIBE has arrived.
    Replied(Attempt, SubscribeReply),
    /// A record of the event stream.
    Received(Attempt, MasterEvent),
    /// The event stream has ended, or could not be opened. The text is the reason.
    Ended(Attempt, String),
    /// The master has not accepted a call.
    CallFailed(Attempt, CallError),
    /// A request of the core.
    Requested(Request),
}

/// The head of the response to SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscribeReply {
    /// 200: the event stream begins. SUBSCRIBED is still to come.
    Accepted(StreamId),
    /// 307: another master is the leader. `None` if `Location` is missing or invalid.
    NotLeading(Option<Address>),
    /// 503: there is no leader, or it is still recovering.
    NotReady,
    /// 401 or 403: the credentials are not accepted. With the text of the body.
    Unauthorized(u16, String),
    /// Any other status, with the text of the body.
    Refused(u16, String),
}

/// An event of the master.
#[derive(Clone, Debug, PartialEq)]
pub enum MasterEvent {
    /// SUBSCRIBED
    Subscribed {
        /// The framework's id.
        framework: FrameworkId,
        /// The interval of HEARTBEAT events.
        heartbeat: Option<Duration>,
        /// The version of Mesos, for the log.
        version: Option<String>,
    },
    /// HEARTBEAT, and every event that has no meaning here.
    Heartbeat,
    /// ERROR
    Error(String),
    /// An event about offers, tasks or agents.
    Notice(Notice),
    /// A record that cannot be decoded.
    Unreadable,
}

/// Why a call was not accepted. It is unknown whether the master has carried it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// There was no response, or none in time. The text is the reason.
    NoResponse(String),
    /// 307: another master is the leader now.
    NotLeading(Option<Address>),
    /// Any other status outside 2xx, with the text of the body.
    Refused(u16, String),
    /// Too many calls are waiting.
    QueueFull,
}

/// What the core requests of the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// REVIVE
    Revive,
    /// SUPPRESS
    Suppress,
    /// Subscribe as a new framework.
    SubscribeAnew,
    /// Make this call. The session adds the framework's id.
    Call(Box<pb::Call>),
}

/// What to do with the connections.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkAction {
    /// Send SUBSCRIBE on a new connection. No other connection is open.
    Subscribe {
        /// The attempt's number.
        attempt: Attempt,
        /// The master.
        master: Address,
        /// The call.
        call: Box<pb::Call>,
    },
    /// Send a call after all earlier calls of the attempt.
    Call {
        /// The attempt's number.
        attempt: Attempt,
        /// The master.
        master: Address,
        /// The header of the request.
        stream: StreamId,
        /// The call.
        call: Box<pb::Call>,
    },
    /// Close all connections and drop the calls that were not sent.
    Close,
}

/// Everything that the session wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Connect, send or close.
    Link(LinkAction),
    /// The subscription works: calls are possible.
    Subscribed(FrameworkId),
    /// The subscription has ended: calls are not possible.
    Disconnected,
    /// The framework has been removed; its id cannot be used again.
    Removed,
    /// Another scheduler has subscribed with the framework's id.
    FailedOver,
    /// An event for the core.
    Notice(Notice),
    /// A line for the log.
    Log(LogLine),
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// The subscription works.
    Info(String),
    /// It does not.
    Warning(String),
}

impl Event {
    /// The attempt that the event belongs to.
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Replied(attempt, _)
            | Self::Received(attempt, _)
            | Self::Ended(attempt, _)
            | Self::CallFailed(attempt, _) => Some(*attempt),
            Self::Tick | Self::Requested(_) => None,
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoResponse(why) => write!(f, "has not answered a call: {why}"),
            Self::NotLeading(_) => f.write_str("is not the leader any more"),
            Self::Refused(status, text) => write!(f, "has refused a call ({status}): {text}"),
            Self::QueueFull => f.write_str("accepts calls more slowly than they are made"),
        }
    }
}

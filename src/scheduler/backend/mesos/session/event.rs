//! Everything that can happen to the subscription, and everything that it wants done.

use std::time::Duration;

use cook_mesos::scheduler as pb;

use super::super::address::Address;
use super::super::wire::News;
use crate::core::face::FrameworkId;

/// Numbers attempts at a subscription. What belongs to an older one than the newest is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// `Mesos-Stream-Id`: which subscription a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub String);

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A deadline may be over.
    Tick,
    /// The response to SUBSCRIBE has begun.
    Answered(Attempt, Answer),
    /// The master says something on the stream.
    Said(Attempt, Saying),
    /// The stream is over, or has never begun: why.
    Ended(Attempt, String),
    /// A call was not accepted.
    CallFailed(Attempt, CallFault),
    /// The core asks for something.
    Asked(Ask),
}

/// How a response to SUBSCRIBE begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: the stream has begun. SUBSCRIBED is still to come.
    Accepted(StreamId),
    /// 307: another master leads; `None` if the response does not say which, or says it in a way that cannot be read.
    NotLeading(Option<Address>),
    /// 503: there is no leader, or it is not ready.
    NotReady,
    /// 401, 403: who we are does not convince the master.
    Unauthorized(u16),
    /// Any other status, and what is said with it.
    Refused(u16, String),
}

/// What the master says on the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Saying {
    /// SUBSCRIBED
    Subscribed {
        /// Our name.
        framework: FrameworkId,
        /// How often there will be a HEARTBEAT.
        heartbeat: Option<Duration>,
        /// The master's version, for people.
        version: Option<String>,
    },
    /// HEARTBEAT, and whatever else means nothing here.
    Heartbeat,
    /// ERROR
    Error(String),
    /// What is about offers and tasks.
    News(News),
    /// A record that is no event.
    Unreadable,
}

/// Why a call was not accepted. In each case nobody knows what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// There is no response, or none in time: why.
    NoAnswer(String),
    /// 307: another master leads by now.
    NotLeading(Option<Address>),
    /// Any other status that is not 2xx, and what is said with it.
    Refused(u16, String),
    /// So much waits for the master that it is not worth waiting any longer.
    TooMuchWaits,
}

/// What the core asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Offers.
    Revive,
    /// No offers.
    Suppress,
    /// To be another framework.
    SubscribeAnew,
    /// This call; the framework's id is not in it yet.
    Call(Box<pb::Call>),
}

/// Everything that the subscription wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send SUBSCRIBE there, over a connection of its own. No other is open.
    Subscribe {
        /// Its number.
        attempt: Attempt,
        /// Where.
        master: Address,
        /// The call.
        call: Box<pb::Call>,
    },
    /// Close all connections. Calls that were not sent never are.
    Close,
    /// Make this call after all earlier ones of the attempt.
    Call {
        /// Of which subscription.
        attempt: Attempt,
        /// Where.
        master: Address,
        /// What it must carry.
        stream: StreamId,
        /// The call.
        call: Box<pb::Call>,
    },
    /// Calls can be made from here on.
    Subscribed(FrameworkId),
    /// Calls cannot be made any more.
    Disconnected,
    /// The framework's id is dead.
    Removed,
    /// Another scheduler has the framework's id.
    Taken,
    /// The master has news.
    News(News),
    /// A line for the operator.
    Note(Note),
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It works.
    Subscribed(String),
    /// It does not.
    Trouble(String),
}

impl Event {
    /// The attempt that it belongs to.
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Answered(attempt, _)
            | Self::Said(attempt, _)
            | Self::Ended(attempt, _)
            | Self::CallFailed(attempt, _) => Some(*attempt),
            Self::Tick | Self::Asked(_) => None,
        }
    }
}

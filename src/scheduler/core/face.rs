//! The one face of all backends: what a backend tells the core, and what the core asks of it. The embedded
//! agent and a Mesos master are two ways to fill it.
//!
//! # What a backend promises
//!
//! * It begins with [`BackendEvent::Subscribed`], and again whenever its other side may have forgotten
//!   what was asked before. All earlier offers are void from then on, and the core does not answer them.
//! * A call that cannot be made at once, because nobody is connected, is dropped and **never made later,
//!   under a new subscription**: the core repeats what still matters. A launch that is made after the
//!   question what became of it would run beside its successor.
//! * Calls are made in the order in which they are asked for.
//! * [`Call::Launch`] on an offer that has become void is answered by [`TaskState::Dropped`] for each of
//!   its tasks, as a master does, or by nothing; then the core asks.
//! * Every offer is answered, by [`Call::Launch`] or [`Call::Decline`]. What a launch leaves of it, or a
//!   decline gives back, may be offered again when there is more room, or after `refuse_for`, or after [`Call::Revive`].
//! * An update with a [`Token`] is repeated until it is acknowledged, at the latest after ten minutes;
//!   while the store has failed it is not. Updates of one instance come in order; copies are no harm.
//! * An instance is reported as ended only when nothing of it lives on. The embedded agent makes sure of
//!   it; on Mesos the agent does, but for an agent that was lost, see [`TaskState::Unreachable`].
//! * [`Call::Reconcile`] is answered by an update without token for each instance, or not at all if nothing
//!   can be said yet; then it is asked again. "Never heard of it" is a terminal state like [`TaskState::Gone`].
//! * Killing an instance that is not known is answered as its reconciliation is, and harms nothing. A kill
//!   is repeated, so a second one must not cut the first one short.

use std::sync::Arc;
use std::time::Duration;

use crate::core::job::{Agent, Job, Place, Reason, Report};
use crate::core::words::{Demand, InstanceId, Message, Ports};

/// What a backend tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendEvent {
    /// It works, from here on; `framework` is the id that the master gave, if there is a master.
    Subscribed(Option<FrameworkId>),
    /// It does not work any more; offers are void.
    Disconnected,
    /// There is room.
    Offered(Vec<Offer>),
    /// There is not, after all.
    Rescinded(OfferId),
    /// An instance has changed its state.
    Updated(Box<Update>),
    /// An instance says something on its way. Such messages get lost, and come in any order.
    Messaged(InstanceId, Note),
    /// An agent is gone, probably.
    AgentLost(Agent),
    /// This framework's id is dead, and so are all its tasks.
    FrameworkRemoved,
    /// Another scheduler has this framework's id.
    FrameworkTaken,
}

/// What the core asks of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Start these on the offer, and give back what they leave of it.
    Launch {
        /// The offer; it is used up.
        offer: OfferId,
        /// At least one.
        tasks: Vec<Task>,
    },
    /// Give an offer back.
    Decline {
        /// The offer.
        offer: OfferId,
        /// Do not offer the same again within this time, unless [`Call::Revive`] comes first.
        refuse_for: Duration,
    },
    /// Something waits: offer everything.
    Revive,
    /// Nothing waits: offer nothing.
    Suppress,
    /// End an instance in order. Repeated until it has ended.
    Kill {
        /// The instance.
        instance: InstanceId,
        /// Where it is, if that is known.
        agent: Option<Agent>,
    },
    /// End an instance that does not end by [`Call::Kill`]: its executor, with everything in it.
    Shutdown {
        /// The instance.
        instance: InstanceId,
        /// Where it is.
        agent: Agent,
    },
    /// An update is stored, or does not matter; it need not be repeated.
    Acknowledge {
        /// The instance.
        instance: InstanceId,
        /// Where the update came from.
        agent: Option<Agent>,
        /// The update.
        token: Token,
    },
    /// Tell the state of these.
    Reconcile(Vec<(InstanceId, Agent)>),
    /// Tell the state of everything that there is, known here or not.
    ReconcileAll,
    /// The framework's id is forgotten: subscribe as a new one.
    SubscribeAnew,
    /// These instances have ended long ago and are not in the store any more; their sandboxes may go.
    Forget(Vec<InstanceId>),
}

/// What a master calls this scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameworkId(pub Box<str>);

/// An offer's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub Box<str>);

/// Room on an agent. The core answers every offer, by [`Call::Launch`] or [`Call::Decline`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// Its name.
    pub id: OfferId,
    /// Where it is.
    pub place: Arc<Place>,
    /// Cpus and memory; how many ports there are, [`Self::ports`] knows.
    pub room: Demand,
    /// Free ports.
    pub ports: Ports,
    /// The agent's attributes. `HOSTNAME` is known from the place.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// What the agent has when nothing runs there, if that is known.
    pub capacity: Option<Demand>,
}

/// An instance to start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Its name: task id and executor id.
    pub instance: InstanceId,
    /// The job.
    pub job: Arc<Job>,
    /// How many instances the job had before (`COOK_INSTANCE_NUM`).
    pub number: u32,
    /// Its ports, as many as the job wants.
    pub ports: Box<[u16]>,
}

/// What an update is acknowledged by: its uuid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub Box<[u8]>);

/// A new state of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// The instance.
    pub instance: InstanceId,
    /// Where it comes from.
    pub agent: Option<Agent>,
    /// The state.
    pub state: TaskState,
    /// Why, if the update says so and the state is a failure.
    pub reason: Option<Reason>,
    /// What to acknowledge it by; an answer to a reconciliation has none.
    pub token: Option<Token>,
    /// Its `data`, if it has any that can be read.
    pub report: Option<Report>,
}

/// The states of Mesos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// The agent has it.
    Staging,
    /// Its executor has it.
    Starting,
    /// Its command runs.
    Running,
    /// It is being ended.
    Killing,
    /// Ended well.
    Finished,
    /// Ended badly.
    Failed,
    /// Ended by a kill.
    Killed,
    /// It could not be started as it was described.
    Error,
    /// Ended, in the words of old masters; may come back.
    Lost,
    /// It was never started.
    Dropped,
    /// Its agent cannot be reached; it may run, and may come back.
    Unreachable,
    /// It is gone, or never was.
    Gone,
    /// An operator says that its agent is gone for good.
    GoneByOperator,
    /// The master does not know its agent.
    Unknown,
}

/// What an instance says on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Its progress; the highest sequence is the newest.
    Progress {
        /// Counts up.
        sequence: u64,
        /// Whole percent.
        percent: Option<u8>,
        /// What it says.
        message: Option<Message>,
    },
    /// The exit code of its command.
    ExitCode(i32),
    /// Where its sandbox is.
    Sandbox(Box<str>),
    /// It has ended, but something of it cannot be found or ended, so that its end cannot be reported
    /// yet. The text is for people; it is forgotten with the next update.
    Stuck(Box<str>),
}

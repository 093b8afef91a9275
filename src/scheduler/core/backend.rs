//! The interface between the core and every backend: what a backend reports to the core, and what the
//! core asks of it. There are two backends: the embedded agent and a Mesos master.
//!
//! # What a backend promises
//!
//! * Its first event is [`BackendEvent::Subscribed`]. It reports that event again whenever the other
//!   side may have forgotten earlier calls. All earlier offers are then void, and the core does not
//!   answer them.
//! * A call that cannot be made at once, because there is no connection, is dropped and **never made
//!   later, under a new subscription**. The core repeats the calls that still matter. If a launch were
//!   made late, after the core had asked about that instance and started another, two instances of one
//!   job would run.
//! * Calls are made in the order in which the core returns them.
//! * If [`Call::Launch`] uses an offer that has become void, the backend reports [`TaskState::Dropped`]
//!   for each of its tasks, as a master does, or reports nothing; the core then reconciles.
//! * Every offer is answered by [`Call::Launch`] or [`Call::Decline`]. Unused or declined resources may
//!   be offered again when more become free, after `refuse_for`, or after [`Call::Revive`].
//! * An update with a [`Token`] is sent again until it is acknowledged, at the latest after ten
//!   minutes; the core does not acknowledge while the store has failed. Updates of one instance arrive
//!   in order; duplicates do no harm.
//! * An instance is reported as ended only when none of its processes is left. The embedded agent
//!   ensures this itself; on Mesos the agent does. For an agent that was lost, see
//!   [`TaskState::Unreachable`].
//! * [`Call::Reconcile`] is answered by an update without a token for each instance. If nothing can be
//!   said yet there is no answer, and the core asks again. "No such task" is a terminal state, like
//!   [`TaskState::Gone`].
//! * A kill of an unknown instance is answered like its reconciliation and does no harm. Kills are
//!   repeated, so a second kill must not shorten the grace period of the first.

use std::sync::Arc;
use std::time::Duration;

use crate::core::job::{Agent, Job, Place, Reason, Report};
use crate::core::words::{Demand, InstanceId, Message, Ports};

/// What a backend reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendEvent {
    /// The backend is connected from now on. `framework` is the id that the master assigned, if there
    /// is a master.
    Subscribed(Option<FrameworkId>),
    /// The backend is no longer connected; all offers are void.
    Disconnected,
    /// Resources are offered.
    Offered(Vec<Offer>),
    /// An offer is withdrawn.
    Rescinded(OfferId),
    /// An instance has changed its state.
    Updated(Box<Update>),
    /// A message of a running instance. Messages can get lost and arrive in any order.
    Messaged(InstanceId, InstanceMessage),
    /// An agent is probably gone.
    AgentLost(Agent),
    /// The framework's id is no longer valid, and all its tasks are gone.
    FrameworkRemoved,
    /// Another scheduler has subscribed with this framework's id.
    FrameworkTaken,
}

/// What the core asks of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Start these tasks on the offer, and return the unused resources.
    Launch {
        /// The offer; it is used up by this.
        offer: OfferId,
        /// At least one.
        tasks: Vec<Task>,
    },
    /// Return an offer unused.
    Decline {
        /// The offer.
        offer: OfferId,
        /// For how long not to offer the same resources again, unless [`Call::Revive`] comes first.
        refuse_for: Duration,
    },
    /// Jobs are waiting: offer all resources.
    Revive,
    /// No job is waiting: offer nothing.
    Suppress,
    /// Ask an instance to end, with its grace period. Repeated until it has ended.
    Kill {
        /// The instance.
        instance: InstanceId,
        /// Its agent, if known.
        agent: Option<Agent>,
    },
    /// End an instance that does not end after [`Call::Kill`]: its executor and everything in it.
    Shutdown {
        /// The instance.
        instance: InstanceId,
        /// Its agent.
        agent: Agent,
    },
    /// An update is stored, or does not matter: it need not be sent again.
    Acknowledge {
        /// The instance.
        instance: InstanceId,
        /// The agent that sent the update.
        agent: Option<Agent>,
        /// The update's token.
        token: Token,
    },
    /// Report the state of these instances.
    Reconcile(Vec<(InstanceId, Agent)>),
    /// Report the state of every task, whether this scheduler knows it or not.
    ReconcileAll,
    /// The framework's id is no longer valid: subscribe as a new framework.
    SubscribeAnew,
    /// These instances ended long ago and are no longer in the store; their sandboxes may be removed.
    Forget(Vec<InstanceId>),
}

/// The id of this framework, assigned by the master.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameworkId(pub Box<str>);

/// The id of an offer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub Box<str>);

/// Resources offered by an agent. The core answers every offer, by [`Call::Launch`] or
/// [`Call::Decline`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// The agent and its host.
    pub place: Arc<Place>,
    /// Cpus and memory. The number of ports follows from [`Self::ports`].
    pub resources: Demand,
    /// Free ports.
    pub ports: Ports,
    /// The agent's attributes, without `HOSTNAME`, which is in [`Self::place`].
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// The agent's total resources, if known.
    pub capacity: Option<Demand>,
    /// Maximum number of tasks that may be launched with it, if the backend has one.
    pub most_tasks: Option<usize>,
}

/// An instance to start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// The instance's id, used as task id and as executor id.
    pub instance: InstanceId,
    /// The job.
    pub job: Arc<Job>,
    /// How many instances the job had before this one (`COOK_INSTANCE_NUM`).
    pub number: u32,
    /// The assigned ports, as many as the job asks for.
    pub ports: Box<[u16]>,
}

/// Identifies an update when it is acknowledged: the update's uuid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub Box<[u8]>);

/// A new state of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// The instance.
    pub instance: InstanceId,
    /// The agent that reports it.
    pub agent: Option<Agent>,
    /// The new state.
    pub state: TaskState,
    /// The reason, if the update has one and the state is a failure.
    pub reason: Option<Reason>,
    /// The token to acknowledge it with; an answer to a reconciliation has none.
    pub token: Option<Token>,
    /// The content of `data`, if it could be read.
    pub report: Option<Report>,
}

/// The task states of Mesos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// The agent has received the task.
    Staging,
    /// The executor has received the task.
    Starting,
    /// Its command runs.
    Running,
    /// It is being killed.
    Killing,
    /// It ended successfully.
    Finished,
    /// It ended with a failure.
    Failed,
    /// It ended because of a kill.
    Killed,
    /// It could not be started because its description is invalid.
    Error,
    /// It ended, as masters of old versions report it; it may come back.
    Lost,
    /// It was never started.
    Dropped,
    /// Its agent cannot be reached; the task may still run, and may come back.
    Unreachable,
    /// It is gone, or never existed.
    Gone,
    /// An operator has declared its agent gone for good.
    GoneByOperator,
    /// The master does not know its agent.
    Unknown,
}

impl TaskState {
    /// Whether the task exists on its agent now.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Staging | Self::Starting | Self::Running | Self::Killing => true,
            Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Error
            | Self::Lost
            | Self::Dropped
            | Self::Unreachable
            | Self::Gone
            | Self::GoneByOperator
            | Self::Unknown => false,
        }
    }
}

/// What an instance reports while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstanceMessage {
    /// Its progress; the message with the highest sequence is the newest.
    Progress {
        /// Increases with every message.
        sequence: u64,
        /// Percent, 0 to 100.
        percent: Option<u8>,
        /// The text for people.
        message: Option<Message>,
    },
    /// The exit code of its command.
    ExitCode(i32),
    /// Where its sandbox is.
    Sandbox(Box<str>),
    /// It has ended, but some of its processes cannot be found or ended, so its end cannot be reported
    /// yet. The text says why; the next update removes it.
    Stuck(Box<str>),
}

//! Decodes the records of the event stream. Invalid input never panics: it is skipped, field by field where that is
//! possible.

use std::time::Duration;

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{self as pb, EventType};
use prost::Message;

use super::super::session::MasterEvent;
use crate::codec::task;
use crate::core::backend::{FrameworkId, InstanceMessage, OfferId, TaskState, Token, Update};
use crate::core::job::Agent;
use crate::core::words::{InstanceId, Uuid};

/// An event about offers, tasks or agents.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// OFFERS
    Offers(Vec<pb::Offer>),
    /// RESCIND
    Rescinded(OfferId),
    /// UPDATE
    Updated(StatusUpdate),
    /// MESSAGE of an executor.
    Messaged(InstanceId, InstanceMessage),
    /// FAILURE without an executor: the agent is lost.
    AgentLost(Agent),
}

/// An UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusUpdate {
    /// The task may be an instance.
    Instance(Box<Update>),
    /// The task cannot be an instance: its id is not a UUID; or the state is unknown here.
    Foreign(ForeignUpdate),
}

/// An UPDATE that the core cannot handle.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignUpdate {
    /// The task.
    pub task: Id,
    /// Its agent.
    pub agent: Option<Id>,
    /// Its state, if it is known.
    pub state: Option<TaskState>,
    /// The update's uuid, if it has to be acknowledged.
    pub uuid: Option<Vec<u8>>,
}

/// The maximum size of `data` that is parsed: parsing more would take too long for one step. Executors send less.
const MAX_DATA: usize = 1 << 20;

/// The maximum length of a master's texts in the log.
const MAX_TEXT: usize = 1000;

/// Decodes an event.
pub fn read(record: &[u8]) -> MasterEvent {
    let Ok(event) = pb::Event::decode(record) else {
        return MasterEvent::Unreadable;
    };
    let kind = event.kind.and_then(|kind| EventType::try_from(kind).ok());
    let said = match kind.unwrap_or(EventType::Unknown) {
        EventType::Subscribed => event.subscribed.map(subscribed),
        EventType::Offers => event
            .offers
            .map(|offers| MasterEvent::Notice(Notice::Offers(offers.offers))),
        EventType::Rescind => event.rescind.map(|rescind| {
            let id = OfferId(rescind.offer_id.value.into());
            MasterEvent::Notice(Notice::Rescinded(id))
        }),
        EventType::Update => event
            .update
            .map(|update| MasterEvent::Notice(Notice::Updated(status(update.status)))),
        EventType::Message => event.message.and_then(|it| message(&it)),
        EventType::Failure => event.failure.and_then(failure),
        EventType::Error => event
            .error
            .map(|error| MasterEvent::Error(text(&error.message))),
        // Maintenance and operations on resources do not concern this framework.
        EventType::Heartbeat
        | EventType::InverseOffers
        | EventType::RescindInverseOffer
        | EventType::UpdateOperationStatus
        | EventType::Unknown => None,
    };
    said.unwrap_or(MasterEvent::Heartbeat)
}

fn subscribed(it: pb::Subscribed) -> MasterEvent {
    let version = it.master_info.and_then(|master| master.version);
    MasterEvent::Subscribed {
        framework: FrameworkId(it.framework_id.value.into()),
        // Values that are not positive, or not finite, count as absent.
        heartbeat: it
            .heartbeat_interval_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|interval| !interval.is_zero()),
        version: version.map(|version| text(&version)),
    }
}

fn status(it: pb::TaskStatus) -> StatusUpdate {
    let uuid = it.uuid.filter(|uuid| !uuid.is_empty());
    match (instance(&it.task_id), task::state(it.state)) {
        (Some(instance), Some(state)) => StatusUpdate::Instance(Box::new(Update {
            instance,
            // An acknowledgement needs the agent.
            token: it
                .agent_id
                .as_ref()
                .and(uuid)
                .map(|uuid| Token(uuid.into())),
            agent: it.agent_id.map(|agent| Agent(agent.value.into())),
            state,
            reason: it.reason.map(task::reason),
            report: it
                .data
                .filter(|data| data.len() <= MAX_DATA)
                .and_then(|data| task::report(&data)),
        })),
        (_, state) => StatusUpdate::Foreign(ForeignUpdate {
            task: it.task_id,
            agent: it.agent_id,
            state,
            uuid,
        }),
    }
}

fn message(it: &pb::FrameworkMessage) -> Option<MasterEvent> {
    let instance = instance(&it.executor_id)?;
    let note = Some(&it.data)
        .filter(|data| data.len() <= MAX_DATA)
        .and_then(|data| task::framework_message(data))?;
    Some(MasterEvent::Notice(Notice::Messaged(instance, note)))
}

/// The end of an executor is also reported by an update of its task, which is reliable.
fn failure(it: pb::Failure) -> Option<MasterEvent> {
    match it.executor_id {
        Some(_) => None,
        None => it
            .agent_id
            .map(|agent| MasterEvent::Notice(Notice::AgentLost(Agent(agent.value.into())))),
    }
}

/// The ids of task and executor are the instance's. Other spellings of a UUID are not ours.
fn instance(id: &Id) -> Option<InstanceId> {
    let instance = Uuid::parse(&id.value).map(InstanceId)?;
    (instance.to_string() == id.value).then_some(instance)
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.len().min(MAX_TEXT);
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

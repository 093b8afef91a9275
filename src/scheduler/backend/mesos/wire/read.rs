//! Events, as they come on the stream. What is no event, or names nothing, is left out and never a reason to fall.

use std::time::Duration;

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{self as pb, EventType};
use prost::Message;

use super::super::session::Saying;
use crate::codec::task;
use crate::core::face::{FrameworkId, Note, OfferId, TaskState, Token, Update};
use crate::core::job::Agent;
use crate::core::words::{InstanceId, Uuid};

/// What the master has to say about offers and tasks.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// OFFERS
    Offers(Vec<pb::Offer>),
    /// RESCIND
    Rescinded(OfferId),
    /// UPDATE
    Updated(StatusOf),
    /// MESSAGE from an executor.
    Messaged(InstanceId, Note),
    /// FAILURE of an agent.
    AgentLost(Agent),
}

/// Whose a status is.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusOf {
    /// Of an instance.
    Instance(Box<Update>),
    /// Of a task whose name cannot be an instance's, or in a state that is not known here: it is not the core's.
    Stranger {
        /// Its name.
        task: Id,
        /// Where it is.
        agent: Option<Id>,
        /// Its state, if it is known.
        state: Option<TaskState>,
        /// What to acknowledge it by.
        uuid: Option<Vec<u8>>,
    },
}

/// An executor says less than this. More would be parsed for longer than a step may take.
const MOST_DATA: usize = 1 << 20;

/// Texts of a master are for one line of a log.
const MOST_TEXT: usize = 1000;

/// Reads an event.
pub fn read(record: &[u8]) -> Saying {
    let Ok(event) = pb::Event::decode(record) else {
        return Saying::Unreadable;
    };
    let kind = event.kind.and_then(|kind| EventType::try_from(kind).ok());
    let said = match kind.unwrap_or(EventType::Unknown) {
        EventType::Subscribed => event.subscribed.map(subscribed),
        EventType::Offers => event
            .offers
            .map(|offers| Saying::News(News::Offers(offers.offers))),
        EventType::Rescind => event.rescind.map(|rescind| {
            let id = OfferId(rescind.offer_id.value.into());
            Saying::News(News::Rescinded(id))
        }),
        EventType::Update => event
            .update
            .map(|update| Saying::News(News::Updated(status(update.status)))),
        EventType::Message => event.message.and_then(|it| message(&it)),
        EventType::Failure => event.failure.and_then(failure),
        EventType::Error => event.error.map(|error| Saying::Error(text(&error.message))),
        // Maintenance and operations on resources: this framework takes no part in them.
        EventType::Heartbeat
        | EventType::InverseOffers
        | EventType::RescindInverseOffer
        | EventType::UpdateOperationStatus
        | EventType::Unknown => None,
    };
    said.unwrap_or(Saying::Heartbeat)
}

fn subscribed(it: pb::Subscribed) -> Saying {
    let version = it.master_info.and_then(|master| master.version);
    Saying::Subscribed {
        framework: FrameworkId(it.framework_id.value.into()),
        // What is negative, endless or no number is none.
        heartbeat: it
            .heartbeat_interval_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|interval| !interval.is_zero()),
        version: version.map(|version| text(&version)),
    }
}

fn status(it: pb::TaskStatus) -> StatusOf {
    let uuid = it.uuid.filter(|uuid| !uuid.is_empty());
    match (instance(&it.task_id), task::state(it.state)) {
        (Some(instance), Some(state)) => StatusOf::Instance(Box::new(Update {
            instance,
            // Without an agent there is nobody to acknowledge it to.
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
                .filter(|data| data.len() <= MOST_DATA)
                .and_then(|data| task::report(&data)),
        })),
        (_, state) => StatusOf::Stranger {
            task: it.task_id,
            agent: it.agent_id,
            state,
            uuid,
        },
    }
}

fn message(it: &pb::FrameworkMessage) -> Option<Saying> {
    let instance = instance(&it.executor_id)?;
    let note = Some(&it.data)
        .filter(|data| data.len() <= MOST_DATA)
        .and_then(|data| task::note(data))?;
    Some(Saying::News(News::Messaged(instance, note)))
}

/// The end of an executor is told by the update of its task.
fn failure(it: pb::Failure) -> Option<Saying> {
    match it.executor_id {
        Some(_) => None,
        None => it
            .agent_id
            .map(|agent| Saying::News(News::AgentLost(Agent(agent.value.into())))),
    }
}

/// Task and executor have the instance's name. In any other spelling it is not ours.
fn instance(id: &Id) -> Option<InstanceId> {
    let instance = Uuid::parse(&id.value).map(InstanceId)?;
    (instance.to_string() == id.value).then_some(instance)
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.len().min(MOST_TEXT);
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

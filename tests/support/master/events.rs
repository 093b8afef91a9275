//! Makes the events that a master sends, and describes them for people.

use cook_mesos::scheduler::{
    Error, Event, EventType, Failure, FrameworkMessage, MasterInfo, Offer, Offers, Reason, Rescind,
    Source, Subscribed, TaskState, TaskStatus, Update,
};

/// SUBSCRIBED; `heartbeat` is the interval in seconds.
pub fn subscribed(framework: &str, heartbeat: f64) -> Event {
    Event {
        subscribed: Some(Subscribed {
            framework_id: framework.into(),
            heartbeat_interval_seconds: Some(heartbeat),
            master_info: Some(MasterInfo {
                id: b"master-1".to_vec(),
                ..MasterInfo::default()
            }),
        }),
        ..of_kind(EventType::Subscribed)
    }
}

/// OFFERS.
pub fn offers(offers: Vec<Offer>) -> Event {
    Event {
        offers: Some(Offers { offers }),
        ..of_kind(EventType::Offers)
    }
}

/// RESCIND.
pub fn rescind(offer: &str) -> Event {
    Event {
        rescind: Some(Rescind {
            offer_id: offer.into(),
        }),
        ..of_kind(EventType::Rescind)
    }
}

/// UPDATE.
pub fn update(status: TaskStatus) -> Event {
    Event {
        update: Some(Update { status }),
        ..of_kind(EventType::Update)
    }
}

/// MESSAGE from an executor.
pub fn message(agent: &str, executor: &str, data: &[u8]) -> Event {
    Event {
        message: Some(FrameworkMessage {
            agent_id: agent.into(),
            executor_id: executor.into(),
            data: data.to_vec(),
        }),
        ..of_kind(EventType::Message)
    }
}

/// FAILURE of an agent, or of one of its executors.
pub fn failure(agent: &str, executor: Option<(&str, i32)>) -> Event {
    Event {
        failure: Some(Failure {
            agent_id: Some(agent.into()),
            executor_id: executor.map(|(id, _)| id.into()),
            status: executor.map(|(_, status)| status),
        }),
        ..of_kind(EventType::Failure)
    }
}

/// ERROR with this text.
pub fn error(text: &str) -> Event {
    Event {
        error: Some(Error {
            message: text.as_bytes().to_vec(),
        }),
        ..of_kind(EventType::Error)
    }
}

/// An event without contents: HEARTBEAT, and types of a later Mesos.
pub fn of_kind(kind: EventType) -> Event {
    Event {
        kind: Some(kind as i32),
        ..Event::default()
    }
}

/// A status that an executor has created, without data.
pub fn status(task: &str, agent: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: task.into(),
        state: state as i32,
        agent_id: Some(agent.into()),
        executor_id: Some(task.into()),
        source: Some(Source::Executor as i32),
        timestamp: Some(1.7e9),
        ..TaskStatus::default()
    }
}

/// A status that the master has created: it has no uuid.
pub fn masters_status(
    task: &str,
    agent: Option<&str>,
    state: TaskState,
    reason: Reason,
) -> TaskStatus {
    TaskStatus {
        task_id: task.into(),
        state: state as i32,
        agent_id: agent.map(Into::into),
        source: Some(Source::Master as i32),
        reason: Some(reason as i32),
        timestamp: Some(1.7e9),
        ..TaskStatus::default()
    }
}

/// Describes an event in a few words.
pub fn describe(event: &Event) -> String {
    let kind = event.kind.unwrap_or_default();
    let name = EventType::try_from(kind).map_or(format!("event {kind}"), |kind| {
        format!("{kind:?}").to_uppercase()
    });
    let rest = if let Some(update) = &event.update {
        let status = &update.status;
        let state = TaskState::try_from(status.state).map(|state| format!("{state:?}"));
        let state = state.unwrap_or_else(|_| status.state.to_string());
        format!(" {state} of {}", status.task_id.value)
    } else if let Some(offers) = &event.offers {
        let ids = offers.offers.iter().map(|offer| offer.id.value.as_str());
        format!(" {}", ids.collect::<Vec<_>>().join(" "))
    } else if let Some(error) = &event.error {
        format!(" {}", String::from_utf8_lossy(&error.message))
    } else {
        String::new()
    };
    name + &rest
}

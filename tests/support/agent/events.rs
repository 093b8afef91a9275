//! Makes the events that an agent sends, and describes them for people.

use std::time::Duration;

use cook_mesos::messages::{
    Acknowledged, CommandInfo, DurationInfo, Error, Event, EventMessage, EventType, Kill,
    KillPolicy, Launch, LaunchGroup, TaskGroupInfo, TaskInfo,
};

/// LAUNCH of one task.
pub fn launch(task: TaskInfo) -> Event {
    Event {
        launch: Some(Launch { task }),
        ..of_kind(EventType::Launch)
    }
}

/// LAUNCH_GROUP of any number of tasks.
pub fn launch_group(tasks: Vec<TaskInfo>) -> Event {
    Event {
        launch_group: Some(LaunchGroup {
            task_group: TaskGroupInfo { tasks },
        }),
        ..of_kind(EventType::LaunchGroup)
    }
}

/// KILL, with a kill policy if a grace period is given.
pub fn kill(task_id: &str, grace: Option<Duration>) -> Event {
    Event {
        kill: Some(Kill {
            task_id: task_id.into(),
            kill_policy: grace.map(kill_policy),
        }),
        ..of_kind(EventType::Kill)
    }
}

/// ACKNOWLEDGED for one update.
pub fn acknowledged(task_id: &str, uuid: &[u8]) -> Event {
    Event {
        acknowledged: Some(Acknowledged {
            task_id: task_id.into(),
            uuid: uuid.to_vec(),
        }),
        ..of_kind(EventType::Acknowledged)
    }
}

/// MESSAGE from the framework.
pub fn message(data: &[u8]) -> Event {
    Event {
        message: Some(EventMessage {
            data: data.to_vec(),
        }),
        ..of_kind(EventType::Message)
    }
}

/// ERROR with this text.
pub fn error(text: &str) -> Event {
    Event {
        error: Some(Error {
            message: text.into(),
        }),
        ..of_kind(EventType::Error)
    }
}

/// SHUTDOWN.
pub fn shutdown() -> Event {
    of_kind(EventType::Shutdown)
}

/// HEARTBEAT.
pub fn heartbeat() -> Event {
    of_kind(EventType::Heartbeat)
}

/// An event of an unknown type.
pub fn of_unknown_type(number: i32) -> Event {
    Event {
        kind: Some(number),
        ..Event::default()
    }
}

/// An event without contents.
pub fn of_kind(kind: EventType) -> Event {
    of_unknown_type(kind as i32)
}

/// A task with its job as JSON in `data`, as for a custom executor.
pub fn task(task_id: &str, agent_id: &str, data: impl Into<Vec<u8>>) -> TaskInfo {
    TaskInfo {
        name: task_id.into(),
        task_id: task_id.into(),
        agent_id: agent_id.into(),
        data: Some(data.into()),
        ..TaskInfo::default()
    }
}

/// A task with a shell command in `command`, as is possible in a task group.
pub fn command_task(task_id: &str, agent_id: &str, command: &str) -> TaskInfo {
    TaskInfo {
        data: None,
        command: Some(CommandInfo {
            value: Some(command.into()),
            ..CommandInfo::default()
        }),
        ..task(task_id, agent_id, Vec::new())
    }
}

/// A kill policy with this grace period.
pub fn kill_policy(grace: Duration) -> KillPolicy {
    KillPolicy {
        grace_period: Some(DurationInfo {
            nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
        }),
    }
}

/// Describes an event in one line.
pub fn describe(event: &Event) -> String {
    let number = event.kind.unwrap_or_default();
    let Ok(kind) = EventType::try_from(number) else {
        return format!("event of the unknown type {number}");
    };
    let name = match kind {
        EventType::Unknown => "UNKNOWN",
        EventType::Subscribed => "SUBSCRIBED",
        EventType::Launch => "LAUNCH",
        EventType::Kill => "KILL",
        EventType::Acknowledged => "ACKNOWLEDGED",
        EventType::Message => "MESSAGE",
        EventType::Error => "ERROR",
        EventType::Shutdown => "SHUTDOWN",
        EventType::LaunchGroup => "LAUNCH_GROUP",
        EventType::Heartbeat => "HEARTBEAT",
    };
    let tasks = tasks_of(event).join(" ");
    format!("{name} {tasks}").trim_end().to_owned()
}

/// The ids of the tasks in an event.
pub fn tasks_of(event: &Event) -> Vec<String> {
    let id = |task: &TaskInfo| task.task_id.value.clone();
    let mut ids: Vec<String> = event.launch.iter().map(|launch| id(&launch.task)).collect();
    if let Some(group) = &event.launch_group {
        ids.extend(group.task_group.tasks.iter().map(id));
    }
    ids.extend(event.kill.iter().map(|kill| kill.task_id.value.clone()));
    ids.extend(event.acknowledged.iter().map(|a| a.task_id.value.clone()));
    ids
}

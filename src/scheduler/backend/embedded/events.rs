//! Converts notices of the agent to events of the core.

use cook_agent::notice::{Cause, What};
use cook_mesos::messages::TaskStatus;

use crate::codec::task;
use crate::core::backend::{BackendEvent, InstanceMessage, TaskState, Token, Update};
use crate::core::job::{Agent, Reason};
use crate::core::words::InstanceId;

/// The event for a notice; `None` if the core does not need to know.
pub fn event(instance: InstanceId, what: &What, agent: &Agent) -> Option<BackendEvent> {
    match what {
        What::Updated(status) => Some(BackendEvent::Updated(Box::new(update(
            instance, status, agent,
        )?))),
        What::Lost { cause, uuid } => Some(BackendEvent::Updated(Box::new(Update {
            instance,
            agent: Some(agent.clone()),
            state: lost_state(cause),
            reason: Some(lost_reason(cause)),
            token: Some(Token(uuid.to_vec().into())),
            // `message` is for the job's own text. The cause of the loss is in the log and in the job's
            // stderr.
            report: None,
        }))),
        What::Message(data) => match task::framework_message(data)? {
            // The path is always the same and need not be stored.
            InstanceMessage::Sandbox(_) => None,
            message => Some(BackendEvent::Messaged(instance, message)),
        },
        What::Stuck(text) => {
            let message = InstanceMessage::Stuck(text.as_str().into());
            Some(BackendEvent::Messaged(instance, message))
        }
        What::Started { .. }
        | What::Subscribed
        | What::Sent(_)
        | What::Exited(_)
        | What::Forgotten => None,
    }
}

/// Whether an instance in this state has ended.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator => true,
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Unreachable
        | TaskState::Unknown => false,
    }
}

fn update(instance: InstanceId, status: &TaskStatus, agent: &Agent) -> Option<Update> {
    Some(Update {
        instance,
        agent: Some(agent.clone()),
        state: task::state(status.state)?,
        reason: status.reason.map(task::reason),
        token: status.uuid.clone().map(|uuid| Token(uuid.into())),
        report: status.data.as_deref().and_then(task::report),
    })
}

fn lost_state(cause: &Cause) -> TaskState {
    match cause {
        Cause::KilledDuringLaunch => TaskState::Killed,
        Cause::LaunchFailed(_)
        | Cause::NotSubscribed
        | Cause::Terminated
        | Cause::MemoryLimit
        | Cause::Destroyed => TaskState::Failed,
    }
}

fn lost_reason(cause: &Cause) -> Reason {
    match cause {
        Cause::LaunchFailed(_) => Reason::ContainerLaunchFailed,
        Cause::KilledDuringLaunch => Reason::KilledDuringLaunch,
        Cause::NotSubscribed => Reason::RegistrationTimeout,
        Cause::Terminated | Cause::Destroyed => Reason::ExecutorTerminated,
        Cause::MemoryLimit => Reason::ContainerMemoryLimit,
    }
}

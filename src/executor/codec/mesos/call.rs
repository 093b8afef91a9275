//! Encodes calls to the agent.

use prost::Message as _;

use crate::codec::mesos::cook;
use crate::codec::results;
use crate::core::checks::{CheckStatus, Kind};
use crate::core::event::Identity;
use crate::core::outbox::{Item, Reason, TaskState, Update};
use cook_mesos::messages::{
    self, Call, CallMessage, CallType, CheckStatusInfo, CheckType, CommandStatus, HttpStatus, Id,
    SOURCE_EXECUTOR, Subscribe, TaskIdentity, TaskStatus, TcpStatus,
};

/// The executor that makes the calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `MESOS_FRAMEWORK_ID`.
    pub framework: String,
    /// `MESOS_EXECUTOR_ID`.
    pub executor: String,
}

// === impl Caller ===

impl Caller {
    /// SUBSCRIBE, with the task and the updates that the agent may not have.
    pub fn subscribe(&self, task: Option<&Identity>, updates: &[Update]) -> Vec<u8> {
        let updates = updates.iter().map(|update| messages::Update {
            status: self.status(update),
        });
        let subscribe = Subscribe {
            unacknowledged_tasks: task.map(task_info).into_iter().collect(),
            unacknowledged_updates: updates.collect(),
        };
        let call = Call {
            subscribe: Some(subscribe),
            ..self.call(CallType::Subscribe)
        };
        call.encode_to_vec()
    }

    /// UPDATE or MESSAGE.
    pub fn report(&self, item: &Item) -> Vec<u8> {
        let call = match item {
            Item::Update(update) => Call {
                update: Some(messages::Update {
                    status: self.status(update),
                }),
                ..self.call(CallType::Update)
            },
            Item::Message(task, message) => Call {
                message: Some(CallMessage {
                    data: cook::framework_message(task, message),
                }),
                ..self.call(CallType::Message)
            },
        };
        call.encode_to_vec()
    }

    fn call(&self, kind: CallType) -> Call {
        Call {
            executor_id: Id::from(self.executor.as_str()),
            framework_id: Id::from(self.framework.as_str()),
            kind: Some(kind.into()),
            subscribe: None,
            update: None,
            message: None,
        }
    }

    fn status(&self, update: &Update) -> TaskStatus {
        TaskStatus {
            task_id: Id::from(update.task.0.as_str()),
            state: wire_state(update.state).into(),
            data: results::update_data(&update.data),
            message: update.message.clone(),
            agent_id: Some(Id::from(update.agent.0.as_str())),
            timestamp: Some(update.at.0 as f64 / 1000.0),
            executor_id: Some(Id::from(self.executor.as_str())),
            healthy: update.checked.healthy,
            source: Some(SOURCE_EXECUTOR),
            reason: update.reason.map(|reason| wire_reason(reason).into()),
            uuid: Some(update.uuid.0.to_vec()),
            check_status: update.checked.status.map(check_status),
        }
    }
}

/// The agent reads only the id (`Slave::subscribe`), but the required fields must be there.
fn task_info(identity: &Identity) -> TaskIdentity {
    TaskIdentity {
        name: identity.name.clone(),
        task_id: Id::from(identity.task.0.as_str()),
        agent_id: Id::from(identity.agent.0.as_str()),
    }
}

/// The member for the type is always set: the agent refuses an update without it.
fn check_status(status: CheckStatus) -> CheckStatusInfo {
    let typed = |kind: CheckType| CheckStatusInfo {
        kind: Some(kind.into()),
        ..CheckStatusInfo::default()
    };
    match status {
        CheckStatus::Command(exit_code) => CheckStatusInfo {
            command: Some(CommandStatus {
                exit_code: exit_code.map(i32::from),
            }),
            ..typed(CheckType::Command)
        },
        CheckStatus::Http(status_code) => CheckStatusInfo {
            http: Some(HttpStatus {
                status_code: status_code.map(u32::from),
            }),
            ..typed(CheckType::Http)
        },
        CheckStatus::Tcp(succeeded) => CheckStatusInfo {
            tcp: Some(TcpStatus { succeeded }),
            ..typed(CheckType::Tcp)
        },
    }
}

fn wire_state(state: TaskState) -> messages::TaskState {
    match state {
        TaskState::Starting => messages::TaskState::Starting,
        TaskState::Running => messages::TaskState::Running,
        TaskState::Killing => messages::TaskState::Killing,
        TaskState::Finished => messages::TaskState::Finished,
        TaskState::Failed => messages::TaskState::Failed,
        TaskState::Killed => messages::TaskState::Killed,
        TaskState::Error => messages::TaskState::Error,
    }
}

fn wire_reason(reason: Reason) -> messages::Reason {
    match reason {
        Reason::TaskInvalid => messages::Reason::TaskInvalid,
        Reason::MaxCompletionTimeReached => messages::Reason::MaxCompletionTimeReached,
        Reason::Checked(Kind::Check) => messages::Reason::TaskCheckStatusUpdated,
        Reason::Checked(Kind::Health) => messages::Reason::TaskHealthCheckStatusUpdated,
    }
}

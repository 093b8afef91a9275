//! Builds calls. The session adds the framework's id.

use std::time::Duration;

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{
    self as pb, Accept, Acknowledge, CallType, Decline, Filters, Kill, LaunchTasks, Operation,
    OperationType, Reconcile, ReconcileTask, Shutdown, TaskInfo,
};

use crate::core::job::Agent;
use crate::core::words::InstanceId;

/// The maximum time that a master accepts.
const MAX_REFUSE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// ACCEPT with one LAUNCH. The unused rest is not refused, by default for 5 s: a REVIVE for a job that was submitted
/// while the launch was being stored has been sent before, and does not end a later refusal.
pub fn accept(offer: Id, tasks: Vec<TaskInfo>) -> Box<pb::Call> {
    Box::new(pb::Call {
        accept: Some(Accept {
            offer_ids: vec![offer],
            operations: vec![Operation {
                kind: Some(OperationType::Launch as i32),
                launch: Some(LaunchTasks { task_infos: tasks }),
            }],
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        }),
        ..of_kind(CallType::Accept)
    })
}

/// DECLINE
pub fn decline(offer: Id, refuse_for: Duration) -> Box<pb::Call> {
    Box::new(pb::Call {
        decline: Some(Decline {
            offer_ids: vec![offer],
            filters: Some(Filters {
                refuse_seconds: Some(refuse_for.min(MAX_REFUSE).as_secs_f64()),
            }),
        }),
        ..of_kind(CallType::Decline)
    })
}

/// KILL, without a kill policy: a repeated one does not shorten the grace period.
pub fn kill(task: Id, agent: Option<Id>) -> Box<pb::Call> {
    Box::new(pb::Call {
        kill: Some(Kill {
            task_id: task,
            agent_id: agent,
            kill_policy: None,
        }),
        ..of_kind(CallType::Kill)
    })
}

/// SHUTDOWN of an executor.
pub fn shutdown(executor: Id, agent: Id) -> Box<pb::Call> {
    Box::new(pb::Call {
        shutdown: Some(Shutdown {
            executor_id: executor,
            agent_id: agent,
        }),
        ..of_kind(CallType::Shutdown)
    })
}

/// ACKNOWLEDGE
pub fn acknowledge(task: Id, agent: Id, uuid: Vec<u8>) -> Box<pb::Call> {
    Box::new(pb::Call {
        acknowledge: Some(Acknowledge {
            agent_id: agent,
            task_id: task,
            uuid,
        }),
        ..of_kind(CallType::Acknowledge)
    })
}

/// RECONCILE: explicit for these tasks, implicit if there are none.
pub fn reconcile(tasks: impl IntoIterator<Item = (InstanceId, Agent)>) -> Box<pb::Call> {
    let task = |(instance, agent)| ReconcileTask {
        task_id: task_id(instance),
        agent_id: Some(agent_id(&agent)),
    };
    Box::new(pb::Call {
        reconcile: Some(Reconcile {
            tasks: tasks.into_iter().map(task).collect(),
        }),
        ..of_kind(CallType::Reconcile)
    })
}

/// The id of an instance's task and executor.
pub fn task_id(instance: InstanceId) -> Id {
    Id {
        value: instance.to_string(),
    }
}

/// The id of an agent.
pub fn agent_id(agent: &Agent) -> Id {
    Id {
        value: agent.0.to_string(),
    }
}

/// A call without contents, such as REVIVE.
pub fn of_kind(kind: CallType) -> pb::Call {
    pb::Call {
        kind: Some(kind as i32),
        ..pb::Call::default()
    }
}

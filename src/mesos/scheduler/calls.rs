//! Calls: what a scheduler sends to `/api/v1/scheduler` (`scheduler.proto`).

use prost::{Enumeration, Message};

use super::tasks::{FrameworkInfo, TaskInfo};
use crate::messages::{Id, KillPolicy};

/// `scheduler.Call`. The values of [`CallType`] are not the field numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Call {
    /// Absent only in the first SUBSCRIBE of a framework.
    #[prost(message, optional, tag = "1")]
    pub framework_id: Option<Id>,
    #[prost(enumeration = "CallType", optional, tag = "2")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "3")]
    pub subscribe: Option<Subscribe>,
    #[prost(message, optional, tag = "4")]
    pub accept: Option<Accept>,
    #[prost(message, optional, tag = "5")]
    pub decline: Option<Decline>,
    #[prost(message, optional, tag = "6")]
    pub kill: Option<Kill>,
    #[prost(message, optional, tag = "7")]
    pub shutdown: Option<Shutdown>,
    #[prost(message, optional, tag = "8")]
    pub acknowledge: Option<Acknowledge>,
    #[prost(message, optional, tag = "9")]
    pub reconcile: Option<Reconcile>,
    #[prost(message, optional, tag = "10")]
    pub message: Option<FrameworkMessage>,
    #[prost(message, optional, tag = "15")]
    pub revive: Option<Roles>,
    #[prost(message, optional, tag = "16")]
    pub suppress: Option<Roles>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum CallType {
    Unknown = 0,
    Subscribe = 1,
    Teardown = 2,
    Accept = 3,
    Decline = 4,
    Revive = 5,
    Kill = 6,
    Shutdown = 7,
    Acknowledge = 8,
    Reconcile = 9,
    Message = 10,
    Suppress = 12,
}

#[derive(Clone, PartialEq, Message)]
pub struct Subscribe {
    #[prost(message, required, tag = "1")]
    pub framework_info: FrameworkInfo,
    #[prost(string, repeated, tag = "2")]
    pub suppressed_roles: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Accept {
    #[prost(message, repeated, tag = "1")]
    pub offer_ids: Vec<Id>,
    #[prost(message, repeated, tag = "2")]
    pub operations: Vec<Operation>,
    #[prost(message, optional, tag = "3")]
    pub filters: Option<Filters>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Decline {
    #[prost(message, repeated, tag = "1")]
    pub offer_ids: Vec<Id>,
    #[prost(message, optional, tag = "2")]
    pub filters: Option<Filters>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Kill {
    #[prost(message, required, tag = "1")]
    pub task_id: Id,
    #[prost(message, optional, tag = "2")]
    pub agent_id: Option<Id>,
    #[prost(message, optional, tag = "3")]
    pub kill_policy: Option<KillPolicy>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shutdown {
    #[prost(message, required, tag = "1")]
    pub executor_id: Id,
    #[prost(message, required, tag = "2")]
    pub agent_id: Id,
}

#[derive(Clone, PartialEq, Message)]
pub struct Acknowledge {
    #[prost(message, required, tag = "1")]
    pub agent_id: Id,
    #[prost(message, required, tag = "2")]
    pub task_id: Id,
    #[prost(bytes = "vec", required, tag = "3")]
    pub uuid: Vec<u8>,
}

/// Without tasks, all tasks are reconciled.
#[derive(Clone, PartialEq, Message)]
pub struct Reconcile {
    #[prost(message, repeated, tag = "1")]
    pub tasks: Vec<ReconcileTask>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReconcileTask {
    #[prost(message, required, tag = "1")]
    pub task_id: Id,
    #[prost(message, optional, tag = "2")]
    pub agent_id: Option<Id>,
}

/// `Call.Message` and `Event.Message`. Unlike in the executor API, both have the same fields.
#[derive(Clone, PartialEq, Message)]
pub struct FrameworkMessage {
    #[prost(message, required, tag = "1")]
    pub agent_id: Id,
    #[prost(message, required, tag = "2")]
    pub executor_id: Id,
    #[prost(bytes = "vec", required, tag = "3")]
    pub data: Vec<u8>,
}

/// `Call.Revive` and `Call.Suppress`. Without roles, they are for all roles.
#[derive(Clone, PartialEq, Message)]
pub struct Roles {
    #[prost(string, repeated, tag = "1")]
    pub roles: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Filters {
    /// Default: 5.
    #[prost(double, optional, tag = "1")]
    pub refuse_seconds: Option<f64>,
}

/// `Offer.Operation`.
#[derive(Clone, PartialEq, Message)]
pub struct Operation {
    #[prost(enumeration = "OperationType", optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub launch: Option<LaunchTasks>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum OperationType {
    Unknown = 0,
    Launch = 1,
}

/// `Offer.Operation.Launch`.
#[derive(Clone, PartialEq, Message)]
pub struct LaunchTasks {
    #[prost(message, repeated, tag = "1")]
    pub task_infos: Vec<TaskInfo>,
}

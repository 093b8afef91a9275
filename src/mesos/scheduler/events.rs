//! Events: what a master sends on the stream of a subscription (`scheduler.proto`).

use prost::{Enumeration, Message};

use super::calls::FrameworkMessage;
use super::tasks::Offer;
use crate::messages::Id;

/// `scheduler.Event`. The values of [`EventType`] are not the field numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// An [`EventType`], as a number so that an event of a type of a later Mesos can be decoded.
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub subscribed: Option<Subscribed>,
    #[prost(message, optional, tag = "3")]
    pub offers: Option<Offers>,
    #[prost(message, optional, tag = "4")]
    pub rescind: Option<Rescind>,
    #[prost(message, optional, tag = "5")]
    pub update: Option<Update>,
    #[prost(message, optional, tag = "6")]
    pub message: Option<FrameworkMessage>,
    #[prost(message, optional, tag = "7")]
    pub failure: Option<Failure>,
    #[prost(message, optional, tag = "8")]
    pub error: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum EventType {
    Unknown = 0,
    Subscribed = 1,
    Offers = 2,
    Rescind = 3,
    Update = 4,
    Message = 5,
    Failure = 6,
    Error = 7,
    Heartbeat = 8,
    InverseOffers = 9,
    RescindInverseOffer = 10,
    UpdateOperationStatus = 11,
}

#[derive(Clone, PartialEq, Message)]
pub struct Subscribed {
    #[prost(message, required, tag = "1")]
    pub framework_id: Id,
    #[prost(double, optional, tag = "2")]
    pub heartbeat_interval_seconds: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub master_info: Option<MasterInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MasterInfo {
    #[prost(bytes = "vec", required, tag = "1")]
    pub id: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub pid: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub hostname: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub version: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Offers {
    #[prost(message, repeated, tag = "1")]
    pub offers: Vec<Offer>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Rescind {
    #[prost(message, required, tag = "1")]
    pub offer_id: Id,
}

#[derive(Clone, PartialEq, Message)]
pub struct Update {
    #[prost(message, required, tag = "1")]
    pub status: TaskStatus,
}

/// With `executor_id`: that executor has ended. Without: the agent is gone.
#[derive(Clone, PartialEq, Message)]
pub struct Failure {
    #[prost(message, optional, tag = "1")]
    pub agent_id: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub executor_id: Option<Id>,
    #[prost(int32, optional, tag = "3")]
    pub status: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Error {
    #[prost(bytes = "vec", required, tag = "1")]
    pub message: Vec<u8>,
}

/// `TaskStatus` as a scheduler receives it.
#[derive(Clone, PartialEq, Message)]
pub struct TaskStatus {
    #[prost(message, required, tag = "1")]
    pub task_id: Id,
    /// A [`TaskState`].
    #[prost(int32, required, tag = "2")]
    pub state: i32,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub data: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub message: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    pub agent_id: Option<Id>,
    /// Seconds since the epoch.
    #[prost(double, optional, tag = "6")]
    pub timestamp: Option<f64>,
    #[prost(message, optional, tag = "7")]
    pub executor_id: Option<Id>,
    #[prost(bool, optional, tag = "8")]
    pub healthy: Option<bool>,
    /// A [`Source`].
    #[prost(int32, optional, tag = "9")]
    pub source: Option<i32>,
    /// A [`Reason`].
    #[prost(int32, optional, tag = "10")]
    pub reason: Option<i32>,
    /// Absent in a status that the master created. Such a status must not be acknowledged.
    #[prost(bytes = "vec", optional, tag = "11")]
    pub uuid: Option<Vec<u8>>,
}

/// All values of `TaskState`; an executor uses only some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum TaskState {
    Starting = 0,
    Running = 1,
    Finished = 2,
    Failed = 3,
    Killed = 4,
    Lost = 5,
    Staging = 6,
    Error = 7,
    Killing = 8,
    Dropped = 9,
    Unreachable = 10,
    Gone = 11,
    GoneByOperator = 12,
    Unknown = 13,
}

/// `TaskStatus.Source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Source {
    Master = 0,
    Agent = 1,
    Executor = 2,
}

/// All values of `TaskStatus.Reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Reason {
    CommandExecutorFailed = 0,
    ExecutorTerminated = 1,
    ExecutorUnregistered = 2,
    FrameworkRemoved = 3,
    GcError = 4,
    InvalidFrameworkId = 5,
    InvalidOffers = 6,
    MasterDisconnected = 7,
    ContainerLimitationMemory = 8,
    Reconciliation = 9,
    AgentDisconnected = 10,
    AgentRemoved = 11,
    AgentRestarted = 12,
    AgentUnknown = 13,
    TaskInvalid = 14,
    TaskUnauthorized = 15,
    TaskUnknown = 16,
    ContainerPreempted = 17,
    ResourcesUnknown = 18,
    ContainerLimitation = 19,
    ContainerLimitationDisk = 20,
    ContainerLaunchFailed = 21,
    ContainerUpdateFailed = 22,
    ExecutorRegistrationTimeout = 23,
    ExecutorReregistrationTimeout = 24,
    TaskGroupInvalid = 25,
    TaskGroupUnauthorized = 26,
    IoSwitchboardExited = 27,
    TaskCheckStatusUpdated = 28,
    TaskHealthCheckStatusUpdated = 29,
    TaskKilledDuringLaunch = 30,
    AgentRemovedByOperator = 31,
    AgentReregistered = 32,
    MaxCompletionTimeReached = 33,
    AgentDraining = 34,
}

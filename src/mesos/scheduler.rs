//! The part of the Mesos v1 protobuf schema that a scheduler needs, written by hand: calls and events of
//! `/api/v1/scheduler`, and the tasks, executors and offers in them.
//!
//! Field numbers come from `include/mesos/v1/scheduler/scheduler.proto` and `include/mesos/v1/mesos.proto`
//! of Mesos 1.11. Some types have the same name as a type in [`crate::messages`]: an executor reads fewer
//! fields than a scheduler writes, and an executor that knows only those is smaller. As there, unknown
//! fields are skipped, and text written by users is declared as bytes. Enumerations that a later Mesos may
//! extend are numbers in the messages; the enumerations here name the known values.

#![allow(
    missing_docs,
    reason = "the names and meanings are those of the .proto files"
)]

use prost::{Enumeration, Message};

use crate::messages::{DurationInfo, Environment, Id, KillPolicy};

// --- calls ---

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

// --- events ---

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

// --- tasks, executors, offers ---

#[derive(Clone, PartialEq, Message)]
pub struct FrameworkInfo {
    #[prost(string, required, tag = "1")]
    pub user: String,
    #[prost(string, required, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    pub id: Option<Id>,
    /// In seconds.
    #[prost(double, optional, tag = "4")]
    pub failover_timeout: Option<f64>,
    #[prost(bool, optional, tag = "5")]
    pub checkpoint: Option<bool>,
    /// Only without the capability MULTI_ROLE.
    #[prost(string, optional, tag = "6")]
    pub role: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub principal: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub webui_url: Option<String>,
    #[prost(message, repeated, tag = "10")]
    pub capabilities: Vec<Capability>,
    /// Only with the capability MULTI_ROLE.
    #[prost(string, repeated, tag = "12")]
    pub roles: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Capability {
    #[prost(enumeration = "CapabilityType", optional, tag = "1")]
    pub kind: Option<i32>,
}

/// `FrameworkInfo.Capability.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum CapabilityType {
    Unknown = 0,
    RevocableResources = 1,
    TaskKillingState = 2,
    GpuResources = 3,
    SharedResources = 4,
    PartitionAware = 5,
    MultiRole = 6,
    ReservationRefinement = 7,
    RegionAware = 8,
}

#[derive(Clone, PartialEq, Message)]
pub struct Offer {
    #[prost(message, required, tag = "1")]
    pub id: Id,
    #[prost(message, required, tag = "2")]
    pub framework_id: Id,
    #[prost(message, required, tag = "3")]
    pub agent_id: Id,
    #[prost(bytes = "vec", required, tag = "4")]
    pub hostname: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    pub resources: Vec<Resource>,
    #[prost(message, repeated, tag = "6")]
    pub executor_ids: Vec<Id>,
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<Attribute>,
    /// The address of the agent.
    #[prost(message, optional, tag = "8")]
    pub url: Option<Url>,
    /// Set if a maintenance is planned.
    #[prost(message, optional, tag = "9")]
    pub unavailability: Option<Unavailability>,
    #[prost(message, optional, tag = "10")]
    pub allocation_info: Option<AllocationInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Url {
    #[prost(bytes = "vec", required, tag = "1")]
    pub scheme: Vec<u8>,
    #[prost(message, required, tag = "2")]
    pub address: Address,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub path: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Address {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub hostname: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub ip: Option<Vec<u8>>,
    #[prost(int32, required, tag = "3")]
    pub port: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Unavailability {
    #[prost(message, required, tag = "1")]
    pub start: TimeInfo,
    #[prost(message, optional, tag = "2")]
    pub duration: Option<DurationInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeInfo {
    #[prost(int64, required, tag = "1")]
    pub nanoseconds: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(bytes = "vec", required, tag = "1")]
    pub name: Vec<u8>,
    /// A [`ValueType`].
    #[prost(int32, required, tag = "2")]
    pub kind: i32,
    #[prost(message, optional, tag = "3")]
    pub scalar: Option<Scalar>,
    #[prost(message, optional, tag = "4")]
    pub ranges: Option<Ranges>,
    #[prost(message, optional, tag = "5")]
    pub text: Option<Text>,
    #[prost(message, optional, tag = "6")]
    pub set: Option<Set>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// A [`ValueType`].
    #[prost(int32, required, tag = "2")]
    pub kind: i32,
    #[prost(message, optional, tag = "3")]
    pub scalar: Option<Scalar>,
    #[prost(message, optional, tag = "4")]
    pub ranges: Option<Ranges>,
    #[prost(message, optional, tag = "5")]
    pub set: Option<Set>,
    /// The old form of a static reservation. Default: `*`.
    #[prost(string, optional, tag = "6")]
    pub role: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub disk: Option<DiskInfo>,
    /// The old form of a dynamic reservation.
    #[prost(message, optional, tag = "8")]
    pub reservation: Option<ReservationInfo>,
    /// Set if the resource may be taken away again.
    #[prost(message, optional, tag = "9")]
    pub revocable: Option<Nothing>,
    #[prost(message, optional, tag = "10")]
    pub shared: Option<Nothing>,
    #[prost(message, optional, tag = "11")]
    pub allocation_info: Option<AllocationInfo>,
    #[prost(message, optional, tag = "12")]
    pub provider_id: Option<Id>,
    /// Since RESERVATION_REFINEMENT. The last one is in effect.
    #[prost(message, repeated, tag = "13")]
    pub reservations: Vec<ReservationInfo>,
}

/// `Value.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum ValueType {
    Scalar = 0,
    Ranges = 1,
    Set = 2,
    Text = 3,
}

#[derive(Clone, PartialEq, Message)]
pub struct Scalar {
    #[prost(double, required, tag = "1")]
    pub value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Ranges {
    #[prost(message, repeated, tag = "1")]
    pub range: Vec<Range>,
}

/// Includes both ends.
#[derive(Clone, PartialEq, Message)]
pub struct Range {
    #[prost(uint64, required, tag = "1")]
    pub begin: u64,
    #[prost(uint64, required, tag = "2")]
    pub end: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Set {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub item: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Text {
    #[prost(bytes = "vec", required, tag = "1")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AllocationInfo {
    #[prost(string, optional, tag = "1")]
    pub role: Option<String>,
}

/// `Resource.ReservationInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct ReservationInfo {
    #[prost(string, optional, tag = "1")]
    pub principal: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub labels: Option<Labels>,
    #[prost(string, optional, tag = "3")]
    pub role: Option<String>,
    /// UNKNOWN=0, STATIC=1, DYNAMIC=2.
    #[prost(int32, optional, tag = "4")]
    pub kind: Option<i32>,
}

/// `Resource.DiskInfo`: only whether there is a source of its own, or persistent data.
#[derive(Clone, PartialEq, Message)]
pub struct DiskInfo {
    #[prost(message, optional, tag = "1")]
    pub persistence: Option<Persistence>,
    #[prost(message, optional, tag = "3")]
    pub source: Option<DiskSource>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Persistence {
    #[prost(string, required, tag = "1")]
    pub id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct DiskSource {
    /// UNKNOWN=0, PATH=1, MOUNT=2, BLOCK=3, RAW=4.
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
}

/// A message without fields.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub struct Labels {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, required, tag = "1")]
    pub key: String,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// A task as a scheduler sends it, with either `executor` or `command`.
#[derive(Clone, PartialEq, Message)]
pub struct TaskInfo {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub task_id: Id,
    #[prost(message, required, tag = "3")]
    pub agent_id: Id,
    #[prost(message, repeated, tag = "4")]
    pub resources: Vec<Resource>,
    #[prost(message, optional, tag = "5")]
    pub executor: Option<ExecutorInfo>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub data: Option<Vec<u8>>,
    #[prost(message, optional, tag = "7")]
    pub command: Option<CommandInfo>,
    #[prost(message, optional, tag = "9")]
    pub container: Option<ContainerInfo>,
    #[prost(message, optional, tag = "10")]
    pub labels: Option<Labels>,
    #[prost(message, optional, tag = "12")]
    pub kill_policy: Option<KillPolicy>,
    #[prost(message, optional, tag = "14")]
    pub max_completion_time: Option<DurationInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExecutorInfo {
    #[prost(message, required, tag = "1")]
    pub executor_id: Id,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    pub resources: Vec<Resource>,
    #[prost(message, optional, tag = "7")]
    pub command: Option<CommandInfo>,
    #[prost(message, optional, tag = "8")]
    pub framework_id: Option<Id>,
    #[prost(string, optional, tag = "9")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub source: Option<String>,
    #[prost(message, optional, tag = "11")]
    pub container: Option<ContainerInfo>,
    #[prost(message, optional, tag = "13")]
    pub shutdown_grace_period: Option<DurationInfo>,
    #[prost(message, optional, tag = "14")]
    pub labels: Option<Labels>,
    #[prost(enumeration = "ExecutorType", optional, tag = "15")]
    pub kind: Option<i32>,
}

/// `ExecutorInfo.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum ExecutorType {
    Unknown = 0,
    Default = 1,
    Custom = 2,
}

#[derive(Clone, PartialEq, Message)]
pub struct CommandInfo {
    #[prost(message, repeated, tag = "1")]
    pub uris: Vec<Uri>,
    #[prost(message, optional, tag = "2")]
    pub environment: Option<Environment>,
    #[prost(string, optional, tag = "3")]
    pub value: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub user: Option<String>,
    /// Default: true.
    #[prost(bool, optional, tag = "6")]
    pub shell: Option<bool>,
    #[prost(string, repeated, tag = "7")]
    pub arguments: Vec<String>,
}

/// `CommandInfo.URI`.
#[derive(Clone, PartialEq, Message)]
pub struct Uri {
    #[prost(string, required, tag = "1")]
    pub value: String,
    #[prost(bool, optional, tag = "2")]
    pub executable: Option<bool>,
    /// Default: true.
    #[prost(bool, optional, tag = "3")]
    pub extract: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    pub cache: Option<bool>,
    #[prost(string, optional, tag = "5")]
    pub output_file: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerInfo {
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    #[prost(message, repeated, tag = "2")]
    pub volumes: Vec<Volume>,
    #[prost(message, optional, tag = "3")]
    pub docker: Option<DockerInfo>,
    #[prost(string, optional, tag = "4")]
    pub hostname: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub mesos: Option<MesosInfo>,
}

/// `ContainerInfo.Type.DOCKER`.
pub const CONTAINER_DOCKER: i32 = 1;

/// `ContainerInfo.Type.MESOS`.
pub const CONTAINER_MESOS: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct Volume {
    #[prost(string, required, tag = "1")]
    pub container_path: String,
    #[prost(string, optional, tag = "2")]
    pub host_path: Option<String>,
    #[prost(int32, required, tag = "3")]
    pub mode: i32,
}

/// `Volume.Mode.RW`.
pub const VOLUME_READ_WRITE: i32 = 1;

/// `Volume.Mode.RO`.
pub const VOLUME_READ_ONLY: i32 = 2;

/// `ContainerInfo.DockerInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct DockerInfo {
    #[prost(string, required, tag = "1")]
    pub image: String,
    /// HOST=1 (default), BRIDGE=2, NONE=3, USER=4.
    #[prost(int32, optional, tag = "2")]
    pub network: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    pub port_mappings: Vec<PortMapping>,
    #[prost(message, repeated, tag = "5")]
    pub parameters: Vec<Parameter>,
    #[prost(bool, optional, tag = "6")]
    pub force_pull_image: Option<bool>,
}

/// `ContainerInfo.DockerInfo.PortMapping`.
#[derive(Clone, PartialEq, Message)]
pub struct PortMapping {
    #[prost(uint32, required, tag = "1")]
    pub host_port: u32,
    #[prost(uint32, required, tag = "2")]
    pub container_port: u32,
    #[prost(string, optional, tag = "3")]
    pub protocol: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Parameter {
    #[prost(string, required, tag = "1")]
    pub key: String,
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// `ContainerInfo.MesosInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct MesosInfo {
    #[prost(message, optional, tag = "1")]
    pub image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Image {
    /// APPC=1, DOCKER=2.
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    #[prost(message, optional, tag = "3")]
    pub docker: Option<ImageDocker>,
}

/// `Image.Docker`.
#[derive(Clone, PartialEq, Message)]
pub struct ImageDocker {
    #[prost(string, required, tag = "1")]
    pub name: String,
}

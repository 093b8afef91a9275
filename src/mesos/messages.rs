//! The part of the Mesos v1 protobuf schema that an executor needs, written by hand.
//!
//! Field numbers come from `include/mesos/v1/mesos.proto` and `include/mesos/v1/executor/executor.proto` of
//! Mesos 1.11.0. The schema is the same since 1.8, and earlier versions are subsets of it. Unknown fields
//! are skipped. The agent does not check that proto2 strings are UTF-8, so text written by users is
//! declared as bytes here, which is encoded in the same way: an invalid byte in an environment value must
//! not make the whole event unreadable.

#![allow(
    missing_docs,
    reason = "the names and meanings are those of the .proto files"
)]

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Id {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct DurationInfo {
    #[prost(int64, required, tag = "1")]
    pub nanoseconds: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct KillPolicy {
    #[prost(message, optional, tag = "1")]
    pub grace_period: Option<DurationInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Variable {
    #[prost(bytes = "vec", required, tag = "1")]
    pub name: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub value: Option<Vec<u8>>,
    /// `Environment.Variable.Type`: UNKNOWN=0, VALUE=1 (default), SECRET=2.
    #[prost(int32, optional, tag = "3")]
    pub kind: Option<i32>,
}

/// `Environment.Variable.Type.SECRET`: resolved by the agent's isolator, never by an executor.
pub const VARIABLE_SECRET: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct Environment {
    #[prost(message, repeated, tag = "1")]
    pub variables: Vec<Variable>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CommandInfo {
    /// Not decoded: they were fetched before the executor started, or are not fetched at all.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub uris: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "2")]
    pub environment: Option<Environment>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub value: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub user: Option<Vec<u8>>,
    /// Default: true.
    #[prost(bool, optional, tag = "6")]
    pub shell: Option<bool>,
    /// With `shell` false: the complete argv including `argv[0]`.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub arguments: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AllocationInfo {
    #[prost(string, optional, tag = "1")]
    pub role: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, optional, tag = "11")]
    pub allocation_info: Option<AllocationInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExecutorInfo {
    #[prost(message, required, tag = "1")]
    pub executor_id: Id,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub data: Option<Vec<u8>>,
    #[prost(message, optional, tag = "7")]
    pub command: Option<CommandInfo>,
}

/// `CheckInfo.Type`, used also in `HealthCheck` and `CheckStatusInfo`. Fields contain it as a number, so
/// that a refusal can name a type of a later Mesos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum CheckType {
    Unknown = 0,
    Command = 1,
    Http = 2,
    Tcp = 3,
}

/// `NetworkInfo.Protocol`.
pub const PROTOCOL_IPV4: i32 = 1;

/// `NetworkInfo.Protocol`.
pub const PROTOCOL_IPV6: i32 = 2;

/// `HealthCheck.HTTPCheckInfo`, and `CheckInfo.Http`, which has only the first two fields.
#[derive(Clone, PartialEq, Message)]
pub struct HttpCheckInfo {
    #[prost(uint32, required, tag = "1")]
    pub port: u32,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub path: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub scheme: Option<Vec<u8>>,
    #[prost(uint32, repeated, packed = "false", tag = "4")]
    pub statuses: Vec<u32>,
    /// Default: IPv4.
    #[prost(int32, optional, tag = "5")]
    pub protocol: Option<i32>,
}

/// `HealthCheck.TCPCheckInfo`, and `CheckInfo.Tcp`, which has only the port.
#[derive(Clone, PartialEq, Message)]
pub struct TcpCheckInfo {
    #[prost(uint32, required, tag = "1")]
    pub port: u32,
    /// Default: IPv4.
    #[prost(int32, optional, tag = "2")]
    pub protocol: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct HealthCheck {
    #[prost(message, optional, tag = "1")]
    pub http: Option<HttpCheckInfo>,
    /// Default: 15.
    #[prost(double, optional, tag = "2")]
    pub delay_seconds: Option<f64>,
    /// Default: 10.
    #[prost(double, optional, tag = "3")]
    pub interval_seconds: Option<f64>,
    /// Default: 20; 0 means no timeout.
    #[prost(double, optional, tag = "4")]
    pub timeout_seconds: Option<f64>,
    /// Default: 3.
    #[prost(uint32, optional, tag = "5")]
    pub consecutive_failures: Option<u32>,
    /// Default: 10. It includes the delay.
    #[prost(double, optional, tag = "6")]
    pub grace_period_seconds: Option<f64>,
    #[prost(message, optional, tag = "7")]
    pub command: Option<CommandInfo>,
    /// A [`CheckType`].
    #[prost(int32, optional, tag = "8")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "9")]
    pub tcp: Option<TcpCheckInfo>,
}

/// `CheckInfo.Command`, where the command is one message deeper than in a [`HealthCheck`].
#[derive(Clone, PartialEq, Message)]
pub struct CheckCommand {
    #[prost(message, required, tag = "1")]
    pub command: CommandInfo,
}

#[derive(Clone, PartialEq, Message)]
pub struct CheckInfo {
    /// A [`CheckType`].
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub command: Option<CheckCommand>,
    #[prost(message, optional, tag = "3")]
    pub http: Option<HttpCheckInfo>,
    /// Default: 15.
    #[prost(double, optional, tag = "4")]
    pub delay_seconds: Option<f64>,
    /// Default: 10.
    #[prost(double, optional, tag = "5")]
    pub interval_seconds: Option<f64>,
    /// Default: 20; 0 means no timeout.
    #[prost(double, optional, tag = "6")]
    pub timeout_seconds: Option<f64>,
    #[prost(message, optional, tag = "7")]
    pub tcp: Option<TcpCheckInfo>,
}

/// `CheckStatusInfo.Command`.
#[derive(Clone, PartialEq, Message)]
pub struct CommandStatus {
    #[prost(int32, optional, tag = "1")]
    pub exit_code: Option<i32>,
}

/// `CheckStatusInfo.Http`.
#[derive(Clone, PartialEq, Message)]
pub struct HttpStatus {
    #[prost(uint32, optional, tag = "1")]
    pub status_code: Option<u32>,
}

/// `CheckStatusInfo.Tcp`.
#[derive(Clone, PartialEq, Message)]
pub struct TcpStatus {
    #[prost(bool, optional, tag = "1")]
    pub succeeded: Option<bool>,
}

/// The agent refuses this message if the member of its type is missing. The member is empty until there is
/// a result.
#[derive(Clone, PartialEq, Message)]
pub struct CheckStatusInfo {
    /// A [`CheckType`].
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub command: Option<CommandStatus>,
    #[prost(message, optional, tag = "3")]
    pub http: Option<HttpStatus>,
    #[prost(message, optional, tag = "4")]
    pub tcp: Option<TcpStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TaskInfo {
    #[prost(bytes = "vec", required, tag = "1")]
    pub name: Vec<u8>,
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
    #[prost(message, optional, tag = "8")]
    pub health_check: Option<HealthCheck>,
    #[prost(message, optional, tag = "9")]
    pub container: Option<ContainerInfo>,
    #[prost(message, optional, tag = "12")]
    pub kill_policy: Option<KillPolicy>,
    #[prost(message, optional, tag = "13")]
    pub check: Option<CheckInfo>,
    #[prost(message, optional, tag = "14")]
    pub max_completion_time: Option<DurationInfo>,
}

/// Only the fields that ask for an image.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerInfo {
    /// `DockerInfo`, which always has an image. Not decoded.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub docker: Option<Vec<u8>>,
    /// `MesosInfo`, which has no other field than an image. Not decoded.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub mesos: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TaskGroupInfo {
    #[prost(message, repeated, tag = "1")]
    pub tasks: Vec<TaskInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Capability {
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
}

/// `FrameworkInfo.Capability.Type.TASK_KILLING_STATE`.
pub const TASK_KILLING_STATE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct FrameworkInfo {
    #[prost(message, optional, tag = "3")]
    pub id: Option<Id>,
    #[prost(message, repeated, tag = "10")]
    pub capabilities: Vec<Capability>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AgentInfo {
    #[prost(bytes = "vec", required, tag = "1")]
    pub hostname: Vec<u8>,
    #[prost(message, optional, tag = "6")]
    pub id: Option<Id>,
}

/// `TaskState`. Zero is STARTING, so the field is always set explicitly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TaskState {
    Starting = 0,
    Running = 1,
    Finished = 2,
    Failed = 3,
    Killed = 4,
    Error = 7,
    Killing = 8,
}

/// `TaskStatus.Source.SOURCE_EXECUTOR`. The default, 0, means the master, and the agent refuses it.
pub const SOURCE_EXECUTOR: i32 = 2;

/// `TaskStatus.Reason`: the values that an executor sends. For a plain non-zero exit the field is left out,
/// because Cook shows an absent reason as "Command exited non-zero".
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Reason {
    /// Deprecated and never sent. A protobuf enumeration needs a zero.
    CommandExecutorFailed = 0,
    TaskInvalid = 14,
    TaskCheckStatusUpdated = 28,
    TaskHealthCheckStatusUpdated = 29,
    MaxCompletionTimeReached = 33,
}

#[derive(Clone, PartialEq, Message)]
pub struct TaskStatus {
    #[prost(message, required, tag = "1")]
    pub task_id: Id,
    #[prost(enumeration = "TaskState", required, tag = "2")]
    pub state: i32,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub data: Option<Vec<u8>>,
    #[prost(string, optional, tag = "4")]
    pub message: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub agent_id: Option<Id>,
    /// Seconds since the epoch.
    #[prost(double, optional, tag = "6")]
    pub timestamp: Option<f64>,
    #[prost(message, optional, tag = "7")]
    pub executor_id: Option<Id>,
    /// Absent until a health check has a result.
    #[prost(bool, optional, tag = "8")]
    pub healthy: Option<bool>,
    #[prost(int32, optional, tag = "9")]
    pub source: Option<i32>,
    #[prost(enumeration = "Reason", optional, tag = "10")]
    pub reason: Option<i32>,
    /// 16 raw bytes.
    #[prost(bytes = "vec", optional, tag = "11")]
    pub uuid: Option<Vec<u8>>,
    #[prost(message, optional, tag = "15")]
    pub check_status: Option<CheckStatusInfo>,
}

/// `executor.Event`. The values of [`EventType`] are not the field numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// An [`EventType`], as a number so that an event of a type of a later Mesos can be decoded.
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub subscribed: Option<Subscribed>,
    #[prost(message, optional, tag = "3")]
    pub acknowledged: Option<Acknowledged>,
    #[prost(message, optional, tag = "4")]
    pub launch: Option<Launch>,
    #[prost(message, optional, tag = "5")]
    pub kill: Option<Kill>,
    #[prost(message, optional, tag = "6")]
    pub message: Option<EventMessage>,
    #[prost(message, optional, tag = "7")]
    pub error: Option<Error>,
    #[prost(message, optional, tag = "8")]
    pub launch_group: Option<LaunchGroup>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum EventType {
    Unknown = 0,
    Subscribed = 1,
    Launch = 2,
    Kill = 3,
    Acknowledged = 4,
    Message = 5,
    Error = 6,
    Shutdown = 7,
    LaunchGroup = 8,
    Heartbeat = 9,
}

#[derive(Clone, PartialEq, Message)]
pub struct Subscribed {
    #[prost(message, required, tag = "1")]
    pub executor_info: ExecutorInfo,
    #[prost(message, required, tag = "2")]
    pub framework_info: FrameworkInfo,
    #[prost(message, required, tag = "3")]
    pub agent_info: AgentInfo,
    #[prost(message, optional, tag = "4")]
    pub container_id: Option<Id>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Launch {
    #[prost(message, required, tag = "1")]
    pub task: TaskInfo,
}

#[derive(Clone, PartialEq, Message)]
pub struct LaunchGroup {
    #[prost(message, required, tag = "1")]
    pub task_group: TaskGroupInfo,
}

#[derive(Clone, PartialEq, Message)]
pub struct Kill {
    #[prost(message, required, tag = "1")]
    pub task_id: Id,
    #[prost(message, optional, tag = "2")]
    pub kill_policy: Option<KillPolicy>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Acknowledged {
    #[prost(message, required, tag = "1")]
    pub task_id: Id,
    #[prost(bytes = "vec", required, tag = "2")]
    pub uuid: Vec<u8>,
}

/// `Event.Message`: `data` is field 1 here, and field 2 in a call.
#[derive(Clone, PartialEq, Message)]
pub struct EventMessage {
    #[prost(bytes = "vec", required, tag = "1")]
    pub data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Error {
    #[prost(bytes = "vec", required, tag = "1")]
    pub message: Vec<u8>,
}

/// `executor.Call`.
#[derive(Clone, PartialEq, Message)]
pub struct Call {
    #[prost(message, required, tag = "1")]
    pub executor_id: Id,
    #[prost(message, required, tag = "2")]
    pub framework_id: Id,
    #[prost(enumeration = "CallType", optional, tag = "3")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "4")]
    pub subscribe: Option<Subscribe>,
    #[prost(message, optional, tag = "5")]
    pub update: Option<Update>,
    #[prost(message, optional, tag = "6")]
    pub message: Option<CallMessage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum CallType {
    Unknown = 0,
    Subscribe = 1,
    Update = 2,
    Message = 3,
}

/// The fields of a `TaskInfo` in SUBSCRIBE that the agent reads. To write whole tasks, an executor would
/// need the code for everything in them.
#[derive(Clone, PartialEq, Message)]
pub struct TaskIdentity {
    #[prost(bytes = "vec", required, tag = "1")]
    pub name: Vec<u8>,
    #[prost(message, required, tag = "2")]
    pub task_id: Id,
    #[prost(message, required, tag = "3")]
    pub agent_id: Id,
}

#[derive(Clone, PartialEq, Message)]
pub struct Subscribe {
    #[prost(message, repeated, tag = "1")]
    pub unacknowledged_tasks: Vec<TaskIdentity>,
    #[prost(message, repeated, tag = "2")]
    pub unacknowledged_updates: Vec<Update>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Update {
    #[prost(message, required, tag = "1")]
    pub status: TaskStatus,
}

/// `Call.Message`: `data` is field 2 here, and field 1 in an event.
#[derive(Clone, PartialEq, Message)]
pub struct CallMessage {
    #[prost(bytes = "vec", required, tag = "2")]
    pub data: Vec<u8>,
}

// === impl TaskIdentity ===

impl From<TaskInfo> for TaskIdentity {
    fn from(task: TaskInfo) -> Self {
        Self {
            name: task.name,
            task_id: task.task_id,
            agent_id: task.agent_id,
        }
    }
}

// === impl Id ===

impl From<&str> for Id {
    fn from(value: &str) -> Self {
        Self {
            value: value.to_owned(),
        }
    }
}

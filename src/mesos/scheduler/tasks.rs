//! Frameworks, offers, resources, tasks and executors: the parts of calls and events (`mesos.proto`).

use prost::{Enumeration, Message};

use crate::messages::{DurationInfo, Environment, Id, KillPolicy};

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

#[derive(Clone, PartialEq, Message)]
pub struct Volume {
    #[prost(string, required, tag = "1")]
    pub container_path: String,
    #[prost(string, optional, tag = "2")]
    pub host_path: Option<String>,
    #[prost(int32, required, tag = "3")]
    pub mode: i32,
}

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

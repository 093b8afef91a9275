//! The records of the store, as protobuf messages. Field numbers never change; the number of a removed
//! field is not used again.
//!
//! A job has three kinds of records: its spec, written once; a head, written at every change, with
//! everything that a start needs to know about a completed job; and one record per instance.

use prost::Message;

use super::spec_record::{SpecRecord, of_spec, spec_of};
use crate::core::Archived;
use crate::core::effect::StoredGroup;
use crate::core::job::{
    Agent, End, Group, GroupName, Instance, InstanceState, Job, JobKey, JobStatus, Outcome, Place,
    Reason, Report, Retries, Verdict,
};
use crate::core::words::{
    self, Anchor, BootId, GroupId, InstanceId, JobId, JobName, Moment, Steady, TextError, Uptime,
    UserName, Uuid, Wall,
};
use std::sync::Arc;
use std::time::Duration;

/// A record that is invalid; the text names the invalid part.
#[derive(Debug)]
pub(super) struct InvalidRecord(pub &'static str);

impl From<TextError> for InvalidRecord {
    fn from(_: TextError) -> Self {
        Self("a text")
    }
}

impl From<prost::DecodeError> for InvalidRecord {
    fn from(_: prost::DecodeError) -> Self {
        Self("a message")
    }
}

#[derive(Clone, Copy, PartialEq, Message)]
struct MomentRecord {
    #[prost(uint64, tag = "1")]
    steady: u64,
    #[prost(uint64, tag = "2")]
    wall: u64,
}

#[derive(Clone, PartialEq, Message)]
struct HeadRecord {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    user: String,
    #[prost(message, optional, tag = "3")]
    submitted: Option<MomentRecord>,
    #[prost(enumeration = "StatusRecord", tag = "4")]
    status: i32,
    /// When it was completed.
    #[prost(message, optional, tag = "5")]
    at: Option<MomentRecord>,
    #[prost(uint32, tag = "6")]
    max_retries: u32,
    #[prost(bytes = "vec", repeated, tag = "7")]
    instances: Vec<Vec<u8>>,
    /// Name and group are copies from the spec, because a start does not read the specs of completed
    /// jobs.
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    group: Option<Vec<u8>>,
    /// Whether the newest instance is unfinished.
    #[prost(bool, tag = "10")]
    is_live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum StatusRecord {
    Waiting = 0,
    Running = 1,
    Success = 2,
    Failed = 3,
    Killed = 4,
}

#[derive(Clone, PartialEq, Message)]
struct InstanceRecord {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    agent: String,
    #[prost(string, tag = "3")]
    hostname: String,
    #[prost(string, optional, tag = "4")]
    files_at: Option<String>,
    #[prost(uint32, repeated, tag = "5")]
    ports: Vec<u32>,
    #[prost(message, optional, tag = "6")]
    created: Option<MomentRecord>,
    #[prost(message, optional, tag = "7")]
    began: Option<MomentRecord>,
    #[prost(enumeration = "StateRecord", tag = "8")]
    state: i32,
    #[prost(message, optional, tag = "9")]
    ended: Option<MomentRecord>,
    /// The reason of its failure, as Cook's code.
    #[prost(uint32, tag = "10")]
    failure: u32,
    /// The reason of its kill, as Cook's code; 0 if it was not killed.
    #[prost(uint32, tag = "11")]
    kill: u32,
    #[prost(bool, tag = "12")]
    is_cancelled: bool,
    #[prost(uint64, optional, tag = "13")]
    unreachable_since: Option<u64>,
    #[prost(message, optional, tag = "14")]
    report: Option<ReportRecord>,
    #[prost(string, optional, tag = "15")]
    sandbox: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum StateRecord {
    Unknown = 0,
    Running = 1,
    Success = 2,
    Failed = 3,
}

#[derive(Clone, PartialEq, Message)]
struct ReportRecord {
    #[prost(sint32, optional, tag = "1")]
    exit_code: Option<i32>,
    #[prost(message, optional, tag = "2")]
    before: Option<CodesRecord>,
    #[prost(message, optional, tag = "3")]
    after: Option<CodesRecord>,
    #[prost(message, optional, tag = "4")]
    default_before: Option<CodesRecord>,
    #[prost(message, optional, tag = "5")]
    default_after: Option<CodesRecord>,
    #[prost(uint32, optional, tag = "6")]
    progress: Option<u32>,
    #[prost(string, optional, tag = "7")]
    message: Option<String>,
}

/// Exit codes by index. Protobuf lists have no empty elements, so the missing codes are listed
/// separately.
#[derive(Clone, PartialEq, Message)]
struct CodesRecord {
    #[prost(sint32, repeated, tag = "1")]
    codes: Vec<i32>,
    /// The indexes without a code; the list has 0 there.
    #[prost(uint32, repeated, tag = "2")]
    empty: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct GroupRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    created: Option<MomentRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct AnchorRecord {
    #[prost(bytes = "vec", tag = "1")]
    boot: Vec<u8>,
    #[prost(uint64, tag = "2")]
    uptime_millis: u64,
    #[prost(message, optional, tag = "3")]
    moment: Option<MomentRecord>,
}

/// A decoded head.
pub(super) enum Head {
    /// Of a completed job: everything that a start needs.
    Archived(Archived),
    /// Of another job: its spec and instances have to be read too.
    Resident(OpenHead),
}

/// The head of a job.
pub(super) struct OpenHead {
    id: JobId,
    user: UserName,
    submitted: Moment,
    status: JobStatus,
    max_retries: Retries,
    /// The number of instances.
    pub instances: usize,
}

// --- encoding ---

pub(super) fn encode_spec(job: &Job) -> Vec<u8> {
    of_spec(&job.spec).encode_to_vec()
}

pub(super) fn encode_head(job: &Job) -> Vec<u8> {
    let (status, at) = match job.status {
        JobStatus::Waiting => (StatusRecord::Waiting, None),
        JobStatus::Running => (StatusRecord::Running, None),
        JobStatus::Completed {
            at,
            verdict: Verdict::Success,
        } => (StatusRecord::Success, Some(at)),
        JobStatus::Completed {
            at,
            verdict: Verdict::Failed,
        } => (StatusRecord::Failed, Some(at)),
        JobStatus::Completed {
            at,
            verdict: Verdict::Killed,
        } => (StatusRecord::Killed, Some(at)),
    };
    let record = HeadRecord {
        id: job.id.0.as_bytes().to_vec(),
        user: job.user.as_str().to_owned(),
        submitted: Some(of_moment(job.submitted)),
        status: status.into(),
        at: at.map(of_moment),
        max_retries: job.max_retries.get(),
        instances: job
            .instances
            .iter()
            .map(|instance| instance.id.0.as_bytes().to_vec())
            .collect(),
        name: job.spec.name.as_str().to_owned(),
        group: job.spec.group.map(|group| group.0.as_bytes().to_vec()),
        is_live: job.live().is_some(),
    };
    record.encode_to_vec()
}

pub(super) fn encode_instance(instance: &Instance) -> Vec<u8> {
    let (state, ended, failure) = match instance.state {
        InstanceState::Unknown => (StateRecord::Unknown, None, 0),
        InstanceState::Running => (StateRecord::Running, None, 0),
        InstanceState::Ended(End {
            at,
            outcome: Outcome::Success,
        }) => (StateRecord::Success, Some(at), 0),
        InstanceState::Ended(End {
            at,
            outcome: Outcome::Failed(reason),
        }) => (StateRecord::Failed, Some(at), reason.code()),
    };
    let record = InstanceRecord {
        id: instance.id.0.as_bytes().to_vec(),
        agent: instance.place.agent.0.to_string(),
        hostname: instance.place.hostname.to_string(),
        files_at: instance.place.files_at.as_deref().map(str::to_owned),
        ports: instance.ports.iter().copied().map(u32::from).collect(),
        created: Some(of_moment(instance.created)),
        began: instance.began.map(of_moment),
        state: state.into(),
        ended: ended.map(of_moment),
        failure,
        kill: instance.kill.map_or(0, Reason::code),
        is_cancelled: instance.is_cancelled,
        unreachable_since: instance.unreachable_since.map(|since| since.0),
        report: (instance.report != Report::default()).then(|| of_report(&instance.report)),
        sandbox: instance.sandbox.as_deref().map(str::to_owned),
    };
    record.encode_to_vec()
}

pub(super) fn encode_group(stored: &StoredGroup) -> Vec<u8> {
    let name = stored.group.name.as_str().to_owned();
    GroupRecord {
        name,
        created: Some(of_moment(stored.created)),
    }
    .encode_to_vec()
}

pub(super) fn encode_anchor(anchor: &Anchor) -> Vec<u8> {
    let record = AnchorRecord {
        boot: anchor.boot.0.to_vec(),
        uptime_millis: u64::try_from(anchor.uptime.0.as_millis()).unwrap_or(u64::MAX),
        moment: Some(of_moment(anchor.moment)),
    };
    record.encode_to_vec()
}

fn of_moment(moment: Moment) -> MomentRecord {
    MomentRecord {
        steady: moment.steady.0,
        wall: moment.wall.0,
    }
}

fn of_report(report: &Report) -> ReportRecord {
    ReportRecord {
        exit_code: report.exit_code,
        before: of_codes(&report.before_codes),
        after: of_codes(&report.after_codes),
        default_before: of_codes(&report.default_before_codes),
        default_after: of_codes(&report.default_after_codes),
        progress: report.progress.map(u32::from),
        message: report
            .message
            .as_ref()
            .map(|message| message.as_str().to_owned()),
    }
}

fn of_codes(codes: &[Option<i32>]) -> Option<CodesRecord> {
    let empty = (0_u32..)
        .zip(codes)
        .filter(|(_, code)| code.is_none())
        .map(|(index, _)| index);
    let record = CodesRecord {
        codes: codes.iter().map(|code| code.unwrap_or(0)).collect(),
        empty: empty.collect(),
    };
    (!codes.is_empty()).then_some(record)
}

// --- decoding ---

pub(super) fn decode_head(key: JobKey, bytes: &[u8]) -> Result<Head, InvalidRecord> {
    let record = HeadRecord::decode(bytes)?;
    let status = record.status();
    let at = record.at.map(moment);
    let id = JobId(uuid(&record.id)?);
    let user = UserName::new(record.user)?;
    let submitted = record
        .submitted
        .map(moment)
        .ok_or(InvalidRecord("the time of a job"))?;
    let completed = |verdict| {
        at.ok_or(InvalidRecord("the end of a job"))
            .map(|at| (at, verdict))
    };
    let end = match status {
        StatusRecord::Waiting | StatusRecord::Running => None,
        StatusRecord::Success => Some(completed(Verdict::Success)?),
        StatusRecord::Failed => Some(completed(Verdict::Failed)?),
        StatusRecord::Killed => Some(completed(Verdict::Killed)?),
    };
    if let Some((at, verdict)) = end
        && !record.is_live
    {
        let instances = record.instances.iter().map(|id| uuid(id).map(InstanceId));
        return Ok(Head::Archived(Archived {
            key,
            id,
            user,
            name: JobName::new(record.name)?,
            group: record
                .group
                .map(|group| uuid(&group).map(GroupId))
                .transpose()?,
            submitted,
            at,
            verdict,
            instances: instances.collect::<Result<_, _>>()?,
        }));
    }
    let status = match (status, end) {
        (StatusRecord::Waiting, _) => JobStatus::Waiting,
        (_, None) => JobStatus::Running,
        (_, Some((at, verdict))) => JobStatus::Completed { at, verdict },
    };
    let max_retries =
        Retries::new(record.max_retries).ok_or(InvalidRecord("a number of retries"))?;
    let instances = record.instances.len();
    Ok(Head::Resident(OpenHead {
        id,
        user,
        submitted,
        status,
        max_retries,
        instances,
    }))
}

/// Like [`decode_head`], but returns the head of a completed job too.
pub(super) fn decode_any_head(key: JobKey, bytes: &[u8]) -> Result<OpenHead, InvalidRecord> {
    Ok(match decode_head(key, bytes)? {
        Head::Resident(head) => head,
        Head::Archived(archived) => {
            let max_retries = HeadRecord::decode(bytes)?.max_retries;
            OpenHead {
                id: archived.id,
                user: archived.user,
                submitted: archived.submitted,
                status: JobStatus::Completed {
                    at: archived.at,
                    verdict: archived.verdict,
                },
                max_retries: Retries::new(max_retries)
                    .ok_or(InvalidRecord("a number of retries"))?,
                instances: archived.instances.len(),
            }
        }
    })
}

impl OpenHead {
    pub(super) fn into_job(
        self,
        key: JobKey,
        spec: &[u8],
        instances: Vec<Arc<Instance>>,
    ) -> Result<Job, InvalidRecord> {
        if instances.len() != self.instances {
            return Err(InvalidRecord("the number of instances of a job"));
        }
        Ok(Job {
            key,
            id: self.id,
            user: self.user,
            submitted: self.submitted,
            spec: Arc::new(spec_of(SpecRecord::decode(spec)?)?),
            status: self.status,
            max_retries: self.max_retries,
            instances,
        })
    }
}

pub(super) fn decode_instance(bytes: &[u8]) -> Result<Instance, InvalidRecord> {
    let record = InstanceRecord::decode(bytes)?;
    let reason = |code| Reason::from_code(code).unwrap_or(Reason::Unknown);
    let ended = record.ended.map(moment);
    let end = |outcome| {
        let at = ended.ok_or(InvalidRecord("the end of an instance"))?;
        Ok::<_, InvalidRecord>(InstanceState::Ended(End { at, outcome }))
    };
    let state = match record.state() {
        StateRecord::Unknown => InstanceState::Unknown,
        StateRecord::Running => InstanceState::Running,
        StateRecord::Success => end(Outcome::Success)?,
        StateRecord::Failed => end(Outcome::Failed(reason(record.failure)))?,
    };
    let ports = record
        .ports
        .into_iter()
        .map(u16::try_from)
        .collect::<Result<_, _>>();
    Ok(Instance {
        id: InstanceId(uuid(&record.id)?),
        place: Arc::new(Place {
            agent: Agent(record.agent.into()),
            hostname: record.hostname.into(),
            files_at: record.files_at.map(Into::into),
        }),
        ports: ports.map_err(|_| InvalidRecord("a port"))?,
        created: record
            .created
            .map(moment)
            .ok_or(InvalidRecord("the start of an instance"))?,
        began: record.began.map(moment),
        state,
        kill: (record.kill != 0).then(|| reason(record.kill)),
        is_cancelled: record.is_cancelled,
        unreachable_since: record.unreachable_since.map(Steady),
        report: record.report.map(report).unwrap_or_default(),
        sandbox: record.sandbox.map(Into::into),
    })
}

pub(super) fn decode_group(id: Uuid, bytes: &[u8]) -> Result<StoredGroup, InvalidRecord> {
    let record = GroupRecord::decode(bytes)?;
    let group = Group {
        id: GroupId(id),
        name: GroupName::new(record.name)?,
    };
    Ok(StoredGroup {
        group,
        created: record.created.map(moment).unwrap_or_default(),
    })
}

pub(super) fn decode_anchor(bytes: &[u8]) -> Result<Anchor, InvalidRecord> {
    let record = AnchorRecord::decode(bytes)?;
    let boot = record
        .boot
        .try_into()
        .map_err(|_| InvalidRecord("a boot id"))?;
    Ok(Anchor {
        boot: BootId(boot),
        uptime: Uptime(Duration::from_millis(record.uptime_millis)),
        moment: record
            .moment
            .map(moment)
            .ok_or(InvalidRecord("the time of a commit"))?,
    })
}

pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, InvalidRecord> {
    bytes
        .try_into()
        .map(Uuid::from_bytes)
        .map_err(|_| InvalidRecord("a uuid"))
}

fn moment(record: MomentRecord) -> Moment {
    Moment {
        steady: Steady(record.steady),
        wall: Wall(record.wall),
    }
}

fn report(record: ReportRecord) -> Report {
    Report {
        exit_code: record.exit_code,
        before_codes: codes(record.before),
        after_codes: codes(record.after),
        default_before_codes: codes(record.default_before),
        default_after_codes: codes(record.default_after),
        progress: record
            .progress
            .and_then(|progress| u8::try_from(progress).ok()),
        message: record.message.map(|message| words::Message::cut(&message)),
    }
}

fn codes(record: Option<CodesRecord>) -> Vec<Option<i32>> {
    let Some(record) = record else {
        return Vec::new();
    };
    let mut codes: Vec<_> = record.codes.into_iter().map(Some).collect();
    for index in record.empty {
        if let Some(code) = codes.get_mut(index as usize) {
            *code = None;
        }
    }
    codes
}

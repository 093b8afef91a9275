//! The checks that a real agent makes for each call (`src/common/validation.cpp` and `src/slave/http.cpp`
//! of Mesos 1.11.0), and the texts of its refusals.

use crate::http::Request;
use cook_mesos::messages::{Call, CallType, CheckStatusInfo, CheckType, TaskStatus};

/// The media type of every call and of the event stream.
const PROTOBUF: &str = "application/x-protobuf";

/// The length of a uuid. Another length in a SUBSCRIBE aborts a real agent.
const UUID_LENGTH: usize = 16;

/// `TaskState.TASK_STAGING`, which an executor must not send.
const TASK_STAGING: i32 = 6;

/// `TaskStatus.Source.SOURCE_EXECUTOR`.
const SOURCE_EXECUTOR: i32 = 2;

/// A call that the agent refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status of the response.
    pub status: u16,
    /// The text of the response.
    pub text: String,
}

// === impl Refusal ===

impl Refusal {
    /// A refusal with this status and text.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }
}

/// Checks method and content type, before the body is decoded.
///
/// # Errors
///
/// The agent's response.
pub fn head(request: &Request) -> Result<(), Refusal> {
    if request.method != "POST" {
        let text = format!("Expecting 'POST', received '{}'", request.method);
        return Err(Refusal::new(405, text));
    }
    match request.header("content-type") {
        Some(PROTOBUF) => Ok(()),
        // A real agent accepts JSON too; the executor under test always sends protobuf.
        Some(other) => Err(Refusal::new(415, format!("Content-Type is {other:?}"))),
        None => Err(Refusal::new(400, "Expecting 'Content-Type' to be present")),
    }
}

/// Checks that the `Accept` header of a SUBSCRIBE is protobuf. Without this header, or with `*/*`, a real agent
/// would send the events as JSON, which the executor cannot read.
///
/// # Errors
///
/// The agent's response, with status 406.
pub fn accept(request: &Request) -> Result<(), Refusal> {
    match request.header("accept") {
        Some(PROTOBUF) => Ok(()),
        other => Err(Refusal::new(406, format!("Accept is {other:?}"))),
    }
}

/// Checks a decoded call.
///
/// # Errors
///
/// The agent's response.
pub fn call(call: &Call) -> Result<CallType, Refusal> {
    let bad = |text: &str| Err(Refusal::new(400, text));
    let kind = call.kind.unwrap_or_default();
    match CallType::try_from(kind) {
        Ok(CallType::Subscribe) => {
            let Some(subscribe) = &call.subscribe else {
                return bad("Expecting 'subscribe' to be present");
            };
            for update in &subscribe.unacknowledged_updates {
                // A real agent does not check this here, but it would crash.
                uuid(&update.status)?;
            }
            Ok(CallType::Subscribe)
        }
        Ok(CallType::Update) => {
            let Some(update) = &call.update else {
                return bad("Expecting 'update' to be present");
            };
            status(&update.status, call)?;
            Ok(CallType::Update)
        }
        Ok(CallType::Message) if call.message.is_none() => bad("Expecting 'message' to be present"),
        Ok(CallType::Message) => Ok(CallType::Message),
        Ok(CallType::Unknown) | Err(_) => Err(Refusal::new(
            501,
            format!("call type {kind} is not implemented"),
        )),
    }
}

/// The name of a call, for people.
pub fn name(kind: CallType) -> &'static str {
    match kind {
        CallType::Unknown => "UNKNOWN",
        CallType::Subscribe => "SUBSCRIBE",
        CallType::Update => "UPDATE",
        CallType::Message => "MESSAGE",
    }
}

fn uuid(status: &TaskStatus) -> Result<(), Refusal> {
    let length = status.uuid.as_ref().map(Vec::len);
    match length {
        Some(UUID_LENGTH) => Ok(()),
        _ => Err(Refusal::new(
            400,
            format!("Expecting 'uuid' of {UUID_LENGTH} bytes, got {length:?}"),
        )),
    }
}

fn status(status: &TaskStatus, call: &Call) -> Result<(), Refusal> {
    uuid(status)?;
    let bad = |text: String| Err(Refusal::new(400, text));
    match &status.executor_id {
        Some(id) if *id != call.executor_id => bad(format!(
            "ExecutorID in Call: {} does not match ExecutorID in TaskStatus: {}",
            call.executor_id.value, id.value
        )),
        _ if status.source != Some(SOURCE_EXECUTOR) => bad(format!(
            "Received Call from executor {} with source {:?}",
            call.executor_id.value, status.source
        )),
        _ if status.state == TASK_STAGING => bad("Received TASK_STAGING".to_owned()),
        _ if cook_mesos::messages::TaskState::try_from(status.state).is_err() => bad(format!(
            "state {} is not one an executor sends",
            status.state
        )),
        _ if !status.check_status.as_ref().is_none_or(is_consistent) => bad(format!(
            "check_status without a type, or not with the member of its type alone: {:?}",
            status.check_status
        )),
        _ => Ok(()),
    }
}

/// Whether exactly the member of the type is set (`validation.cpp`, lines 502 to 536). A real agent ignores
/// other members.
fn is_consistent(info: &CheckStatusInfo) -> bool {
    let members = (
        info.command.is_some(),
        info.http.is_some(),
        info.tcp.is_some(),
    );
    let wanted = match CheckType::try_from(info.kind.unwrap_or_default()) {
        Ok(CheckType::Command) => (true, false, false),
        Ok(CheckType::Http) => (false, true, false),
        Ok(CheckType::Tcp) => (false, false, true),
        Ok(CheckType::Unknown) | Err(_) => return false,
    };
    members == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use cook_mesos::messages::{Subscribe, TaskState, TcpStatus, Update};

    fn update(change: impl FnOnce(&mut TaskStatus)) -> Call {
        let mut status = TaskStatus {
            task_id: "task".into(),
            state: TaskState::Running as i32,
            executor_id: Some("executor".into()),
            source: Some(SOURCE_EXECUTOR),
            uuid: Some(vec![7; UUID_LENGTH]),
            ..TaskStatus::default()
        };
        change(&mut status);
        Call {
            executor_id: "executor".into(),
            framework_id: "framework".into(),
            kind: Some(CallType::Update as i32),
            update: Some(Update { status }),
            ..Call::default()
        }
    }

    #[test]
    fn a_valid_update_is_accepted_and_each_fault_refused() {
        assert_eq!(call(&update(|_| {})), Ok(CallType::Update));
        let empty = |kind: Option<CheckType>| CheckStatusInfo {
            kind: kind.map(|kind| kind as i32),
            tcp: Some(TcpStatus::default()),
            ..CheckStatusInfo::default()
        };
        let tcp = update(|status| status.check_status = Some(empty(Some(CheckType::Tcp))));
        assert_eq!(call(&tcp), Ok(CallType::Update));
        for wrong in [None, Some(CheckType::Unknown), Some(CheckType::Http)] {
            let wrong = update(|status| status.check_status = Some(empty(wrong)));
            assert_eq!(call(&wrong).unwrap_err().status, 400);
        }
        let faults: [fn(&mut TaskStatus); 6] = [
            |status| status.uuid = None,
            |status| status.uuid = Some(vec![7; 15]),
            |status| status.source = None,
            |status| status.source = Some(0),
            |status| status.state = TASK_STAGING,
            |status| status.executor_id = Some("other".into()),
        ];
        for fault in faults {
            assert_eq!(call(&update(fault)).unwrap_err().status, 400);
        }
    }

    #[test]
    fn a_call_needs_its_contents_and_a_known_type() {
        let mut bare = update(|_| {});
        bare.update = None;
        assert_eq!(call(&bare).unwrap_err().status, 400);
        bare.kind = Some(CallType::Subscribe as i32);
        assert_eq!(call(&bare).unwrap_err().status, 400);
        bare.subscribe = Some(Subscribe::default());
        assert_eq!(call(&bare), Ok(CallType::Subscribe));
        bare.kind = Some(99);
        assert_eq!(call(&bare).unwrap_err().status, 501);
    }
}

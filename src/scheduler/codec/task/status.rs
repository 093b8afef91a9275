//! What an executor reports: states, reasons, the `data` of updates, framework messages.

use serde::Deserialize;

use crate::core::backend::{InstanceMessage, TaskState};
use crate::core::job::{Reason, Report};
use crate::core::words::Message;

/// The `data` of an update. Values that cannot be read are ignored, so that the update itself is never
/// lost.
#[derive(Deserialize)]
#[serde(default)]
struct Data {
    exit_code: Lenient<i32>,
    before_codes: Lenient<Vec<Option<i32>>>,
    after_codes: Lenient<Vec<Option<i32>>>,
    default_before_codes: Lenient<Vec<Option<i32>>>,
    default_after_codes: Lenient<Vec<Option<i32>>>,
    progress: Lenient<f64>,
    message: Lenient<String>,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            exit_code: Lenient(None),
            before_codes: Lenient(None),
            after_codes: Lenient(None),
            default_before_codes: Lenient(None),
            default_after_codes: Lenient(None),
            progress: Lenient(None),
            message: Lenient(None),
        }
    }
}

/// A value; `None` if it has the wrong type.
struct Lenient<T>(Option<T>);

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(serde_json::from_value(value).ok()))
    }
}

/// A framework message in Cook's format.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FrameworkMessage {
    #[serde(rename = "type")]
    kind: Option<String>,
    sandbox_directory: Option<String>,
    progress_sequence: Option<u64>,
    progress_percent: Option<f64>,
    progress_message: Option<String>,
    exit_code: Option<i32>,
}

/// Reads the `data` of an update; `None` if it is not in our executor's format.
pub fn report(data: &[u8]) -> Option<Report> {
    // serde would also accept an array for a struct.
    let is_object = data.trim_ascii_start().starts_with(b"{");
    let data: Data = serde_json::from_slice(data).ok().filter(|_| is_object)?;
    Some(Report {
        exit_code: data.exit_code.0,
        before_codes: data.before_codes.0.unwrap_or_default(),
        after_codes: data.after_codes.0.unwrap_or_default(),
        default_before_codes: data.default_before_codes.0.unwrap_or_default(),
        default_after_codes: data.default_after_codes.0.unwrap_or_default(),
        progress: data.progress.0.and_then(percent),
        message: data.message.0.as_deref().map(Message::cut),
    })
}

/// Reads a framework message; `None` if it is not one that Cook knows.
pub fn framework_message(bytes: &[u8]) -> Option<InstanceMessage> {
    let message: FrameworkMessage = serde_json::from_slice(bytes).ok()?;
    if message.kind.as_deref() == Some("directory") {
        return message
            .sandbox_directory
            .map(|path| InstanceMessage::Sandbox(path.into()));
    }
    if let Some(sequence) = message.progress_sequence {
        return Some(InstanceMessage::Progress {
            sequence,
            percent: message.progress_percent.and_then(percent),
            message: message.progress_message.as_deref().map(Message::cut),
        });
    }
    message.exit_code.map(InstanceMessage::ExitCode)
}

/// Percent, rounded down as in Cook.
fn percent(number: f64) -> Option<u8> {
    (0.0..=100.0).contains(&number).then_some(number as u8)
}

/// The state with this number; `None` for a number of a newer Mesos.
pub fn state(number: i32) -> Option<TaskState> {
    Some(match number {
        0 => TaskState::Starting,
        1 => TaskState::Running,
        2 => TaskState::Finished,
        3 => TaskState::Failed,
        4 => TaskState::Killed,
        5 => TaskState::Lost,
        6 => TaskState::Staging,
        7 => TaskState::Error,
        8 => TaskState::Killing,
        9 => TaskState::Dropped,
        10 => TaskState::Unreachable,
        11 => TaskState::Gone,
        12 => TaskState::GoneByOperator,
        13 => TaskState::Unknown,
        _ => return None,
    })
}

/// Cook's reason for the reason with this number.
pub fn reason(number: i32) -> Reason {
    match number {
        // Cook uses this for updates without a reason.
        0 => Reason::NonZeroExit,
        1 => Reason::ExecutorTerminated,
        2 => Reason::ExecutorUnregistered,
        3 => Reason::FrameworkRemoved,
        4 => Reason::AgentGcError,
        5 => Reason::InvalidFrameworkId,
        6 => Reason::InvalidOffer,
        7 => Reason::MasterDisconnected,
        8 => Reason::ContainerMemoryLimit,
        // The master sends the state of a task, not why it is so: it was asked, or an agent that was
        // unreachable is back.
        9 | 32 => Reason::Reconciliation,
        10 => Reason::AgentDisconnected,
        // 34: an operator drains the agent.
        11 | 31 | 34 => Reason::AgentRemoved,
        12 => Reason::AgentRestarted,
        13 => Reason::AgentUnknown,
        14 | 25 => Reason::TaskInvalid,
        15 | 26 => Reason::TaskUnauthorized,
        16 => Reason::TaskUnknown,
        17 => Reason::ContainerPreempted,
        18 => Reason::ResourcesUnknown,
        19 => Reason::ContainerLimitation,
        20 => Reason::ContainerDiskLimit,
        21 => Reason::ContainerLaunchFailed,
        22 => Reason::ContainerUpdateFailed,
        23 => Reason::RegistrationTimeout,
        24 => Reason::ReregistrationTimeout,
        30 => Reason::KilledDuringLaunch,
        33 => Reason::MaxRuntimeExceeded,
        _ => Reason::UnknownMesos,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_an_update_is_read() {
        let read = report(
            br#"{"exit_code":-9,"before_codes":[0,null,1],"after_codes":[],"default_before_codes":[0],"progress":99.9,"message":"m","new":{}}"#,
        );
        let wanted = Report {
            exit_code: Some(-9),
            before_codes: vec![Some(0), None, Some(1)],
            default_before_codes: vec![Some(0)],
            progress: Some(99),
            message: Some(Message::cut("m")),
            ..Report::default()
        };
        assert_eq!(read, Some(wanted));
    }

    #[test]
    fn one_wrong_type_does_not_lose_the_rest() {
        let read = report(br#"{"exit_code":3,"before_codes":"x","progress":"many","message":5}"#);
        let wanted = Report {
            exit_code: Some(3),
            ..Report::default()
        };
        assert_eq!(read, Some(wanted));
        for none in [&b""[..], b"x", b"[]", b"5"] {
            assert_eq!(report(none), None);
        }
    }

    #[test]
    fn cooks_messages_are_read() {
        let sandbox = br#"{"sandbox-directory":"/s","task-id":"T","type":"directory"}"#;
        assert_eq!(
            framework_message(sandbox),
            Some(InstanceMessage::Sandbox("/s".into()))
        );
        assert_eq!(
            framework_message(br#"{"exit-code":3,"task-id":"T"}"#),
            Some(InstanceMessage::ExitCode(3))
        );
        let progress = br#"{"progress-message":"half","progress-percent":54,"progress-sequence":2,"task-id":"T"}"#;
        let wanted = InstanceMessage::Progress {
            sequence: 2,
            percent: Some(54),
            message: Some(Message::cut("half")),
        };
        assert_eq!(framework_message(progress), Some(wanted));
        assert_eq!(framework_message(br#"{"type":"heartbeat"}"#), None);
        assert_eq!(framework_message(b"\xff"), None);
    }

    #[test]
    fn every_state_has_its_own_number() {
        let states: Vec<_> = (0..14).filter_map(state).collect();
        assert_eq!(states.len(), 14);
        assert_eq!(state(14), None);
        assert_eq!(reason(33), Reason::MaxRuntimeExceeded);
        assert_eq!(
            reason(32),
            reason(9),
            "sent by the master, like a reconciliation"
        );
        assert_eq!(reason(99), Reason::UnknownMesos);
    }
}

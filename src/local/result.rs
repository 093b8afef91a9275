//! The exit code for the result of a run.

use cook_agent::notice::Cause;
use cook_mesos::messages::{TaskState, TaskStatus};
use serde_json::Value;

use crate::UNUSABLE;
use crate::show::data_of;

/// The exit code for a killed task: that of a shell whose command got SIGINT.
const INTERRUPTED: u8 = 130;

/// The exit code for a terminal status; `None` for any other status.
pub fn of_status(status: &TaskStatus) -> Option<u8> {
    match status.state() {
        TaskState::Finished => Some(0),
        TaskState::Killed => Some(INTERRUPTED),
        TaskState::Error => Some(UNUSABLE),
        TaskState::Failed => {
            let data = data_of(status);
            let code = data.and_then(|data| data.get("exit_code").and_then(Value::as_i64));
            Some(match code {
                // A guard failed.
                None | Some(0) => 1,
                // A signal: the same code as in a shell.
                Some(code) if code < 0 => {
                    u8::try_from(code.saturating_neg().saturating_add(128)).unwrap_or(1)
                }
                Some(code) => u8::try_from(code).unwrap_or(1),
            })
        }
        TaskState::Starting | TaskState::Running | TaskState::Killing => None,
    }
}

/// The exit code for a task whose executor sent no terminal update.
pub fn of_loss(cause: &Cause) -> u8 {
    match cause {
        Cause::LaunchFailed(_) => UNUSABLE,
        Cause::KilledDuringLaunch => INTERRUPTED,
        Cause::NotSubscribed | Cause::Terminated | Cause::MemoryLimit | Cause::Destroyed => 1,
    }
}

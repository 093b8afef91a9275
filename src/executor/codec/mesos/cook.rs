//! JSON for frameworks: messages for the Cook scheduler, and the `data` of the terminal update.
//!
//! Cook's scheduler does not check the types of values, and drops whole batches if one is wrong
//! (`scheduler/src/cook/progress.clj`, `sandbox.clj`), so integers must be integers and strings must be
//! strings.

use serde::Serialize;

use crate::core::outbox::Message;
use crate::words::units::TaskId;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Directory<'a> {
    sandbox_directory: &'a str,
    task_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Progress<'a> {
    progress_message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_percent: Option<u8>,
    progress_sequence: u32,
    task_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExitCode<'a> {
    exit_code: i32,
    task_id: &'a str,
}

/// One framework message.
pub fn framework_message(task: &TaskId, message: &Message) -> Vec<u8> {
    let task_id = &task.0;
    match message {
        Message::Directory(sandbox_directory) => json(&Directory {
            sandbox_directory,
            task_id,
            kind: "directory",
        }),
        Message::Progress(report) => json(&Progress {
            progress_message: &report.message,
            progress_percent: report.percent.map(|percent| percent.rounded()),
            progress_sequence: report.sequence,
            task_id,
        }),
        Message::ExitCode(exit_code) => json(&ExitCode {
            exit_code: *exit_code,
            task_id,
        }),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of texts and numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::progress::ProgressReport;
    use crate::words::units::Percent;

    #[test]
    fn framework_messages_have_the_format_that_cook_reads() {
        let report = ProgressReport {
            sequence: 2,
            percent: Percent::new(54.5),
            message: "fifty".into(),
        };
        for (message, text) in [
            (
                Message::Directory("/sandbox".into()),
                r#"{"sandbox-directory":"/sandbox","task-id":"T1","type":"directory"}"#,
            ),
            (Message::ExitCode(3), r#"{"exit-code":3,"task-id":"T1"}"#),
            (
                Message::Progress(report),
                r#"{"progress-message":"fifty","progress-percent":54,"progress-sequence":2,"task-id":"T1"}"#,
            ),
        ] {
            let bytes = framework_message(&TaskId("T1".into()), &message);
            assert_eq!(String::from_utf8_lossy(&bytes), text);
        }
    }
}

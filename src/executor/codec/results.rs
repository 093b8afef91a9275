//! The JSON with a task's results, for the task API and for the `data` of a status update.
//!
//! Lists are aligned with the job's commands by index: `"before_codes": [0, null, 1]`,
//! `"before_times": [[1700000000000, 1700000000250], null, [1700000000250, null]]`. A trailing command without
//! an entry is left out, one before a later entry is `null`. A time is a pair of start and end in
//! milliseconds since 1970; the end of a command that still runs is `null`.

use serde::Serialize;
use serde_json::Number;

use crate::core::outbox::UpdateData;
use crate::core::request::{CommandResult, Results, View};

/// All keys. A key is left out if its value is unknown or it does not belong to the output.
#[derive(Default, Serialize)]
struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_codes: Option<Codes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_codes: Option<Codes>,
    /// The scheduler's name for `before_codes`, for its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_exit_codes: Option<Codes>,
    /// The scheduler's name for `after_codes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_exit_codes: Option<Codes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_before_codes: Option<Codes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_after_codes: Option<Codes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_time: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before_times: Times,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after_times: Times,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default_before_times: Times,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default_after_times: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

type Codes = Vec<Option<i32>>;
type Times = Vec<Option<Time>>;

/// Start and end in milliseconds since 1970.
type Time = (u64, Option<u64>);

/// The response to `GET`, on one line.
pub fn for_reading(view: &View) -> Vec<u8> {
    let common = Fields::common(view);
    let mut text = encode(&Fields {
        before_exit_codes: common.before_codes.clone(),
        after_exit_codes: common.after_codes.clone(),
        state: view.state,
        ..common
    });
    text.push(b'\n');
    text
}

/// The `data` of a status update: for TASK_RUNNING the results of the before commands, for the terminal
/// state all results; both with times.
pub fn update_data(data: &UpdateData) -> Option<Vec<u8>> {
    match data {
        UpdateData::None => None,
        UpdateData::Running(results) => Some(encode(&Fields {
            before_codes: Some(codes(&results.before)),
            default_before_codes: codes_of_any(&results.default_before),
            before_times: times(&results.before),
            default_before_times: times(&results.default_before),
            ..Fields::default()
        })),
        UpdateData::Terminal(view) => {
            let Results {
                command,
                before,
                after,
                default_before,
                default_after,
            } = &view.results;
            Some(encode(&Fields {
                command_time: time(command),
                before_times: times(before),
                after_times: times(after),
                default_before_times: times(default_before),
                default_after_times: times(default_after),
                ..Fields::common(view)
            }))
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn common(view: &'a View) -> Self {
        Self {
            exit_code: view.results.command.code,
            before_codes: Some(codes(&view.results.before)),
            after_codes: Some(codes(&view.results.after)),
            default_before_codes: codes_of_any(&view.results.default_before),
            default_after_codes: codes_of_any(&view.results.default_after),
            progress: view.progress.and_then(|progress| number(progress.get())),
            message: view.message.as_deref(),
            ..Self::default()
        }
    }
}

fn codes(results: &[CommandResult]) -> Codes {
    without_tail(results.iter().map(|result| result.code).collect())
}

/// Codes of the operator's commands, left out if there are none.
fn codes_of_any(results: &[CommandResult]) -> Option<Codes> {
    (!results.is_empty()).then(|| codes(results))
}

fn times(results: &[CommandResult]) -> Times {
    without_tail(results.iter().map(time).collect())
}

fn time(result: &CommandResult) -> Option<Time> {
    Some((result.started?.0, result.ended.map(|ended| ended.0)))
}

fn without_tail<T>(mut list: Vec<Option<T>>) -> Vec<Option<T>> {
    let known = list.iter().rposition(Option::is_some);
    list.truncate(known.map_or(0, |last| last + 1));
    list
}

/// An integral number without a fraction: `10` and not `10.0`, which some parsers do not accept as an
/// integer.
fn number(percent: f64) -> Option<Number> {
    match percent.fract() == 0.0 {
        true => Some(Number::from(percent as u8)),
        false => Number::from_f64(percent),
    }
}

fn encode(results: &Fields<'_>) -> Vec<u8> {
    serde_json::to_vec(results).expect("strings, integers and finite numbers can always be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::units::{Percent, WallTime};

    fn ended(code: i32, started: u64, ended: u64) -> CommandResult {
        CommandResult {
            code: Some(code),
            started: Some(WallTime(started)),
            ended: Some(WallTime(ended)),
        }
    }

    fn known() -> View {
        let still_runs = CommandResult {
            started: Some(WallTime(7)),
            ..CommandResult::default()
        };
        let results = Results {
            command: ended(-9, 20, 30),
            before: vec![
                ended(0, 1, 2),
                still_runs,
                ended(1, 8, 9),
                CommandResult::default(),
            ],
            after: vec![CommandResult::default()],
            default_before: vec![ended(0, 0, 1)],
            default_after: vec![],
        };
        View {
            results,
            progress: Percent::new(100.0),
            message: Some("it's\n\"ä\"".into()),
            state: Some("TASK_RUNNING"),
        }
    }

    fn data(data: &UpdateData) -> String {
        String::from_utf8(update_data(data).expect("there is some")).expect("UTF-8")
    }

    #[test]
    fn the_response_has_everything_that_is_known() {
        let wanted = concat!(
            r#"{"exit_code":-9,"before_codes":[0,null,1],"after_codes":[],"#,
            r#""before_exit_codes":[0,null,1],"after_exit_codes":[],"default_before_codes":[0],"#,
            r#""state":"TASK_RUNNING","progress":100,"message":"it's\n\"ä\""}"#,
            "\n"
        );
        assert_eq!(for_reading(&known()), wanted.as_bytes());
    }

    #[test]
    fn the_terminal_update_has_times_but_no_state_and_no_second_names() {
        let wanted = concat!(
            r#"{"exit_code":-9,"before_codes":[0,null,1],"after_codes":[],"#,
            r#""default_before_codes":[0],"command_time":[20,30],"#,
            r#""before_times":[[1,2],[7,null],[8,9]],"default_before_times":[[0,1]],"#,
            r#""progress":100,"message":"it's\n\"ä\""}"#
        );
        assert_eq!(data(&UpdateData::Terminal(Box::new(known()))), wanted);
    }

    #[test]
    fn a_fraction_of_progress_is_kept() {
        let view = |progress| View {
            progress: Percent::new(progress),
            ..View::default()
        };
        let data = |progress| data(&UpdateData::Terminal(Box::new(view(progress))));
        assert!(data(99.5).ends_with(r#","progress":99.5}"#));
        assert!(data(-0.0).ends_with(r#","progress":0}"#));
    }

    #[test]
    fn the_running_update_has_the_results_of_before_commands() {
        let running = data(&UpdateData::Running(Box::new(known().results)));
        assert_eq!(
            running,
            concat!(
                r#"{"before_codes":[0,null,1],"default_before_codes":[0],"#,
                r#""before_times":[[1,2],[7,null],[8,9]],"default_before_times":[[0,1]]}"#
            )
        );
        assert_eq!(update_data(&UpdateData::None), None);
    }
}

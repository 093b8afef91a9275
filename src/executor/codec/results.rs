//! The JSON in which a task's results are told: over the task API, and in the `data` of a status update.
//! One shape, written in one place.

use serde::Serialize;
use serde_json::Number;

use crate::core::request::View;

/// The results of a task; what is unknown is left out.
#[derive(Serialize)]
struct Results<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    before_codes: &'a [Option<i32>],
    after_codes: &'a [Option<i32>],
    /// The name of `before_codes` at the scheduler, whose users read this too.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_exit_codes: Option<&'a [Option<i32>]>,
    /// The name of `after_codes` at the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_exit_codes: Option<&'a [Option<i32>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_before_codes: Option<&'a [Option<i32>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_after_codes: Option<&'a [Option<i32>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// What a command reads with `GET`: one line.
pub fn for_reading(view: &View) -> Vec<u8> {
    let mut text = encode(&Results::for_reading(view));
    text.push(b'\n');
    text
}

/// The `data` of the terminal update: the task's results for the scheduler.
pub fn terminal_data(view: &View) -> Vec<u8> {
    encode(&Results::for_scheduler(view))
}

// === impl Results ===

impl<'a> Results<'a> {
    /// What a command can know.
    fn for_reading(view: &'a View) -> Self {
        Self {
            before_exit_codes: Some(&view.before_codes),
            after_exit_codes: Some(&view.after_codes),
            state: view.state,
            ..Self::for_scheduler(view)
        }
    }

    /// What stands in the terminal update, where the state has a field of its own.
    fn for_scheduler(view: &'a View) -> Self {
        Self {
            exit_code: view.exit_code,
            before_codes: &view.before_codes,
            after_codes: &view.after_codes,
            before_exit_codes: None,
            after_exit_codes: None,
            default_before_codes: view.default_before_codes.as_deref(),
            default_after_codes: view.default_after_codes.as_deref(),
            state: None,
            progress: view.progress.and_then(|progress| number(progress.get())),
            message: view.message.as_deref(),
        }
    }
}

/// A number without a fraction if it has none: `10` and not `10.0`, which not every reader takes for
/// an integer.
fn number(percent: f64) -> Option<Number> {
    match percent.fract() == 0.0 {
        true => Some(Number::from(percent as u8)),
        false => Number::from_f64(percent),
    }
}

fn encode(results: &Results<'_>) -> Vec<u8> {
    serde_json::to_vec(results).expect("strings, integers and finite numbers can always be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::units::Percent;

    fn known() -> View {
        View {
            exit_code: Some(-9),
            before_codes: vec![Some(0), None, Some(1)],
            after_codes: vec![],
            default_before_codes: Some(vec![Some(0)]),
            default_after_codes: None,
            progress: Percent::new(100.0),
            message: Some("it's\n\"ä\"".into()),
            state: Some("TASK_RUNNING"),
        }
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let wanted = concat!(
            r#"{"exit_code":-9,"before_codes":[0,null,1],"after_codes":[],"#,
            r#""before_exit_codes":[0,null,1],"after_exit_codes":[],"default_before_codes":[0],"#,
            r#""state":"TASK_RUNNING","progress":100,"message":"it's\n\"ä\""}"#,
            "\n"
        );
        assert_eq!(for_reading(&known()), wanted.as_bytes());
    }

    #[test]
    fn the_terminal_update_has_neither_the_state_nor_second_names() {
        let wanted = concat!(
            r#"{"exit_code":-9,"before_codes":[0,null,1],"after_codes":[],"#,
            r#""default_before_codes":[0],"progress":100,"message":"it's\n\"ä\""}"#
        );
        assert_eq!(terminal_data(&known()), wanted.as_bytes());
    }

    #[test]
    fn a_fraction_of_progress_is_kept() {
        let view = |progress| View {
            progress: Percent::new(progress),
            ..View::default()
        };
        let data = |progress| String::from_utf8(terminal_data(&view(progress))).expect("UTF-8");
        assert!(data(99.5).ends_with(r#","progress":99.5}"#));
        assert!(data(-0.0).ends_with(r#","progress":0}"#));
    }
}

//! What the core says, as HTTP; and the JSON in which a task's results are told, here over the API and
//! in the `data` of its terminal update: one shape, written in one place.
//!
//! Text that the task has a hand in goes into bodies only, never into a header.

use http_types::{Response, StatusCode};
use serde::Serialize;
use serde_json::Number;

use super::refusal::Refusal;
use super::request::METHODS;
use crate::core::request::{Reply, View};

/// The least that `Retry-After` can say; an agent that restarts is back in a few seconds.
const RETRY_AFTER_SECONDS: &str = "1";

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

/// The body of every answer that is not a good one.
#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

/// The response to a request that the core has answered.
pub fn reply(reply: &Reply) -> Response {
    match reply {
        Reply::Applied => Response::new(StatusCode::NoContent),
        Reply::AppliedWithoutAgent => {
            let mut response = failure(
                StatusCode::ServiceUnavailable,
                "the Mesos agent cannot be reached at the moment: the value is kept and will be \
                 delivered, and sending it again does no harm",
            );
            response.insert_header("retry-after", RETRY_AFTER_SECONDS);
            response
        }
        Reply::EnvironmentTooLarge => failure(
            StatusCode::PayloadTooLarge,
            "\"env\": with these variables the environment would be over 1 MiB, too large to start a \
             command with; nothing was changed",
        ),
        Reply::TaskEnded => failure(
            StatusCode::Conflict,
            "the task has ended, and its last status cannot be changed any more",
        ),
        Reply::View(view) => json(StatusCode::Ok, line(&Results::for_reading(view))),
    }
}

/// The response to a request that came to nothing.
pub fn refusal(refusal: &Refusal) -> Response {
    let mut response = failure(refusal.status, &refusal.text);
    if refusal.status == StatusCode::MethodNotAllowed {
        response.insert_header("allow", METHODS);
    }
    response
}

/// The response to `OPTIONS`.
pub fn methods() -> Response {
    let mut response = Response::new(StatusCode::NoContent);
    response.insert_header("allow", METHODS);
    response
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

fn failure(status: StatusCode, text: &str) -> Response {
    json(status, line(&Failure { error: text }))
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(status);
    response.insert_header("content-type", "application/json");
    response.set_body(body);
    response
}

/// JSON with a line feed, as a terminal likes it.
fn line(value: &impl Serialize) -> Vec<u8> {
    let mut text = encode(value);
    text.push(b'\n');
    text
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, integers and finite numbers can always be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::units::Percent;
    use http_types::Method;

    fn text(response: Response) -> String {
        String::from_utf8(cook_http::h1::encode(response, Method::Get)).expect("UTF-8")
    }

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
    fn a_task_that_has_just_begun_has_empty_lists_and_no_exit_code() {
        let response = text(reply(&Reply::View(View::default())));
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(response.contains("content-type: application/json\r\n"));
        let wanted = concat!(
            r#"{"before_codes":[],"after_codes":[],"before_exit_codes":[],"after_exit_codes":[]}"#,
            "\n"
        );
        assert!(response.ends_with(wanted), "{response}");
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let wanted = concat!(
            r#"{"exit_code":-9,"before_codes":[0,null,1],"after_codes":[],"#,
            r#""before_exit_codes":[0,null,1],"after_exit_codes":[],"default_before_codes":[0],"#,
            r#""state":"TASK_RUNNING","progress":100,"message":"it's\n\"ä\""}"#,
            "\n"
        );
        let response = text(reply(&Reply::View(known())));
        assert!(response.ends_with(wanted), "{response}");
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

    #[test]
    fn each_reply_has_its_status_and_its_headers() {
        let applied = text(reply(&Reply::Applied));
        assert!(applied.starts_with("HTTP/1.1 204 No Content\r\n"));
        let late = text(reply(&Reply::AppliedWithoutAgent));
        assert!(late.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(late.contains("\r\nretry-after: 1\r\n"));
        assert!(late.contains(r#"{"error":"the Mesos agent"#));
        assert!(text(reply(&Reply::TaskEnded)).starts_with("HTTP/1.1 409 Conflict\r\n"));
        let options = text(methods());
        assert!(options.starts_with("HTTP/1.1 204 No Content\r\n"));
        assert!(options.contains("\r\nallow: GET, HEAD, PATCH, OPTIONS\r\n"));
    }

    #[test]
    fn a_refusal_is_json_and_allows_methods_only_when_one_was_wrong() {
        let wrong_method = Refusal::new(StatusCode::MethodNotAllowed, "no");
        let response = text(refusal(&wrong_method));
        assert!(response.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
        assert!(response.contains("\r\nallow: GET, HEAD, PATCH, OPTIONS\r\n"));
        assert!(response.ends_with("\r\n\r\n{\"error\":\"no\"}\n"));
        let not_found = text(refusal(&Refusal::new(StatusCode::NotFound, "\"\r\nx: y")));
        assert!(!not_found.contains("allow"));
        assert!(not_found.ends_with("\r\n\r\n{\"error\":\"\\\"\\r\\nx: y\"}\n"));
    }
}

//! Encodes the core's replies as HTTP responses.
//!
//! Text that comes from the task is used only in bodies, never in header fields.

use cook_http::message::{Response, StatusCode};
use serde::Serialize;

use super::refusal::Refusal;
use super::request::METHODS;
use crate::codec::results;
use crate::core::request::Reply;

/// The minimum value of `Retry-After`. An agent that restarts usually takes a few seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// The body of every error response.
#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

/// The response for a reply of the core.
pub fn reply(reply: &Reply) -> Response {
    match reply {
        Reply::Applied => Response::new(StatusCode::NoContent),
        Reply::AppliedWithoutAgent => failure(
            StatusCode::ServiceUnavailable,
            "the Mesos agent cannot be reached at the moment: the value is kept and will be \
             delivered, and sending it again does no harm",
        )
        .with_field("retry-after", RETRY_AFTER_SECONDS),
        Reply::EnvironmentTooLarge => failure(
            StatusCode::PayloadTooLarge,
            "\"env\": with these variables the environment would be over 1 MiB, too large to start a \
             command with; nothing was changed",
        ),
        Reply::SetForCommands(name) => failure(
            StatusCode::BadRequest,
            &format!(
                "\"env\": {:?}: the executor sets it for commands, and it cannot be changed; nothing was \
                 changed",
                name.as_os_str()
            ),
        ),
        Reply::ReadAtStart(name) => failure(
            StatusCode::BadRequest,
            &format!(
                "\"env\": {:?}: the executor reads this variable only at its start; nothing was changed",
                name.as_os_str()
            ),
        ),
        Reply::TaskEnded => failure(
            StatusCode::Conflict,
            "the task has ended and cannot be changed any more",
        ),
        Reply::View(view) => json(StatusCode::Ok, results::for_reading(view)),
    }
}

/// The response for a refusal.
pub fn refusal(refusal: &Refusal) -> Response {
    let response = failure(refusal.status, &refusal.text);
    match refusal.status {
        StatusCode::MethodNotAllowed => response.with_field("allow", METHODS),
        _ => response,
    }
}

/// The response to `OPTIONS`.
pub fn methods() -> Response {
    Response::new(StatusCode::NoContent).with_field("allow", METHODS)
}

/// JSON with a line feed at its end, for terminals.
fn failure(status: StatusCode, text: &str) -> Response {
    let mut body =
        serde_json::to_vec(&Failure { error: text }).expect("a text can always be written");
    body.push(b'\n');
    json(status, body)
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    Response::new(status).with_body("application/json", body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::request::View;
    use cook_http::message::Method;

    fn text(response: Response) -> String {
        String::from_utf8(response.encode(Method::Get)).expect("UTF-8")
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

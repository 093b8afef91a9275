//! Parses a request: method, path and body become a request to the core or a refusal.

use std::fmt::Write;

use cook_http::message::{Method, StatusCode};

use super::patch;
use super::refusal::Refusal;
use crate::core::request::ApiRequest;
use crate::words::units::TaskId;

/// The path that the task's id is appended to.
pub const TASK_PATH: &str = "/task/";

/// The methods, for the `Allow` field.
pub const METHODS: &str = "GET, HEAD, PATCH, OPTIONS";

/// A valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A request that the core answers.
    Core(ApiRequest),
    /// OPTIONS: which methods there are.
    Methods,
}

/// Parses a request. `method` is `None` for a method that http-types does not know; `path` is still
/// percent-encoded; `task` is the executor's task, if there is one yet.
///
/// # Errors
///
/// The refusal, which needs no decision of the core.
pub fn read(
    method: Option<Method>,
    path: &str,
    body: &[u8],
    task: Option<&TaskId>,
) -> Result<Asked, Refusal> {
    if task.is_none_or(|task| !names(path, task)) {
        return Err(Refusal::new(
            StatusCode::NotFound,
            "there is no task at this path: use the address in $EXECUTOR_ENDPOINT",
        ));
    }
    match method {
        Some(Method::Get | Method::Head) => Ok(Asked::Core(ApiRequest::View)),
        Some(Method::Patch) => Ok(Asked::Core(ApiRequest::Patch(patch::read(body)?))),
        Some(Method::Options) => Ok(Asked::Methods),
        _ => Err(Refusal::new(
            StatusCode::MethodNotAllowed,
            "a task can be read with GET and changed with PATCH",
        )),
    }
}

/// The task's id as a path segment: unreserved characters (RFC 3986, 2.3) unchanged, all others as `%XX`.
pub fn percent_encode_task_id(task: &TaskId) -> String {
    let mut segment = String::with_capacity(task.0.len());
    for byte in task.0.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(segment, "%{byte:02X}");
            }
        }
    }
    segment
}

/// Whether `path` is the path of the task, in any percent-encoding of its id.
fn names(path: &str, task: &TaskId) -> bool {
    let Some(segment) = path.strip_prefix(TASK_PATH) else {
        return false;
    };
    let mut encoded = segment.bytes();
    let mut wanted = task.0.bytes();
    while let Some(byte) = encoded.next() {
        let decoded = match byte {
            b'/' => None,
            b'%' => hexadecimal(encoded.next())
                .zip(hexadecimal(encoded.next()))
                .map(|(high, low)| high << 4 | low),
            byte => Some(byte),
        };
        if decoded.is_none() || decoded != wanted.next() {
            return false;
        }
    }
    wanted.next().is_none()
}

fn hexadecimal(digit: Option<u8>) -> Option<u8> {
    let value = char::from(digit?).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/task/a%2Fb%20%c3%A4.1";

    fn task() -> TaskId {
        TaskId("a/b ä.1".into())
    }

    fn status(method: Option<Method>, path: &str) -> u16 {
        match read(method, path, b"{}", Some(&task())) {
            Ok(Asked::Core(_)) => 200,
            Ok(Asked::Methods) => 204,
            Err(refusal) => refusal.status as u16,
        }
    }

    #[test]
    fn an_unknown_path_is_not_found_whatever_the_method() {
        for path in [
            "/",
            "",
            "/task",
            "/task/",
            "/task/a/b%20%c3%a4.1",
            "/task/a%2Fb%20%C3%A4.1/",
            "/task/a%2Fb%20%C3%A4.",
            "/task/a%2Fb%20%C3%A4.11",
            "/task/a%2Fb+%C3%A4.1",
            "/task/a%2Fb%20%C3%A4.1%",
            "/task/a%2Fb%20%C3%A4.1%0",
            "/task/a%2Fb%20%C3%A4.%zz",
            "/TASK/a%2Fb%20%C3%A4.1",
            "//task/a%2Fb%20%C3%A4.1",
        ] {
            for method in [
                Some(Method::Get),
                Some(Method::Delete),
                Some(Method::Options),
                None,
            ] {
                assert_eq!(status(method, path), 404, "{path}");
            }
        }
        assert_eq!(
            read(Some(Method::Get), PATH, b"", None).map_err(|it| it.status),
            Err(StatusCode::NotFound)
        );
    }

    #[test]
    fn the_task_is_found_with_any_encoding_of_its_id() {
        let encoded = percent_encode_task_id(&task());
        assert_eq!(encoded, "a%2Fb%20%C3%A4.1");
        for segment in [encoded.as_str(), "a%2fb%20%c3%a4.1", "%61%2Fb%20ä%2E1"] {
            let path = format!("/task/{segment}");
            assert_eq!(status(Some(Method::Get), &path), 200, "{path}");
        }
        let odd: String = (1..=127).map(char::from).chain("äß%".chars()).collect();
        let odd = TaskId(odd);
        let path = format!("/task/{}", percent_encode_task_id(&odd));
        assert!(names(&path, &odd));
    }

    #[test]
    fn each_method_is_answered_or_not_allowed() {
        for (method, wanted) in [
            (Some(Method::Get), 200),
            (Some(Method::Head), 200),
            (Some(Method::Patch), 200),
            (Some(Method::Options), 204),
            (Some(Method::Put), 405),
            (Some(Method::Post), 405),
            (Some(Method::Delete), 405),
            (Some(Method::Connect), 405),
            (None, 405),
        ] {
            assert_eq!(status(method, PATH), wanted, "{method:?}");
        }
    }
}

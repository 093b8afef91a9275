//! Every error text that a request can get, complete: what is wrong, where, and what would be right. Errors
//! about time and other users are in `hostile` and `access`.

use crate::support::{Setup, Target};
use serde_json::{Value, json};

/// One byte more than the longest name and value of a variable.
const LONG_NAME: usize = 4097;
const LONG_VALUE: usize = 65537;

#[test]
fn every_refusal_of_a_body_names_the_key_and_what_would_be_right() {
    let target = Target::with(
        Setup::new().variable("EXECUTOR_LOG_LEVEL", "INFO"),
        json!({}),
    );
    let example = r#"write {"progress": 10}"#;
    let not_json = |what: &str| format!("the body is not valid JSON: {what}; {example}");
    let progress =
        |found: &str| format!(r#""progress" must be a number from 0 to 100, not {found}"#);
    let allowed = r#"allowed are "progress", "message" and "env""#;
    let long_name = format!("{{\"env\": {{\"{}\": null}}}}", "N".repeat(LONG_NAME));
    let long_value = format!("{{\"env\": {{\"A\": \"{}\"}}}}", "v".repeat(LONG_VALUE));
    let shown = format!("{}...", "N".repeat(61));
    for (body, status, text) in [
        (&b""[..], 400, format!("the body is empty: {example}")),
        (b" \r\n", 400, format!("the body is empty: {example}")),
        (b"\xef\xbb\xbf", 400, format!("the body is empty: {example}")),
        (b"progress=10", 400, not_json("expected value at line 1 column 1")),
        (b"{progress = 10}", 400, not_json("key must be a string at line 1 column 2")),
        (b"{\"progress\": 10", 400, not_json("EOF while parsing an object at line 1 column 15")),
        (b"{message: hello}", 400, not_json("expected value at line 1 column 11")),
        (b"{\"message\": \"a\nb\", progress: x}", 400, not_json("expected value at line 2 column 15")),
        (
            b"{\"progress\": 1e400}",
            400,
            not_json("number out of range: it is too large at line 1 column 18"),
        ),
        (
            b"{\"progress\":\xc2\xa010}",
            400,
            not_json("expected value at line 1 column 13: found U+00A0 (a no-break space)"),
        ),
        (b"{\0\"\0", 400, not_json("it is UTF-16, and must be UTF-8")),
        (b"10", 400, format!("the body must be a JSON object, not a number: {example}")),
        (b"[]", 400, format!("the body must be a JSON object, not an array: {example}")),
        (b"null", 400, format!("the body must be a JSON object, not null: {example}")),
        (b"{progress: 101}", 400, progress("101")),
        (b"{progress: 1e19}", 400, progress("1e+19")),
        (b"{progress: -0.5}", 400, progress("-0.5")),
        (b"{progress: '10'}", 400, progress("a string")),
        (b"{progress: true}", 400, progress("true or false")),
        (b"{progress: null}", 400, progress("null")),
        (b"{message: 5}", 400, r#""message" must be a string, not a number"#.to_owned()),
        (b"{message: null}", 400, r#""message" must be a string, not null"#.to_owned()),
        (
            b"{env: ['A=1']}",
            400,
            r#""env" must be an object of strings and nulls, not an array"#.to_owned(),
        ),
        (
            b"{env: {A: 1}}",
            400,
            r#""env": "A": a value must be a string, or null to unset it, not a number"#.to_owned(),
        ),
        (
            b"{env: {\"\": '1'}}",
            400,
            r#""env": "": the name of a variable must not be empty"#.to_owned(),
        ),
        (
            b"{env: {'A=B': null}}",
            400,
            r#""env": "A=B": the name of a variable must not contain '='"#.to_owned(),
        ),
        (
            b"{env: {A: '\\u0000'}}",
            400,
            r#""env": "A": names and values of variables must not contain a NUL byte"#.to_owned(),
        ),
        (
            long_name.as_bytes(),
            400,
            format!(r#""env": "{shown}": a name must not be longer than 4096 bytes"#),
        ),
        (
            long_value.as_bytes(),
            400,
            r#""env": "A": a value must not be longer than 65536 bytes"#.to_owned(),
        ),
        (
            b"{env: {EXECUTOR_PHASE: 'after'}}",
            400,
            r#""env": "EXECUTOR_PHASE": the executor sets it for commands, and it cannot be changed; nothing was changed"#
                .to_owned(),
        ),
        (
            b"{env: {EXECUTOR_LOG_LEVEL: 'DEBUG'}}",
            400,
            r#""env": "EXECUTOR_LOG_LEVEL": the executor reads this variable only at its start; nothing was changed"#
                .to_owned(),
        ),
        (
            b"{mesage: 'x'}",
            400,
            format!(r#"unknown key "mesage" (did you mean "message"?): {allowed}"#),
        ),
        (b"{exit_code: 1}", 400, format!(r#"unknown key "exit_code": {allowed}"#)),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
        let answer = target.patch_bytes(body);
        assert_eq!((answer.status, answer.error()), (status, text), "{shown}");
    }
    target.let_go();
}

#[test]
fn every_refusal_of_a_request_says_what_is_wrong_with_it() {
    let target = Target::new();
    let path = &target.path;
    let host = "Host: a\r\n";
    let long = "x".repeat(10_000);
    let fields: String = (0..200).map(|n| format!("X{n}: 1\r\n")).collect();
    for (request, status, text) in [
        (
            format!("GET {path}x HTTP/1.1\r\n{host}\r\n"),
            404,
            "there is no task at this path: use the address in $EXECUTOR_ENDPOINT",
        ),
        (
            format!("POST {path} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"),
            405,
            "a task can be read with GET and changed with PATCH",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}Origin: http://example.com\r\n\r\n"),
            403,
            "a web page of another origin may not use this task's API",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}Sec-Fetch-Site: cross-site\r\n\r\n"),
            403,
            "a web page of another origin may not use this task's API",
        ),
        (
            format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n"),
            403,
            "the Host is a name of another machine: use the address in $EXECUTOR_ENDPOINT",
        ),
        (
            format!("PATCH {path} HTTP/1.1\r\n{host}Content-Length: 300000\r\n\r\n"),
            413,
            "the body has more than 262144 bytes",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n\r\n"),
            400,
            "exactly one Host field is required",
        ),
        (
            format!("GET {path} HTTP/1.1\n{host}\n"),
            400,
            "a line of the head does not end in CR LF",
        ),
        (
            "nonsense\r\n\r\n".to_owned(),
            400,
            "the first line is not an HTTP request line or status line",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}no colon\r\n\r\n"),
            400,
            "a header field must be a name, a colon and a value on one line",
        ),
        (
            format!("PATCH {path} HTTP/1.1\r\n{host}Content-Length: 1e1\r\n\r\n"),
            400,
            "Content-Length must be one number",
        ),
        (
            format!(
                "PATCH {path} HTTP/1.1\r\n{host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            400,
            "Transfer-Encoding is not allowed with Content-Length or in HTTP/1.0",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}Expect: more\r\n\r\n"),
            417,
            "the only supported Expect is 100-continue",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}X: {long}\r\n\r\n"),
            431,
            "the head has more than 8192 bytes",
        ),
        (
            format!("GET {path} HTTP/1.1\r\n{host}{fields}\r\n"),
            431,
            "the head has more than 100 header fields",
        ),
    ] {
        let mut talk = target.connect();
        talk.say(&request);
        let answer = talk.hear();
        let first = request.lines().next().unwrap_or_default();
        let error: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        assert_eq!(
            (answer.status, error["error"].as_str()),
            (status, Some(text)),
            "{first}: {answer:?}"
        );
    }
    target.let_go();
}

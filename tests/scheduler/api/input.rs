//! Invalid requests get a 4xx with an explanation, and store nothing.

use serde_json::json;

use crate::server::Server;

#[test]
fn invalid_bodies_are_explained_and_store_nothing() {
    let server = Server::start();
    let uuid = "26719da8-394f-44f9-9e6d-8a17500f5109";
    for (body, wanted) in [
        ("", "Must supply at least one job or group to start."),
        ("{\"command\": \"a\"", "the body is not valid JSON: EOF"),
        ("\u{0}", "the body is not valid JSON"),
        ("[]", "the body must be a job or an object"),
        (
            "{\"comand\": \"a\"}",
            "comand is not a known key (did you mean command?)",
        ),
        (
            "{\"command\": \"a\", \"before_commands\": [{\"value\": \"x\", \"gaurd\": true}]}",
            "before_commands[0].gaurd is not a known key (did you mean guard?)",
        ),
        (
            "{\"command\": \"a\", \"uris\": [{\"value\": \"gopher://x/y\"}]}",
            "uris",
        ),
        (
            "{\"command\": \"a\", \"gpus\": 1}",
            "GPU support is not enabled",
        ),
    ] {
        for target in ["/rawscheduler", "/jobs"] {
            let answer = server.ask("POST", target, "", body.as_bytes());
            assert_eq!(answer.status, 400, "{body}: {}", answer.text());
            let error = answer.json()["error"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(error.contains(wanted), "{body}: {error}");
        }
    }
    let batch = json!({"jobs": [{"command": "true", "uuid": uuid}, {"command": "x", "mem": -1}]});
    let answer = server.ask("POST", "/jobs", "", batch.to_string().as_bytes());
    assert_eq!(
        answer.json()["errors"],
        json!({"jobs[1].mem": "must be a number above 0, found -1"})
    );
    assert_eq!(server.get(&format!("/jobs/{uuid}")).status, 404);
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains("cook_jobs_submitted_total 0\n"),
        "{metrics}"
    );
}

#[test]
fn a_submission_may_have_any_content_type_and_is_refused_the_second_time() {
    let server = Server::start();
    let body =
        br#"{"jobs": [{"command": "true", "uuid": "A2141DFF-fff7-cbff-0000-00000000000f"}]}"#;
    let first = server.ask(
        "POST",
        "/rawscheduler",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        body,
    );
    assert_eq!(
        (first.status, first.text().as_str()),
        (201, "submitted jobs a2141dff-fff7-cbff-0000-00000000000f")
    );
    let again = server.ask("POST", "/jobs", "Content-Type: application/json\r\n", body);
    assert_eq!(again.status, 409);
    assert!(
        again
            .text()
            .contains("UUID a2141dff-fff7-cbff-0000-00000000000f already used"),
        "{}",
        again.text()
    );
}

#[test]
fn bodies_and_targets_have_maximum_sizes() {
    let server = Server::start();
    let too_long = format!("/jobs?uuid={}", "x".repeat(40 << 10));
    assert_eq!(server.get(&too_long).status / 100, 4);
    let many = (0..400)
        .map(|_| "instance=26719da8-394f-44f9-9e6d-8a17500f5109")
        .collect::<Vec<_>>()
        .join("&");
    assert_eq!(
        server
            .get(&format!("/rawscheduler?{many}&partial=true"))
            .status,
        404,
        "18 kB of uuids are accepted"
    );
    let body = vec![b' '; (32 << 20) + 1];
    assert_eq!(server.ask("POST", "/jobs", "", &body).status, 413);
    let jobs = vec![json!({"command": "true"}); 10_001];
    let answer = server.ask(
        "POST",
        "/jobs",
        "",
        json!({"jobs": jobs}).to_string().as_bytes(),
    );
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("send at most 10000 in one request"),
        "{}",
        answer.text()
    );
}

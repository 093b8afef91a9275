//! `PUT /retry`, as Cook's clients use it.

use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn retry(server: &Server, query: &str, body: &Value) -> Answer {
    let target = format!("/retry{query}");
    server.ask("PUT", &target, "", body.to_string().as_bytes())
}

fn successful(server: &Server) -> String {
    let uuid = server.submit_one(r#"{"command": "true"}"#);
    assert_eq!(server.completed(&uuid)["state"], "success");
    uuid
}

#[test]
fn a_list_of_jobs_is_retried_whatever_its_length_and_results() {
    let server = Server::start();
    for length in 1..=3 {
        let jobs: Vec<_> = (0..length).map(|_| successful(&server)).collect();
        let answer = retry(&server, "", &json!({"jobs": jobs, "retries": 3}));
        assert_eq!((answer.status, answer.text().as_str()), (201, "3"));
        for job in &jobs {
            server.until(job, "run again", |job| {
                job["instances"].as_array().map(Vec::len) == Some(2)
            });
        }
    }
}

#[test]
fn nothing_to_retry_is_the_number_0() {
    let server = Server::start();
    let jobs = [successful(&server), successful(&server)];
    let body = json!({"jobs": jobs, "retries": 3, "failed_only": true});
    let answer = retry(&server, "", &body);
    assert_eq!((answer.status, answer.json()), (200, json!(0)));
    assert!(
        answer.has("content-type: application/json"),
        "{}",
        answer.head
    );
}

#[test]
fn the_query_may_name_the_job_and_the_body_the_number() {
    let server = Server::start();
    let job = successful(&server);
    let query = format!("?job={job}");
    let answer = retry(&server, &query, &json!({"retries": 2}));
    assert_eq!((answer.status, answer.text().as_str()), (201, "2"));
    let other = successful(&server);
    for (query, body) in [
        (&*query, json!({"job": other, "retries": 2})),
        (&*query, json!({"jobs": [other], "retries": 2})),
        ("", json!({"job": job, "jobs": [other], "retries": 2})),
    ] {
        let answer = retry(&server, query, &body);
        assert_eq!(answer.status, 400, "{query} {body}: {}", answer.text());
    }
    let job = server.job(&other);
    assert_eq!(job["instances"].as_array().map(Vec::len), Some(1));
}

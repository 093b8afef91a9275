//! `/files/*` serves the files of sandboxes, and no other file of this machine.

use serde_json::{Value, json};

use crate::server::Server;

/// A completed job with files, the path of its sandbox, and this path encoded for a query.
fn with_files(command: &str) -> (Server, String, String) {
    let server = Server::start();
    let uuid = server.submit_one(&json!({"command": command}).to_string());
    let job = server.completed(&uuid);
    assert_eq!(job["state"], "success", "{job:#}");
    let sandbox = job["instances"][0]["sandbox_directory"]
        .as_str()
        .expect("known")
        .to_owned();
    let encoded = sandbox.replace('/', "%2F");
    (server, sandbox, encoded)
}

#[test]
fn a_file_can_be_read_in_parts_and_downloaded() {
    let (server, sandbox, path) = with_files(
        "printf 'hello w\\303\\266rld\\n' > text; mkdir -p sub; head -c 300000 /dev/zero > sub/zeros",
    );
    let read = |query: &str| {
        let answer = server.get(&format!("/files/read?path={path}%2Ftext{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.has("x-content-type-options: nosniff"));
        answer.json()
    };
    assert_eq!(read(""), json!({"data": "", "offset": 13}));
    assert_eq!(read("&offset=-1"), json!({"data": "", "offset": 13}));
    assert_eq!(
        read("&offset=0"),
        json!({"data": "hello wörld\n", "offset": 0})
    );
    assert_eq!(
        read("&offset=6&length=2"),
        json!({"data": "w", "offset": 6}),
        "a character is not split"
    );
    for beyond in [99, i64::MAX as u64 - 1, i64::MAX as u64, 1 << 63, u64::MAX] {
        assert_eq!(
            read(&format!("&offset={beyond}")),
            json!({"data": "", "offset": beyond})
        );
    }
    let job_url = format!("/files/read.json?path={path}");
    assert_eq!(
        server.get(&format!("{job_url}/text&offset=0")).json()["data"],
        "hello wörld\n"
    );
    let whole = server.get(&format!("/files/download?path={path}%2Fsub%2Fzeros"));
    assert_eq!((whole.status, whole.body.len()), (200, 300_000));
    assert!(
        whole.has("content-type: application/octet-stream"),
        "{}",
        whole.head
    );
    assert!(
        whole.has("content-disposition: attachment; filename=\"zeros\"; filename*=UTF-8''zeros"),
        "{}",
        whole.head
    );
    assert!(whole.has("content-length: 300000"), "{}", whole.head);
    let entries = server.get(&format!("/files/browse?path={path}")).json();
    let entry = |name: &str| {
        let all = entries.as_array().expect("an array");
        let found = all
            .iter()
            .find(|entry| entry["path"] == format!("{sandbox}/{name}"));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {name}: {entries:#}"))
    };
    assert_eq!(
        (&entry("text")["size"], &entry("text")["nlink"]),
        (&json!(13), &json!(1))
    );
    assert!(entry("sub")["nlink"].as_u64() > Some(1));
    assert!(
        entry("sub")["mode"]
            .as_str()
            .is_some_and(|mode| mode.starts_with("drwx"))
    );
    assert_eq!(
        server
            .get(&format!("/files/browse?path={path}/text"))
            .json(),
        json!([])
    );
}

#[test]
fn no_file_outside_of_a_sandbox_is_served() {
    let (server, sandbox, path) = with_files(
        "ln -s /etc/passwd absolute; ln -s ../../store.redb up; ln -s .. parent; ln -s loop loop; mkfifo fifo; ln -s /proc/self/environ environ",
    );
    let data = server.data().to_string_lossy().replace('/', "%2F");
    for inner in [
        "absolute",
        "up",
        "parent%2F..%2Fstore.redb",
        "..%2F..%2Fstore.redb",
        "%2Fetc%2Fpasswd",
        "loop",
        "fifo",
        "environ",
        "none",
        "stdout%00",
    ] {
        for endpoint in ["read", "download", "browse"] {
            let answer = server.get(&format!("/files/{endpoint}?path={path}%2F{inner}&offset=0"));
            let status = answer.status;
            assert!(
                status == 404 || status == 400 || status == 500,
                "{endpoint} {inner}: {status}"
            );
            assert!(!answer.text().contains("root:"), "{endpoint} {inner}");
        }
    }
    for outside in [
        "%2Fetc%2Fpasswd".to_owned(),
        format!("{data}%2Fstore.redb"),
        format!("{data}%2Fsandboxes"),
        format!("{data}%2Fsandboxes%2F..%2Fstore.redb"),
        format!("{data}%2Fsandboxes%2F26719da8-394f-44f9-9e6d-8a17500f5109%2Fstdout"),
    ] {
        assert_eq!(
            server
                .get(&format!("/files/download?path={outside}"))
                .status,
            404,
            "{outside}"
        );
    }
    let folder = server.get(&format!("/files/download?path={path}"));
    assert_eq!(folder.status, 400);
    assert_eq!(server.get("/files/read").status, 400);
    let listed: Value = server.get(&format!("/files/browse?path={path}")).json();
    assert!(listed.to_string().contains(&format!("{sandbox}/fifo")));
}

#[test]
fn no_output_of_a_job_runs_in_a_browser() {
    let (server, _, path) = with_files("printf '<script>alert(1)</script>' > 'a\"b.html'");
    let answer = server.get(&format!("/files/download?path={path}%2Fa%22b.html"));
    assert_eq!(answer.status, 200);
    assert!(
        answer.has("content-type: application/octet-stream"),
        "{}",
        answer.head
    );
    assert!(answer.has("x-content-type-options: nosniff"));
    assert!(
        answer.head.contains("attachment; filename=\"a_b.html\""),
        "{}",
        answer.head
    );
    let read = server.get(&format!("/files/read?path={path}%2Fa%22b.html&offset=0"));
    assert!(read.has("content-type: application/json"));
}

#[test]
fn a_failed_fetch_is_explained_in_the_jobs_stderr() {
    let server = Server::start();
    let uuid = server.submit_one(r#"{"command": "true", "uris": [{"value": "/nowhere/tool.sh"}]}"#);
    // The failure is not the job's fault at first, so the job may be started several times.
    let job = server.completed(&uuid);
    assert_eq!(job["instances"][0]["reason_code"], 4003, "{job:#}");
    assert_eq!(job.get("message"), None, "the job has set no message");
    let sandbox = job["instances"][0]["sandbox_directory"]
        .as_str()
        .expect("known");
    let stderr = server
        .get(&format!("/files/read?path={sandbox}/stderr&offset=0"))
        .json();
    assert!(
        stderr["data"]
            .as_str()
            .is_some_and(|text| text.contains("cannot fetch /nowhere/tool.sh")),
        "{stderr}"
    );
    assert!(
        server.log().contains("/nowhere/tool.sh"),
        "{}",
        server.log()
    );
}

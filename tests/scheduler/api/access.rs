//! Access to the API: other users and web pages are refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::json;

use crate::server::{Folder, Server, wait_for};

#[test]
fn a_page_of_another_origin_can_neither_submit_nor_read() {
    let server = Server::start();
    let foreign = "Origin: https://evil.example.org\r\nContent-Type: text/plain\r\n";
    for (method, target) in [
        ("POST", "/rawscheduler"),
        ("GET", "/pools"),
        ("GET", "/debug"),
        ("DELETE", "/rawscheduler?job=x"),
    ] {
        let answer = server.ask(
            method,
            target,
            foreign,
            br#"{"command": "touch /tmp/hacked"}"#,
        );
        assert_eq!(answer.status, 403, "{method} {target}: {}", answer.text());
        assert!(answer.text().contains("evil.example.org"));
    }
    for fields in [
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: https://evil.example.org\r\nOrigin: https://evil.example.org\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(
            server.ask("GET", "/pools", fields, b"").status,
            403,
            "{fields}"
        );
    }
    for host in [
        "evil.example.org",
        "127.0.0.2",
        "localhost.evil.example.org:1",
    ] {
        let answer = server.ask("GET", "/pools", &format!("Host: {host}\r\n"), b"");
        assert_eq!(answer.status, 421, "{host}: {}", answer.text());
    }
    let port = server.address.port();
    let own = format!(
        "Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\nSec-Fetch-Site: same-origin\r\n"
    );
    assert_eq!(server.ask("GET", "/pools", &own, b"").status, 200);
    let list = server.get("/list?user=root&state=waiting%2Brunning%2Bcompleted");
    assert!(
        list.status != 200 || list.json() == json!([]),
        "nothing was submitted"
    );
}

#[test]
fn another_user_of_this_machine_is_not_served() {
    let server = Server::start();
    let ask = |arguments: &[&str], target: &str| {
        let url = format!("http://{}{target}", server.address);
        Command::new("setpriv")
            .args([
                "--reuid",
                "65534",
                "--clear-groups",
                "curl",
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
            ])
            .args(arguments)
            .arg(url)
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(first) = ask(&[], "/pools") else {
        eprintln!("SKIPPED: becoming another user needs root, setpriv and curl");
        return;
    };
    assert_eq!(first, "403");
    for (arguments, target, status) in [
        (
            &["-d", "{\"command\": \"true\"}"][..],
            "/rawscheduler",
            "403",
        ),
        (&[], "/metrics", "403"),
        (&[], "/nowhere", "403"),
        (&[], "/files/read?path=/", "403"),
        (&["-X", "DELETE"], "/rawscheduler?job=x", "403"),
        (&[], "/debug", "200"),
        (&[], "/info", "200"),
    ] {
        assert_eq!(ask(arguments, target).as_deref(), Some(status), "{target}");
    }
    assert_eq!(server.get("/pools").status, 200, "its own user is served");
}

/// Runs this on a thread of another user; `None` if changing the user is not permitted.
fn as_nobody<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let thread = std::thread::spawn(|| {
        let nobody = rustix::process::Uid::from_raw(65_534);
        let became = rustix::thread::set_thread_res_uid(nobody, nobody, nobody);
        became.is_ok().then(run)
    });
    let ran = thread.join().expect("it does not panic");
    if ran.is_none() {
        eprintln!("SKIPPED: becoming another user needs root");
    }
    ran
}

#[test]
fn another_user_cannot_take_all_connections() {
    let server = Server::start();
    let address = server.address;
    // Many connections, each with an incomplete request, for which the server waits.
    let flood = as_nobody(move || {
        let connect = |_| {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.write_all(b"GET /debug HTTP/1.1\r\n").ok()?;
            Some(stream)
        };
        (0..400).map(connect).collect::<Vec<_>>()
    });
    for _ in 0..20 {
        assert_eq!(server.get("/pools").status, 200);
    }
    drop(flood);
}

#[test]
fn with_logins_a_password_is_needed_and_jobs_belong_to_users() {
    let folder = Folder::new();
    let file = folder.file(
        "config.edn",
        r#"{:authorization {:http-basic {:validation :config-file :valid-logins #{["bob" "secret"] ["eve" "other"]}}}}"#,
    );
    let file = file.to_string_lossy().into_owned();
    let server = Server::with(folder, &["--config", &file]);
    let bob = "Authorization: Basic Ym9iOnNlY3JldA==\r\n";
    let eve = "Authorization: Basic ZXZlOm90aGVy\r\n";
    let nobody = server.get("/pools");
    assert_eq!(nobody.status, 401);
    assert!(
        nobody.has("www-authenticate: Basic realm=\"Cook\", charset=\"UTF-8\""),
        "{}",
        nobody.head
    );
    let wrong = server.ask("GET", "/pools", "Authorization: Basic Ym9iOng=\r\n", b"");
    assert_eq!(wrong.status, 401);
    assert_eq!(server.get("/debug").status, 200);
    let submitted = server.ask("POST", "/jobs", bob, br#"{"jobs": [{"command": "true"}]}"#);
    assert_eq!(submitted.status, 201);
    let text = submitted.text();
    let uuid = text.rsplit(' ').next().expect("a uuid");
    let target = format!("/rawscheduler?job={uuid}");
    assert_eq!(
        server.ask("GET", &target, bob, b"").json()[0]["user"],
        "bob"
    );
    assert_eq!(server.ask("GET", &target, eve, b"").status, 403);
    assert_eq!(server.ask("DELETE", &target, eve, b"").status, 403);
    assert!(server.log().contains("do not isolate"), "{}", server.log());
    assert!(!server.log().contains("secret"));
}

#[test]
fn the_environment_of_a_job_and_passwords_are_shown_to_no_other_user() {
    let folder = Folder::new();
    let file = folder.file(
        "config.edn",
        r#"{:authorization {:http-basic {:validation :config-file :valid-logins #{["bob" "word-of-bob"] ["eve" "other"]}}}}"#,
    );
    let file = file.to_string_lossy().into_owned();
    let server = Server::with(folder, &["--config", &file]);
    let bob = "Authorization: Basic Ym9iOndvcmQtb2YtYm9i\r\n";
    let eve = "Authorization: Basic ZXZlOm90aGVy\r\n";
    let uuid = "26719da8-394f-44f9-9e6d-8a17500f5109";
    let body = json!({"jobs": [{
        "uuid": uuid, "command": "exit 3", "max_retries": 1, "env": {"TOKEN": "hidden-value"}
    }]});
    let submitted = server.ask("POST", "/jobs", bob, body.to_string().as_bytes());
    assert_eq!(submitted.status, 201, "{}", submitted.text());
    let own = |target: &str| server.ask("GET", target, bob, b"");
    wait_for("the end of the job", || {
        (own(&format!("/jobs/{uuid}")).json()["status"] == "completed").then_some(())
    });
    let job = own(&format!("/rawscheduler?job={uuid}"));
    assert!(job.text().contains("hidden-value"), "{}", job.text());
    let instance = job.json()[0]["instances"][0]["task_id"].clone();
    let instance = instance.as_str().expect("an instance").to_owned();
    for target in [
        format!("/rawscheduler?job={uuid}"),
        format!("/rawscheduler?instance={instance}"),
        format!("/jobs?uuid={uuid}"),
        format!("/jobs/{uuid}"),
        "/jobs?user=bob&state=completed".to_owned(),
        format!("/instances?uuid={instance}"),
        format!("/instances/{instance}"),
        "/list?user=bob&state=waiting%2Brunning%2Bcompleted".to_owned(),
        format!("/unscheduled_jobs?job={uuid}"),
        format!("/retry?job={uuid}"),
        format!("/files/browse?path=/{instance}"),
        "/usage?user=bob".to_owned(),
        "/settings".to_owned(),
        "/metrics".to_owned(),
        "/info".to_owned(),
        "/debug".to_owned(),
    ] {
        for fields in [eve, ""] {
            let shown = server.ask("GET", &target, fields, b"");
            let shown = shown.head.clone() + &shown.text();
            for hidden in ["hidden-value", "word-of-bob", "Ym9i"] {
                assert!(!shown.contains(hidden), "{target}: {shown}");
            }
        }
        // Passwords are not shown to anybody.
        assert!(!own(&target).text().contains("word-of-bob"), "{target}");
    }
    for hidden in ["hidden-value", "word-of-bob", "Ym9i"] {
        assert!(!server.log().contains(hidden), "{}", server.log());
    }
}

#[test]
fn commands_get_five_variables_of_the_scheduler_and_no_other() {
    // The scheduler has the environment of this test.
    if std::env::var_os("CARGO_MANIFEST_DIR").is_none() {
        eprintln!("SKIPPED: this test needs a variable that cargo sets");
        return;
    }
    let server = Server::start();
    let job = server.completed(&server.submit_one(r#"{"command": "env"}"#));
    let shown = server.stdout(&job);
    for name in ["PATH", "HOME", "USER", "LANG", "TZ"] {
        if let Ok(value) = std::env::var(name) {
            let line = format!("{name}={value}");
            assert!(
                shown.lines().any(|it| it == line),
                "{line} is not in {shown}"
            );
        }
    }
    assert!(!shown.contains("CARGO_"), "{shown}");
}

#[test]
fn of_more_than_256_busy_connections_the_last_ones_are_refused() {
    let server = Server::start();
    let host = server.address;
    let head = format!(
        "POST /jobs HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    );
    let busy: Vec<TcpStream> = (0..256)
        .map(|_| {
            let mut stream = TcpStream::connect(host).expect("it listens");
            stream.write_all(head.as_bytes()).expect("sent");
            let mut interim = [0; 25];
            stream
                .read_exact(&mut interim)
                .expect("it waits for a body");
            stream
        })
        .collect();
    let refused = server.get("/pools");
    assert_eq!(refused.status, 503, "{}", refused.text());
    drop(busy);
    wait_for("a free connection", || {
        (server.get("/pools").status == 200).then_some(())
    });
}

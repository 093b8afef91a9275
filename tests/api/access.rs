//! Who may use the task API: the task's own user and root, whatever a client does. Also the program as its
//! own client. Only root can act as several users; without it, tests say that they are skipped.

use std::process::Command;

use crate::support::users::{AS_TASK_USER, OTHER_USER, TASK_USER, as_user, is_root};
use crate::support::{Answer, Run, Setup, Talk, Target, hook};
use cook_mesos::messages::TaskState::{Finished, Running};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Sends a request as this user. Returns the response.
fn ask(target: &Target, user: u32, request: &str) -> Answer {
    as_user(user, || {
        let mut talk = target.connect();
        talk.say(request);
        talk.hear()
    })
}

/// A run whose after command shows whether `STOLEN` was set.
fn guarded(setup: Setup) -> Target {
    let show = r#"echo "${STOLEN-unset}" > stolen"#;
    Target::with(setup, json!({"after_commands": [hook(show)]}))
}

#[track_caller]
fn nothing_was_stolen(target: &Target) {
    let view = target.view();
    assert_eq!((view.get("progress"), view.get("message")), (None, None));
    target.let_go();
    assert_eq!(target.run.lines("stolen"), ["unset"]);
}

const THEFT: &str = "{env: {STOLEN: '1'}, progress: 66, message: 'stolen'}";

#[test]
fn another_users_curl_gets_403_in_json_and_changes_nothing() {
    if !is_root("another_users_curl_gets_403_in_json_and_changes_nothing") {
        return;
    }
    let target = guarded(Setup::new());
    for arguments in [vec![], vec!["-X", "PATCH", "-d", THEFT]] {
        let output = Command::new("setpriv")
            .args(["--reuid", "2002", "--regid", "2002", "--clear-groups"])
            .args(["curl", "-s", "-w", "\n%{http_code}"])
            .args(arguments)
            .arg(target.url())
            .output()
            .expect("setpriv is there");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let (body, status) = text.rsplit_once('\n').expect("two parts");
        assert_eq!(status, "403", "{text}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let error = body["error"].as_str().expect("a text");
        assert!(
            error.contains("only the task's own user and root"),
            "{error}"
        );
    }
    nothing_was_stolen(&target);
    let log = target.run.sandbox.read("executor.log");
    assert!(
        log.contains("the connection belongs to uid 2002, not to the task's user or root"),
        "{log}"
    );
}

#[test]
fn an_unprivileged_task_admits_its_own_user_and_root_and_nobody_else() {
    if !is_root("an_unprivileged_task_admits_its_own_user_and_root_and_nobody_else") {
        return;
    }
    let target = guarded(Setup::new().prelude(AS_TASK_USER));
    assert_eq!(ask(&target, OTHER_USER, &target.get()).status, 403);
    assert_eq!(ask(&target, OTHER_USER, &target.patch(THEFT)).status, 403);
    // An unauthorised client must not learn what is wrong with its request.
    for request in [
        "GARBAGE\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(ask(&target, OTHER_USER, request).status, 403);
    }
    let answer = ask(&target, OTHER_USER, &target.request("OPTIONS", "", ""));
    assert!(
        answer.error().contains("only the task's own user and root"),
        "{answer:?}"
    );
    for friend in [TASK_USER, 0] {
        assert_eq!(ask(&target, friend, &target.get()).status, 200);
        assert_eq!(
            ask(&target, friend, &target.patch("{env: {FRIEND: '1'}}")).status,
            204
        );
    }
    nothing_was_stolen(&target);
}

#[test]
fn the_owner_of_an_ipv6_socket_is_found_too() {
    if !is_root("the_owner_of_an_ipv6_socket_is_found_too") {
        return;
    }
    let target = guarded(Setup::new());
    let mapped = |user| {
        as_user(user, || {
            let address = ("::ffff:127.0.0.1", target.port);
            let stream = std::net::TcpStream::connect(address).expect("listening");
            let mut talk = Talk(stream);
            talk.say(&target.patch(if user == 0 { "{}" } else { THEFT }));
            talk.hear().status
        })
    };
    assert_eq!(mapped(OTHER_USER), 403);
    assert_eq!(mapped(0), 204);
    nothing_was_stolen(&target);
}

#[test]
fn a_client_that_disconnects_before_the_look_up_is_not_taken_for_root() {
    if !is_root("a_client_that_disconnects_before_the_look_up_is_not_taken_for_root") {
        return;
    }
    let target = guarded(Setup::new());
    // In the kernel's tables, a socket without a process belongs to user 0. The executor must find such
    // sockets.
    target.run.executor.signal(Signal::STOP);
    let patch = target.patch(THEFT);
    let half_closed = as_user(OTHER_USER, || {
        for _ in 0..10 {
            target.connect().say(&patch);
        }
        let mut talk = target.connect();
        talk.say(&patch);
        talk.end();
        talk
    });
    target.run.executor.signal(Signal::CONT);
    let mut talk = half_closed;
    assert_eq!(talk.hear().status, 403, "its socket still has an owner");
    nothing_was_stolen(&target);
    // This needs no special permission.
    let log = target.run.sandbox.read("executor.log");
    assert!(!log.contains("NETLINK"), "{log}");
}

#[test]
fn other_users_do_not_lock_out_the_tasks_user() {
    if !is_root("other_users_do_not_lock_out_the_tasks_user") {
        return;
    }
    let target = guarded(Setup::new());
    // Warm up: open everything that an executor opens once.
    target.run.wait_for(Running);
    target.view();
    let descriptors = target.descriptors();
    let held = as_user(OTHER_USER, || {
        (0..200).map(|_| target.connect()).collect::<Vec<_>>()
    });
    target.view();
    drop(held);
    target.wait_for_descriptors(descriptors + 1);
    nothing_was_stolen(&target);
}

#[test]
fn a_web_page_of_another_origin_is_refused_and_our_own_is_not() {
    let target = guarded(Setup::new());
    let own = format!("http://127.0.0.1:{}", target.port);
    let other_port = format!("http://127.0.0.1:{}", target.port ^ 1);
    let localhost = format!("http://localhost:{}", target.port);
    let status = |method: &str, origins: &[&str]| {
        let fields: String = origins
            .iter()
            .map(|it| format!("Origin: {it}\r\n"))
            .collect();
        let body = if method == "PATCH" { THEFT } else { "" };
        let length = format!("Content-Length: {}\r\n", body.len());
        let mut talk = target.connect();
        talk.say(&target.request(method, &(fields + &length), body));
        talk.hear_head().status
    };
    for foreign in [
        "http://evil.example",
        "null",
        "",
        "https://127.0.0.1",
        other_port.as_str(),
        localhost.as_str(),
    ] {
        for method in ["GET", "HEAD", "PATCH", "OPTIONS", "POST", "BREW"] {
            assert_eq!(status(method, &[foreign]), 403, "{method} {foreign:?}");
        }
    }
    assert_eq!(status("PATCH", &[own.as_str(), "http://evil.example"]), 403);
    assert_eq!(status("GET", &[own.as_str()]), 200);
    assert_eq!(status("GET", &[]), 200);
    nothing_was_stolen(&target);
}

/// A browser sends no `Origin` with a GET to the page's own origin.
#[test]
fn a_web_page_without_an_origin_is_refused_too() {
    let target = Target::new();
    let port = target.port;
    let path = &target.path;
    let status = |fields: &str| {
        let mut talk = target.connect();
        talk.say(&format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
        talk.hear_head().status
    };
    // Names whose owners can make them resolve to this address.
    for host in [
        "evil.example",
        "EVIL.EXAMPLE.:1",
        "127.0.0.1.evil.example",
        "a.1x",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 403, "{host}");
        assert_eq!(status(&format!("Host: {host}:{port}\r\n")), 403, "{host}");
    }
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "my-machine",
        "10.0.0.1",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 200, "{host}");
        assert_eq!(status(&format!("Host: {host}:{port}\r\n")), 200, "{host}");
    }
    for (site, wanted) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("", 403),
        ("same-origin", 200),
        ("none", 200),
    ] {
        let fields = format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: {site}\r\n");
        assert_eq!(status(&fields), wanted, "{site:?}");
    }
    target.let_go();
}

/// Runs shell lines as a task's command, which must succeed.
#[track_caller]
fn run_lines(lines: &[&str]) -> Run {
    let run = Run::start(json!({"command": format!("set -e\n{}", lines.join("\n"))}));
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    run
}

#[test]
fn the_binary_is_a_client_that_prints_the_body() {
    let run = run_lines(&[
        r#"test -x "$EXECUTOR_BIN""#,
        r#""$EXECUTOR_BIN" patch '{"progress": 10, env: {A: "1"}}' > out 2> err"#,
        r#"test ! -s out; test ! -s err"#,
        r#""$EXECUTOR_BIN" get > view"#,
    ]);
    let view: Value = serde_json::from_str(&run.sandbox.read("view")).expect("JSON");
    assert_eq!(view["progress"], 10);
    assert_eq!(view["state"], "TASK_RUNNING");
}

#[test]
fn the_client_exits_1_with_the_reason_on_stderr() {
    let run = run_lines(&[
        "status() { \"$@\" > out 2> err && echo 0 >> codes || echo $? >> codes; test ! -s out; }",
        r#"status "$EXECUTOR_BIN" patch '{"progres": 1}'; mv err typo"#,
        r#"status "$EXECUTOR_BIN" patch ''; mv err empty"#,
        r#"export EXECUTOR_ENDPOINT=${EXECUTOR_ENDPOINT}x; status "$EXECUTOR_BIN" get; mv err path"#,
        r#"export EXECUTOR_ENDPOINT=http://127.0.0.1:1/task/x; status "$EXECUTOR_BIN" get; mv err port"#,
        r#"export EXECUTOR_ENDPOINT=nonsense; status "$EXECUTOR_BIN" get; mv err nonsense"#,
        r#"export EXECUTOR_ENDPOINT=; status "$EXECUTOR_BIN" get; mv err none"#,
        r#"unset EXECUTOR_ENDPOINT; status "$EXECUTOR_BIN" get; mv err unset"#,
    ]);
    assert_eq!(run.lines("codes"), ["1", "2", "1", "1", "1", "1", "1"]);
    let endpoint = |value: &str| {
        format!(
            "cook-executor: EXECUTOR_ENDPOINT is {value:?}, not a task's endpoint such as \
             http://127.0.0.1:31005/task/some-id"
        )
    };
    for (file, text) in [
        (
            "typo",
            r#"{"error":"unknown key \"progres\" (did you mean \"progress\"?): allowed are \"progress\", \"message\" and \"env\""}"#
                .to_owned(),
        ),
        (
            "empty",
            "cook-executor: this is a command of a task; the arguments must be get, or patch '{\"progress\": 10}'".to_owned(),
        ),
        (
            "path",
            r#"{"error":"there is no task at this path: use the address in $EXECUTOR_ENDPOINT"}"#.to_owned(),
        ),
        (
            "port",
            "cook-executor: failed to reach the task API at http://127.0.0.1:1/task/x: Connection refused (os \
             error 111)"
                .to_owned(),
        ),
        ("nonsense", endpoint("nonsense")),
        ("none", endpoint("")),
        (
            "unset",
            "cook-executor: EXECUTOR_ENDPOINT is not set: get and patch can be used only in a task's command"
                .to_owned(),
        ),
    ] {
        assert_eq!(run.sandbox.read(file), format!("{text}\n"), "{file}");
    }
}

#[test]
fn without_the_agents_variables_it_names_them_and_cook_local() {
    let run = run_lines(&[
        r#"for words in "run --fast" "" "get rich" "patch progress"; do env -i "$EXECUTOR_BIN" $words 2>> err && exit 1; done"#,
        "env -i MESOS_FRAMEWORK_ID= MESOS_EXECUTOR_ID=e MESOS_SLAVE_PID=agent:5051 \"$EXECUTOR_BIN\" 2>> err && exit 1",
        "true",
    ]);
    let lines = run.lines("err");
    let hint = "this program is started by a Mesos agent. To run a job without one, use cook-local";
    let missing = format!(
        "cook-executor: MESOS_FRAMEWORK_ID is not set, MESOS_EXECUTOR_ID is not set, MESOS_SLAVE_PID or \
         MESOS_AGENT_ENDPOINT is not set; {hint}"
    );
    let unusable = format!(
        "cook-executor: MESOS_FRAMEWORK_ID is empty, MESOS_SLAVE_PID is \"agent:5051\", not an agent's address \
         such as slave(1)@10.0.0.1:5051; {hint}"
    );
    let lines: Vec<&String> = lines.iter().collect();
    assert_eq!(lines, [&missing, &missing, &missing, &missing, &unusable]);
}

/// Marathon appends the task's command.
#[test]
fn other_arguments_do_not_make_an_executor_a_client() {
    for words in [
        "get rich quick",
        "patch progress",
        "patch ''",
        "sleep 1000",
        "GET",
    ] {
        let run = Setup::new()
            .variable("EXECUTOR_ENDPOINT", "http://127.0.0.1:1/task/x")
            .prelude(format!("exec \"$0\" {words}"))
            .launch(json!({"command": "true"}));
        assert_eq!(run.finish().state, Finished, "{words}");
    }
}

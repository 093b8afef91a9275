//! The owner of a connection, against attempts to pass for somebody else: reset connections and guessed
//! ports, and user namespaces in which many users look alike. Needs root.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::users::{AS_TASK_USER, OTHER_USER, TASK_USER, THIRD_USER, as_user, is_root};
use crate::support::{Run, Setup, Talk, Target, hook};
use cook_mesos::messages::TaskState::Finished;
use cook_test_agent::agent::PATIENCE;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use rustix::process::Signal;
use serde_json::json;

const THEFT: &str = "{env: {STOLEN: '1'}, progress: 66, message: 'stolen'}";

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

/// A connection of `user` from this local port; 0 means any port.
fn connect_from(user: u32, port: u16, target: &Target) -> Talk {
    as_user(user, || {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("a socket");
        let localhost = Ipv4Addr::LOCALHOST;
        bind(&socket, &SocketAddrV4::new(localhost, port)).expect("the port is free");
        connect(&socket, &SocketAddrV4::new(localhost, target.port)).expect("listening");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Talk(stream)
    })
}

fn local_port(talk: &Talk) -> u16 {
    match talk.0.local_addr() {
        Ok(SocketAddr::V4(address)) => address.port(),
        other => panic!("{other:?}"),
    }
}

fn reset(talk: Talk) {
    sockopt::set_socket_linger(&talk.0, Some(Duration::ZERO)).expect("a TCP socket");
}

/// While the executor is stopped, another user sends a request and resets the connection, so that the
/// request is in the queue when `comes_again` lets somebody connect from the same port.
fn with_a_theft_in_the_queue(target: &Target, comes_again: impl FnOnce(u16)) {
    target.run.executor.signal(Signal::STOP);
    let mut thief = connect_from(OTHER_USER, 0, target);
    let port = local_port(&thief);
    thief.say(&target.patch(THEFT));
    reset(thief);
    comes_again(port);
}

#[test]
fn another_users_request_is_not_served_when_the_tasks_user_connects_from_its_port() {
    if !is_root("another_users_request_is_not_served_when_the_tasks_user_connects_from_its_port") {
        return;
    }
    // Also with a task of root, and if root connects.
    for (setup, user) in [
        (Setup::new().prelude(AS_TASK_USER), TASK_USER),
        (Setup::new().prelude(AS_TASK_USER), 0),
        (Setup::new(), 0),
    ] {
        let target = guarded(setup);
        let mut own = None;
        with_a_theft_in_the_queue(&target, |port| {
            let mut talk = connect_from(user, port, &target);
            talk.say(&target.get());
            own = Some(talk);
        });
        target.run.executor.signal(Signal::CONT);
        let answer = own.expect("connected").hear();
        assert_eq!(answer.status, 200, "the user's own request: {answer:?}");
        nothing_was_stolen(&target);
    }
}

#[test]
fn curl_from_the_port_of_another_user_gets_only_its_own_response() {
    if !is_root("curl_from_the_port_of_another_user_gets_only_its_own_response") {
        return;
    }
    let target = guarded(Setup::new().prelude(AS_TASK_USER));
    let mut curl = None;
    with_a_theft_in_the_queue(&target, |port| {
        let child = Command::new("setpriv")
            .args(["--reuid", "2001", "--regid", "2001", "--clear-groups"])
            .args(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"])
            .args(["--local-port", &port.to_string(), &target.url()])
            .stdout(Stdio::piped())
            .spawn();
        curl = Some(child.expect("setpriv is there"));
        target.run.wait_while("curl connects", |_| {
            // The connection is in the table and ESTABLISHED.
            let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
            !table.contains(&format!(
                "0100007F:{port:04X} 0100007F:{:04X} 01",
                target.port
            ))
        });
    });
    target.run.executor.signal(Signal::CONT);
    let output = curl.expect("started").wait_with_output().expect("a child");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    nothing_was_stolen(&target);
}

#[test]
fn another_user_on_the_port_of_the_tasks_user_is_refused() {
    if !is_root("another_user_on_the_port_of_the_tasks_user_is_refused") {
        return;
    }
    let target = guarded(Setup::new().prelude(AS_TASK_USER));
    for first in [THIRD_USER, TASK_USER] {
        target.run.executor.signal(Signal::STOP);
        let talk = connect_from(first, 0, &target);
        let port = local_port(&talk);
        reset(talk);
        let mut thief = connect_from(OTHER_USER, port, &target);
        thief.say(&target.patch(THEFT));
        target.run.executor.signal(Signal::CONT);
        assert_eq!(thief.hear().status, 403);
    }
    nothing_was_stolen(&target);
}

#[test]
fn a_listener_of_the_tasks_user_on_the_port_of_another_user_admits_nobody() {
    if !is_root("a_listener_of_the_tasks_user_on_the_port_of_another_user_admits_nobody") {
        return;
    }
    let target = guarded(Setup::new().prelude(AS_TASK_USER));
    let mut listener = None;
    with_a_theft_in_the_queue(&target, |port| {
        listener = Some(as_user(TASK_USER, || {
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free")
        }));
    });
    target.run.executor.signal(Signal::CONT);
    nothing_was_stolen(&target);
    drop(listener);
}

/// Whether root may create user namespaces on this machine. If not, prints that the test is skipped.
fn has_namespaces(test: &str, options: &str) -> bool {
    let unshare = format!("unshare {options} true");
    let works = Command::new("sh")
        .args(["-c", &unshare])
        .stderr(Stdio::null())
        .status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {unshare} does not work on this machine"
        );
    }
    works
}

/// Runs a task with this prelude. Returns the run and the endpoint.
fn endpoint_of(prelude: &str, job: serde_json::Value) -> (Run, String) {
    let mut job = job;
    job["command"] = r#"echo "${EXECUTOR_ENDPOINT-unset}" > endpoint"#.into();
    let run = Setup::new().prelude(prelude).launch(job);
    let ended = run.finish();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    let endpoint = run.sandbox.read("endpoint").trim().to_owned();
    (run, endpoint)
}

#[test]
fn for_an_ambiguous_uid_there_is_no_api_and_log_and_message_say_so() {
    let test = "for_an_ambiguous_uid_there_is_no_api_and_log_and_message_say_so";
    let unmapped = "chmod 777 . * ; exec unshare --user \"$0\"";
    let overflow = "cp \"$0\" cook-executor && chmod 777 . * && \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups ./cook-executor";
    if !is_root(test) {
        return;
    }
    let mut preludes = vec![overflow];
    if has_namespaces(test, "--user") {
        preludes.push(unmapped);
    }
    // This user is mapped, but all unmapped users look like it.
    if has_namespaces(test, "--user --map-user=65534") {
        preludes.push("chmod 777 . * ; exec unshare --user --map-user=65534 \"$0\"");
    }
    for prelude in preludes {
        let (run, endpoint) = endpoint_of(prelude, json!({}));
        assert_eq!(endpoint, "unset", "{prelude}");
        let log = run.sandbox.read("executor.log");
        assert!(
            log.contains("EXECUTOR_ENDPOINT is not set: the executor's uid 65534"),
            "{log}"
        );
        run.agent.inspect(|journal| {
            let message = journal
                .terminal_of("task-1")
                .and_then(|it| it.message.clone());
            let message = message.unwrap_or_default();
            assert!(message.contains("Command exited"), "{message}");
            assert!(message.contains("there was no task API"), "{message}");
        });
    }
}

#[test]
fn in_a_user_namespace_unmapped_users_are_refused() {
    let test = "in_a_user_namespace_unmapped_users_are_refused";
    if !is_root(test) || !has_namespaces(test, "--user --map-root-user") {
        return;
    }
    let prelude = "exec unshare --user --map-root-user \"$0\"";
    let target = guarded(Setup::new().prelude(prelude));
    let ask = |user| {
        as_user(user, || {
            let mut talk = target.connect();
            talk.say(&target.patch(if user == 0 { "{}" } else { THEFT }));
            talk.hear().status
        })
    };
    for other in [TASK_USER, OTHER_USER, 65_534] {
        assert_eq!(ask(other), 403, "{other}");
    }
    assert_eq!(ask(0), 204);
    nothing_was_stolen(&target);
}

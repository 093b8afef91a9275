//! Another user who listens at the agent's address while the agent is away.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use cook_mesos::messages::TaskState::{Finished, Running};
use cook_test_agent::agent::PATIENCE;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use serde_json::json;

use crate::support::users::{AS_TASK_USER, OTHER_USER, TASK_USER, as_user, is_root};
use crate::support::{Run, Setup, wait_for_word};

const TOKEN: &str = "the-token-of-the-executor";

/// How long an impostor waits for a connection: many times as long as the executor waits between two
/// attempts.
const WAIT: Duration = Duration::from_millis(500);

/// Listens at the agent's address as this user.
fn listen_as(user: u32, address: SocketAddr) -> TcpListener {
    as_user(user, || {
        // CLOEXEC: processes of other tests must not inherit it.
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let socket = socket.expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("a socket");
        bind(&socket, &address).expect("the agent is away");
        listen(&socket, 16).expect("the agent is away");
        socket.into()
    })
}

/// Everything that the executor sends to this listener within some time.
fn heard(listener: &TcpListener) -> String {
    listener.set_nonblocking(true).expect("ours");
    let end = Instant::now() + WAIT;
    let mut heard = String::new();
    let mut streams = Vec::new();
    while Instant::now() < end {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("ours");
            streams.push(stream);
        }
        for stream in &mut streams {
            let mut bytes = [0; 4096];
            if let Ok(length) = stream.read(&mut bytes) {
                heard += &String::from_utf8_lossy(&bytes[..length]);
            }
        }
        std::thread::yield_now();
    }
    heard
}

fn running(setup: Setup) -> Run {
    let run = setup
        .prelude(AS_TASK_USER)
        .variable("MESOS_SUBSCRIPTION_BACKOFF_MAX", "50ms")
        .agent(|config| config.token = Some(TOKEN.to_owned()))
        .launch(json!({"command": wait_for_word("go")}));
    run.wait_for(Running);
    run
}

#[test]
fn another_user_at_the_agents_address_gets_nothing_and_the_agent_is_found_again() {
    if !is_root("another_user_at_the_agents_address_gets_nothing_and_the_agent_is_found_again") {
        return;
    }
    // The task's own user is not the agent's user either.
    for user in [OTHER_USER, TASK_USER] {
        let run = running(Setup::new());
        run.agent.go_away();
        let listener = listen_as(user, run.agent.address());
        assert_eq!(heard(&listener), "", "{user}");
        drop(listener);
        run.agent.come_back().expect("its port is free again");
        run.wait_for_subscriptions(2);
        run.say("go");
        assert_eq!(run.finish().state, Finished);
        let log = run.sandbox.read("executor.log");
        let told = format!("uid {user} listens at the address of the agent, which ran as uid 0");
        assert!(log.contains(&told), "{log}");
    }
}

#[test]
fn root_at_the_agents_address_is_trusted() {
    if !is_root("root_at_the_agents_address_is_trusted") {
        return;
    }
    let run = running(Setup::new());
    run.agent.go_away();
    let listener = listen_as(0, run.agent.address());
    let deadline = Instant::now() + PATIENCE;
    let mut told = String::new();
    while !told.contains(TOKEN) {
        told += &heard(&listener);
        assert!(Instant::now() < deadline, "{told}");
    }
    drop(listener);
    run.agent.come_back().expect("its port is free again");
    run.wait_for_subscriptions(2);
    run.say("go");
    assert_eq!(run.finish().state, Finished);
}

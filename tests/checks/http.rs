//! HTTP and TCP probes: without curl, only on loopback, and without waiting for more than necessary.

use std::net::TcpListener;
use std::process::Command;

use cook_mesos::messages::{HealthCheck, HttpCheckInfo, PROTOCOL_IPV6, TcpCheckInfo};

use crate::common::{
    CHECK_UPDATED, end, health, http_check, http_health, run_with, run_with_check, run_with_health,
    status_code, tcp_health, wait_for, wait_for_count,
};
use crate::server::{Answer, Server};
use crate::support::{Setup, TASK};

#[test]
fn a_request_has_path_and_host_and_uses_no_proxy() {
    let server = Server::start(Answer::Status(200));
    let setup = Setup::new()
        .variable("http_proxy", "http://127.0.0.1:1")
        .variable("ALL_PROXY", "http://127.0.0.1:1");
    let mut check = http_health(server.port());
    if let Some(http) = &mut check.http {
        http.path = Some(b"/a/b?c=d#e".to_vec());
    }
    let run = run_with(setup, None, Some(check));
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    end(&run);
    let request = server.requests().remove(0).to_ascii_lowercase();
    assert!(
        request.starts_with("get /a/b?c=d http/1.1\r\n"),
        "{request}"
    );
    let host = format!("\r\nhost: 127.0.0.1:{}\r\n", server.port());
    for line in [
        &host,
        "\r\naccept: */*\r\n",
        "\r\nuser-agent: cook-executor/",
        "\r\nconnection: close\r\n",
    ] {
        assert!(request.contains(line), "{line:?} in {request}");
    }
}

#[test]
fn the_default_path_is_the_root() {
    let server = Server::start(Answer::Status(200));
    let run = run_with_check(http_check(server.port()));
    wait_for(&run, "a status", |told| {
        told.status == Some(status_code(Some(200)))
    });
    end(&run);
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
}

#[test]
fn only_the_head_of_the_final_response_counts() {
    let server = Server::start(Answer::Endless);
    let run = run_with_check(http_check(server.port()));
    wait_for(&run, "a status", |told| {
        told.status == Some(status_code(Some(200)))
    });
    server.set(Answer::Bytes(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n",
    ));
    wait_for(&run, "the real status", |told| {
        told.status == Some(status_code(Some(503)))
    });
    server.set(Answer::Bytes("HTTP/1.0 404 No\r\n\r\n"));
    wait_for(&run, "an old server's", |told| {
        told.status == Some(status_code(Some(404)))
    });
    server.set(Answer::Bytes("SSH-2.0-OpenSSH\r\n\r\n"));
    wait_for_count(&run, CHECK_UPDATED, 4);
    end(&run);
}

#[test]
fn a_redirection_is_healthy_and_not_followed() {
    let server = Server::start(Answer::Bytes(
        "HTTP/1.1 302 There\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
    ));
    let run = run_with_health(http_health(server.port()));
    let healthy = wait_for(&run, "healthy", |told| told.healthy.is_some());
    assert_eq!(healthy.healthy, Some(true));
    assert!(
        healthy.message.contains("status 302"),
        "{}",
        healthy.message
    );
    end(&run);
}

#[test]
fn a_server_without_a_response_fails_after_the_timeout() {
    let server = Server::start(Answer::Silence);
    let check = HealthCheck {
        timeout_seconds: Some(0.2),
        consecutive_failures: Some(2),
        ..http_health(server.port())
    };
    let run = run_with_health(check);
    let message = run.finish().message;
    let wanted =
        "Killed: HTTP health check failed 2 times in a row: timed out after 200ms (127.0.0.1:";
    assert!(message.starts_with(wanted), "{message}");
}

#[test]
fn a_server_that_closes_the_connection_fails_with_that_message() {
    let server = Server::start(Answer::Bytes(""));
    let mut check = http_health(server.port());
    check.consecutive_failures = Some(0);
    let run = run_with_health(check);
    let message = run.finish().message;
    assert!(
        message.contains("closed before the response was complete"),
        "{message}"
    );
}

#[test]
fn ipv6_is_used_if_requested_by_http_and_tcp() {
    let Some(server) = Server::on("::1", Answer::Status(200)) else {
        eprintln!("SKIPPED: no IPv6 on this machine");
        return;
    };
    let port = server.port();
    let protocol = Some(PROTOCOL_IPV6);
    let http = HttpCheckInfo {
        port,
        protocol,
        ..HttpCheckInfo::default()
    };
    let by_http = HealthCheck {
        kind: Some(2),
        http: Some(http),
        ..health()
    };
    let by_tcp = HealthCheck {
        kind: Some(3),
        tcp: Some(TcpCheckInfo { port, protocol }),
        ..health()
    };
    for check in [by_http, by_tcp] {
        let run = run_with_health(check);
        let told = wait_for(&run, "healthy", |told| told.healthy == Some(true));
        assert!(
            told.message.contains(&format!("([::1]:{port}")),
            "{}",
            told.message
        );
        end(&run);
    }
    // Nobody listens there with IPv4.
    let mut check = tcp_health(port);
    check.consecutive_failures = Some(1);
    let run = run_with_health(check);
    let message = run.finish().message;
    assert!(
        message.contains(&format!("connection refused (127.0.0.1:{port})")),
        "{message}"
    );
}

/// Proves that a real curl accepts our options.
#[test]
fn https_works_with_the_installed_curl() {
    for program in ["curl", "openssl"] {
        if Command::new(program).arg("version").output().is_err() {
            eprintln!("SKIPPED: {program} is not installed");
            return;
        }
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port().into();
    drop(free);
    let mut check = http_health(port);
    if let Some(http) = &mut check.http {
        http.scheme = Some(b"https".to_vec());
        http.path = Some(b"/".to_vec());
    }
    let run = Setup::new()
        // Neither the user's curl configuration nor the proxy may be used.
        .variable("HOME", "home")
        .variable("https_proxy", "http://127.0.0.1:1")
        .prelude("mkdir home; echo 'fail = wrong' > home/.curlrc; exec \"$0\"")
        .start();
    let service = format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout key -out cert 2> /dev/null \
         && exec openssl s_server -quiet -www -accept 127.0.0.1:{port} -key key -cert cert"
    );
    run.agent
        .launch(crate::common::task(&run, &service, None, Some(check)));
    let well = wait_for(&run, "healthy", |told| told.healthy == Some(true));
    let wanted = format!("HTTP health check succeeded: status 200 (https://127.0.0.1:{port}/)");
    assert_eq!(well.message, wanted);
    end(&run);
}

#[test]
fn https_uses_curl_if_installed() {
    let server = Server::start(Answer::Status(200));
    let https = |port| HealthCheck {
        http: Some(HttpCheckInfo {
            port,
            scheme: Some(b"https".to_vec()),
            path: Some(b"/x".to_vec()),
            ..HttpCheckInfo::default()
        }),
        ..http_health(port)
    };
    // A curl that records its arguments, and prints a prepared output.
    let prelude = "mkdir bin; printf '%s\\n' '#!/bin/sh' 'echo \"$@\" >> curled' 'cat curl.out; exit $(cat curl.code)' \
         > bin/curl; chmod 755 bin/curl; export PATH=\"$PWD/bin:$PATH\"";
    let run = Setup::new().prelude(prelude).start();
    run.sandbox.write("curl.out", "200");
    run.sandbox.write("curl.code", "0");
    run.agent.launch(crate::common::task(
        &run,
        "sleep 600",
        None,
        Some(https(server.port())),
    ));
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    let url = format!("https://127.0.0.1:{}/x", server.port());
    let asked = run.lines("curled").remove(0);
    assert!(asked.ends_with(&url), "{asked}");
    assert!(
        asked.contains("--insecure") && asked.contains("--noproxy *"),
        "{asked}"
    );
    run.sandbox
        .write("curl.out", "curl: (7) Failed to connect\n000");
    run.sandbox.write("curl.code", "7");
    let sick = wait_for(&run, "unhealthy", |told| told.healthy == Some(false));
    let wanted = format!("HTTP health check failed: curl: (7) Failed to connect ({url})");
    assert_eq!(sick.message, wanted);
    end(&run);
    // Without curl, the task is refused.
    let run = Setup::new().variable("PATH", "/nonexistent").start();
    run.agent
        .launch(crate::common::task(&run, "sleep 600", None, Some(https(1))));
    let ended = run.finish();
    assert!(
        ended
            .message
            .contains("health_check.http.scheme is https, which needs curl"),
        "{}",
        ended.message
    );
    assert_eq!(
        run.agent.inspect(|journal| journal.states_of(TASK).len()),
        2
    );
}

//! The results of general checks, and the updates about them.

use cook_mesos::messages::{
    CheckStatusInfo,
    TaskState::{Running, Starting},
};

use crate::common::{
    CHECK_UPDATED, Told, all_told, command_check, connected, end, exit_code, http_check,
    run_with_check, status_code, tcp_check, wait_for, wait_for_count, with_reason,
};
use crate::server::{Answer, Server};
use crate::support::Run;

#[track_caller]
fn wait_for_status(run: &Run, status: CheckStatusInfo) -> Told {
    let is_it =
        |told: &Told| told.reason == Some(CHECK_UPDATED) && told.status.as_ref() == Some(&status);
    wait_for(run, &format!("{status:?}"), is_it)
}

#[test]
fn a_commands_exit_status_is_reported_when_it_changes() {
    let run = run_with_check(command_check(
        "echo x >> looks; exit $(cat wanted || echo 7)",
    ));
    let first = wait_for_status(&run, exit_code(Some(7)));
    assert_eq!(first.state, Running);
    assert!(
        first
            .message
            .starts_with("COMMAND check: exited with status 7 (echo x"),
        "{}",
        first.message
    );
    run.wait_while("three looks", |run| run.lines("looks").len() < 3);
    assert_eq!(with_reason(&run, CHECK_UPDATED).len(), 1);
    run.sandbox.write("wanted", "0");
    wait_for_status(&run, exit_code(Some(0)));
    assert_eq!(first.healthy, None);
    end(&run);
    let told = all_told(&run);
    assert_eq!((told[0].state, told[1].state), (Starting, Running));
    assert_eq!(told[0].status, Some(exit_code(None)));
    assert_eq!(told[1].status, Some(exit_code(None)));
}

#[test]
fn a_command_killed_by_a_signal_gives_an_empty_result_and_probes_continue() {
    let value = "echo x >> looks; test -e well || kill -9 $$";
    let run = run_with_check(command_check(value));
    run.wait_while("two looks", |run| run.lines("looks").len() < 2);
    assert_eq!(with_reason(&run, CHECK_UPDATED), []);
    run.sandbox.write("well", "");
    wait_for_status(&run, exit_code(Some(0)));
    std::fs::remove_file(run.sandbox.path().join("well")).expect("it is there");
    let empty = wait_for_count(&run, CHECK_UPDATED, 2).remove(1);
    assert_eq!(empty.status, Some(exit_code(None)));
    assert!(
        empty.message.contains("terminated with signal Killed"),
        "{}",
        empty.message
    );
    end(&run);
}

#[test]
fn any_status_of_a_server_is_reported_and_no_response_gives_an_empty_result() {
    let server = Server::start(Answer::Status(500));
    let run = run_with_check(http_check(server.port()));
    let found = wait_for_status(&run, status_code(Some(500)));
    let wanted = format!("HTTP check: status 500 (127.0.0.1:{}/)", server.port());
    assert_eq!(found.message, wanted);
    server.set(Answer::Status(302));
    wait_for_status(&run, status_code(Some(302)));
    drop(server);
    let empty = wait_for_status(&run, status_code(None));
    assert!(
        empty
            .message
            .contains("HTTP check: connection refused (127.0.0.1:"),
        "{}",
        empty.message
    );
    end(&run);
}

#[test]
fn a_refused_connection_is_a_result_of_a_tcp_check() {
    let server = Server::start(Answer::Status(200));
    let port = server.port();
    let run = run_with_check(tcp_check(port));
    let found = wait_for_status(&run, connected(Some(true)));
    assert_eq!(
        found.message,
        format!("TCP check: connected (127.0.0.1:{port})")
    );
    drop(server);
    let found = wait_for_status(&run, connected(Some(false)));
    assert_eq!(
        found.message,
        format!("TCP check: connection refused (127.0.0.1:{port})")
    );
    end(&run);
    let last = all_told(&run).pop().expect("there are updates");
    assert_eq!(last.status, Some(connected(Some(false))));
}

#[test]
fn a_timeout_before_any_result_is_not_reported_and_a_later_one_empties_the_result() {
    let server = Server::start(Answer::Silence);
    let mut check = http_check(server.port());
    check.timeout_seconds = Some(0.2);
    let run = run_with_check(check);
    run.wait_while("two looks", |_| server.requests().len() < 2);
    assert_eq!(with_reason(&run, CHECK_UPDATED), []);
    server.set(Answer::Status(200));
    wait_for_status(&run, status_code(Some(200)));
    server.set(Answer::Silence);
    let empty = wait_for_status(&run, status_code(None));
    assert!(
        empty.message.contains("timed out after 200ms"),
        "{}",
        empty.message
    );
    end(&run);
}

#[test]
fn a_general_check_never_kills_the_task() {
    let run = run_with_check(command_check("echo x >> looks; exit 9"));
    run.wait_while("five looks", |run| run.lines("looks").len() < 5);
    end(&run);
    let told = all_told(&run);
    assert!(told.iter().all(|told| told.healthy.is_none()), "{told:?}");
}

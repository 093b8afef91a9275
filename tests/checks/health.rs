//! The results of health checks, the updates about them, and how they end a task.

use std::time::{Duration, Instant};

use cook_mesos::messages::{
    DurationInfo, HealthCheck, HttpCheckInfo, KillPolicy, TASK_KILLING_STATE, TaskInfo,
    TaskState::{Finished, Killed, Killing, Running, Starting},
};
use serde_json::json;

use crate::common::{
    HEALTH_UPDATED, LONG, all_told, command_health, end, exit_code, http_health, run_with,
    run_with_health, task, tcp_health, wait_for, wait_for_count, wait_for_log, with_reason,
};
use crate::common::{command_check, health};
use crate::server::{Answer, Server};
use crate::support::{Setup, TASK, hook, say};

#[test]
fn the_first_success_is_reported_once() {
    let server = Server::start(Answer::Status(200));
    let run = run_with_health(http_health(server.port()));
    let healthy = wait_for(&run, "healthy", |told| told.healthy == Some(true));
    assert_eq!(healthy.state, Running);
    assert_eq!(healthy.reason, Some(HEALTH_UPDATED));
    let at = format!("(127.0.0.1:{}/health)", server.port());
    let wanted = format!("HTTP health check succeeded: status 200 {at}");
    assert_eq!(healthy.message, wanted);
    run.wait_while("three looks", |_| server.requests().len() < 3);
    assert_eq!(with_reason(&run, HEALTH_UPDATED).len(), 1);
    end(&run);
}

#[test]
fn before_the_first_result_updates_have_no_health() {
    let never = HealthCheck {
        delay_seconds: Some(LONG),
        ..tcp_health(1)
    };
    let run = run_with_health(never);
    run.wait_for(Running);
    end(&run);
    for told in all_told(&run) {
        assert_eq!(
            (told.healthy, told.status),
            (None, None),
            "{:?}",
            told.state
        );
    }
}

#[test]
fn each_change_and_each_failure_is_reported_with_its_cause() {
    let server = Server::start(Answer::Status(200));
    let run = run_with_health(http_health(server.port()));
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    server.set(Answer::Status(503));
    let failures = wait_for_count(&run, HEALTH_UPDATED, 3);
    assert!(failures[1..].iter().all(|told| told.healthy == Some(false)));
    let at = format!("status 503 (127.0.0.1:{}/health)", server.port());
    assert_eq!(
        failures[1].message,
        format!("HTTP health check failed: {at}")
    );
    assert_eq!(
        failures[2].message,
        format!("HTTP health check failed 2 times in a row: {at}")
    );
    server.set(Answer::Status(204));
    let is_well_again = |told: &crate::common::Told| told.message.contains("status 204");
    let healthy = wait_for(&run, "healthy again", is_well_again);
    assert_eq!(healthy.healthy, Some(true));
    end(&run);
}

#[test]
fn failures_in_the_grace_period_are_only_logged() {
    let server = Server::start(Answer::Status(500));
    let mut check = http_health(server.port());
    check.grace_period_seconds = Some(LONG);
    check.consecutive_failures = Some(1);
    let run = run_with_health(check);
    wait_for_log(
        &run,
        "HTTP health check failed in its grace period: status 500",
    );
    run.wait_while("three looks", |_| server.requests().len() < 3);
    assert_eq!(with_reason(&run, HEALTH_UPDATED), []);
    // The first success ends the grace period.
    server.set(Answer::Status(200));
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    server.set(Answer::Status(500));
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
}

#[test]
fn too_many_failures_in_a_row_kill_the_task_with_a_message() {
    let server = Server::start(Answer::Status(500));
    let mut check = http_health(server.port());
    check.consecutive_failures = Some(3);
    let setup = Setup::new().agent(|config| config.capabilities.push(TASK_KILLING_STATE));
    let run = run_with(setup, None, Some(check));
    let ended = run.finish();
    assert_eq!(
        ended.states,
        [
            Starting, Running, Running, Running, Running, Killing, Killed
        ]
    );
    let cause = format!(
        "Killed: HTTP health check failed 3 times in a row: status 500 (127.0.0.1:{}/health)",
        server.port()
    );
    assert_eq!(
        ended.message,
        format!("{cause}. Command terminated with signal Terminated")
    );
    assert_eq!(ended.reason, None);
    let told = all_told(&run);
    let killing = told.iter().find(|told| told.state == Killing);
    let killing = killing.expect("the framework has the capability");
    assert_eq!((killing.healthy, &killing.message), (Some(false), &cause));
    assert_eq!(told.last().and_then(|told| told.healthy), Some(false));
}

#[test]
fn one_failure_is_enough_where_none_or_one_is_allowed() {
    for allowed in [0, 1] {
        let mut check = command_health("exit 3");
        check.consecutive_failures = Some(allowed);
        let run = run_with_health(check);
        let ended = run.finish();
        assert_eq!(ended.state, Killed);
        let wanted = "Killed: COMMAND health check failed: exited with status 3 (exit 3)";
        assert!(ended.message.starts_with(wanted), "{}", ended.message);
        assert_eq!(with_reason(&run, HEALTH_UPDATED).len(), 1);
    }
}

#[test]
fn a_success_resets_the_count_of_failures() {
    // Two failures and a success, repeatedly; never three failures in a row.
    let value = "echo x >> looks; [ $(($(wc -l < looks) % 3)) = 0 ]";
    let mut check = command_health(value);
    check.consecutive_failures = Some(3);
    let run = run_with_health(check);
    run.wait_while("seven looks", |run| run.lines("looks").len() < 7);
    assert!(all_told(&run).iter().all(|told| !told.state.is_terminal()));
    end(&run);
}

trait Terminal {
    fn is_terminal(&self) -> bool;
}

impl Terminal for cook_mesos::messages::TaskState {
    fn is_terminal(&self) -> bool {
        cook_test_agent::journal::is_terminal(*self)
    }
}

#[test]
fn the_kill_uses_the_tasks_own_kill_policy() {
    let mut check = command_health("false");
    check.consecutive_failures = Some(0);
    let run = Setup::new().grace("1hrs").start();
    let deaf = format!("trap '' TERM; {}; sleep 600", say("main"));
    let delayed = HealthCheck {
        command: Some(crate::common::shell("! grep -q main order")),
        ..check
    };
    run.agent.launch(TaskInfo {
        kill_policy: Some(KillPolicy {
            grace_period: Some(DurationInfo {
                nanoseconds: 300_000_000,
            }),
        }),
        ..task(&run, &deaf, None, Some(delayed))
    });
    wait_for(&run, "unhealthy", |told| told.healthy == Some(false));
    let start = Instant::now();
    let ended = run.finish();
    assert_eq!((ended.state, ended.exit_code()), (Killed, Some(-9)));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_killed_task_that_exits_with_0_is_killed_and_its_after_commands_run() {
    let mut check = command_health("! grep -q main order");
    check.consecutive_failures = Some(1);
    let run = Setup::new().start();
    let job = json!({
        "command": format!("trap 'exit 0' TERM; {}; sleep 600 & wait", say("main")),
        "after_commands": [hook("echo $EXECUTOR_TASK_STATE >> order")],
    });
    run.agent.launch(TaskInfo {
        health_check: Some(check),
        ..run.task(TASK, &job)
    });
    let ended = run.finish();
    assert_eq!((ended.state, ended.exit_code()), (Killed, Some(0)));
    assert_eq!(run.order(), ["main", "TASK_KILLED"]);
}

#[test]
fn the_jobs_own_message_follows_the_cause_of_the_kill() {
    let mut check = command_health("! grep -q told order");
    check.consecutive_failures = Some(1);
    let run = Setup::new().start();
    let patch = r#"$EXECUTOR_BIN patch '{"message": "half done"}'"#;
    let command = format!("{patch}; {}; sleep 600", say("told"));
    run.agent.launch(task(&run, &command, None, Some(check)));
    let ended = run.finish();
    let cause = "Killed: COMMAND health check failed: exited with status 1 (! grep -q told order)";
    assert_eq!(ended.message, format!("{cause}. half done"));
    assert_eq!(ended.data["message"], "half done");
}

#[test]
fn after_a_kill_by_the_framework_the_check_reports_nothing() {
    let server = Server::start(Answer::Status(200));
    let mut check = http_health(server.port());
    check.consecutive_failures = Some(1);
    let run = Setup::new().start();
    let command = format!(
        "trap '{}' TERM; {}; sleep 600 & wait; wait; sleep 600",
        say("term"),
        say("main")
    );
    run.agent.launch(task(&run, &command, None, Some(check)));
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(Duration::from_millis(500)));
    run.wait_for_word("term");
    server.set(Answer::Status(500));
    let ended = run.finish();
    assert_eq!(ended.message, "Command terminated with signal Killed");
    assert_eq!(with_reason(&run, HEALTH_UPDATED).len(), 1);
    // The last result is in every later update.
    let last = all_told(&run).pop().expect("there are updates");
    assert_eq!((last.state, last.healthy), (Killed, Some(true)));
}

#[test]
fn health_and_check_status_are_in_every_later_update() {
    let setup = Setup::new().agent(|config| config.capabilities.push(TASK_KILLING_STATE));
    let check = command_check("test -e five && exit 5; exit 4");
    let run = run_with(setup, Some(check), Some(command_health("test ! -e sick")));
    wait_for(&run, "both", |told| {
        told.healthy == Some(true) && told.status == Some(exit_code(Some(4)))
    });
    run.sandbox.write("five", "");
    wait_for(&run, "a new status beside the old health", |told| {
        told.healthy == Some(true) && told.status == Some(exit_code(Some(5)))
    });
    run.sandbox.write("sick", "");
    wait_for(&run, "a new health beside the old status", |told| {
        told.healthy == Some(false) && told.status == Some(exit_code(Some(5)))
    });
    end(&run);
    let told = all_told(&run);
    let (first, second) = (&told[0], &told[1]);
    assert_eq!((first.state, second.state), (Starting, Running));
    for early in [first, second] {
        assert_eq!(
            (early.healthy, &early.status),
            (None, &Some(exit_code(None)))
        );
    }
    for state in [Killing, Killed] {
        let told = told.iter().find(|told| told.state == state);
        let told = told.expect("it was killed");
        assert_eq!(told.healthy, Some(false), "{state:?}");
        assert_eq!(told.status, Some(exit_code(Some(5))), "{state:?}");
    }
}

#[test]
fn a_task_that_ends_during_a_probe_has_its_own_result() {
    let server = Server::start(Answer::Silence);
    let mut check = http_health(server.port());
    check.consecutive_failures = Some(1);
    let run = Setup::new().start();
    let command = "while ! [ -e done ]; do sleep 0.01; done";
    run.agent.launch(task(&run, command, None, Some(check)));
    run.wait_while("a look", |_| server.requests().is_empty());
    run.sandbox.write("done", "");
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Running, Finished]);
    assert_eq!(ended.message, "Command exited with status 0");
}

#[test]
fn the_type_may_be_missing_if_there_is_one_member() {
    let server = Server::start(Answer::Status(200));
    for check in [
        http_health(server.port()),
        tcp_health(server.port()),
        command_health("true"),
    ] {
        let untyped = HealthCheck {
            kind: None,
            ..check
        };
        let run = run_with_health(untyped);
        wait_for(&run, "healthy", |told| told.healthy == Some(true));
        end(&run);
    }
}

#[test]
fn with_configured_statuses_all_others_are_unhealthy() {
    let server = Server::start(Answer::Status(503));
    let check = HealthCheck {
        kind: Some(2),
        http: Some(HttpCheckInfo {
            port: server.port(),
            statuses: vec![204, 503],
            ..HttpCheckInfo::default()
        }),
        ..health()
    };
    let run = run_with_health(check);
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    server.set(Answer::Status(200));
    let sick = wait_for(&run, "unhealthy", |told| told.healthy == Some(false));
    assert!(
        sick.message.contains("failed: status 200"),
        "{}",
        sick.message
    );
    end(&run);
}

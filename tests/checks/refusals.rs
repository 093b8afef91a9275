//! A task with an invalid check is refused at LAUNCH, with the name of the field. Nothing is started.

use cook_mesos::messages::{
    CheckInfo, HealthCheck,
    TaskState::{Error, Starting},
};

use crate::common::{
    command_check, command_health, end, http_check, http_health, run_with, tcp_check, tcp_health,
    wait_for, wait_for_log,
};
use crate::support::Setup;

/// `REASON_TASK_INVALID`.
const TASK_INVALID: i32 = 14;

#[track_caller]
fn refused(check: Option<CheckInfo>, health: Option<HealthCheck>, words: &str) {
    let run = run_with(Setup::new(), check, health);
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Error], "{words}");
    assert_eq!(ended.reason, Some(TASK_INVALID));
    assert!(ended.message.starts_with(words), "{}", ended.message);
}

#[test]
fn a_malformed_health_check_is_a_task_error_that_names_the_field() {
    let with = |change: fn(&mut HealthCheck)| {
        let mut check = tcp_health(80);
        change(&mut check);
        check
    };
    for (check, words) in [
        (
            tcp_health(70_000),
            "health_check.tcp.port must be 1 to 65535, found 70000",
        ),
        (
            http_health(0),
            "health_check.http.port must be 1 to 65535, found 0",
        ),
        (
            with(|check| check.delay_seconds = Some(-1.0)),
            "health_check.delay_seconds must be",
        ),
        (
            with(|check| check.timeout_seconds = Some(f64::NAN)),
            "health_check.timeout_seconds must be",
        ),
        (
            with(|check| check.kind = Some(0)),
            "health_check.type must be COMMAND (1), HTTP (2) or TCP (3)",
        ),
        (
            with(|check| check.kind = Some(1)),
            "health_check.command is missing",
        ),
        (HealthCheck::default(), "health_check.type must be"),
    ] {
        refused(None, Some(check), words);
    }
}

#[test]
fn a_malformed_check_is_a_task_error_that_names_the_field() {
    let mut without_value = command_check("");
    if let Some(command) = &mut without_value.command {
        command.command.value = None;
    }
    let mut path = http_check(80);
    if let Some(http) = &mut path.http {
        http.path = Some(b"health".to_vec());
    }
    for (check, words) in [
        (
            tcp_check(65_536),
            "check.tcp.port must be 1 to 65535, found 65536",
        ),
        (without_value, "check.command.command.value is missing"),
        (
            path,
            "check.http.path must begin with a slash, found \"health\"",
        ),
        (CheckInfo::default(), "check.type must be"),
    ] {
        refused(Some(check), None, words);
    }
}

#[test]
fn members_of_other_types_are_mentioned_in_the_log() {
    let mut check = command_health("true");
    check.tcp = tcp_health(70_000).tcp;
    let run = run_with(Setup::new(), None, Some(check));
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    wait_for_log(&run, "health_check.tcp is ignored");
    end(&run);
}

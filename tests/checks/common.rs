//! Tasks with checks, and the updates about them.

use cook_mesos::messages::{
    CheckCommand, CheckInfo, CheckStatusInfo, CheckType, CommandInfo, CommandStatus, HealthCheck,
    HttpCheckInfo, HttpStatus, TaskInfo, TaskState, TaskStatus, TcpCheckInfo, TcpStatus,
};
use cook_test_agent::journal::Journal;
use serde_json::json;

use crate::support::{Run, Setup, TASK};

/// `REASON_TASK_CHECK_STATUS_UPDATED`.
pub const CHECK_UPDATED: i32 = 28;

/// `REASON_TASK_HEALTH_CHECK_STATUS_UPDATED`.
pub const HEALTH_UPDATED: i32 = 29;

/// The minimum interval.
pub const OFTEN: f64 = 0.1;

/// A time that no test can wait for.
pub const LONG: f64 = 3600.0;

/// A health check without delay and grace period, with the minimum interval.
pub fn health() -> HealthCheck {
    HealthCheck {
        delay_seconds: Some(0.0),
        interval_seconds: Some(OFTEN),
        timeout_seconds: Some(LONG),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(u32::MAX),
        ..HealthCheck::default()
    }
}

/// The same for a general check.
pub fn check() -> CheckInfo {
    CheckInfo {
        delay_seconds: Some(0.0),
        interval_seconds: Some(OFTEN),
        timeout_seconds: Some(LONG),
        ..CheckInfo::default()
    }
}

/// A shell command.
pub fn shell(value: &str) -> CommandInfo {
    CommandInfo {
        value: Some(value.into()),
        ..CommandInfo::default()
    }
}

pub fn command_health(value: &str) -> HealthCheck {
    HealthCheck {
        kind: Some(CheckType::Command as i32),
        command: Some(shell(value)),
        ..health()
    }
}

pub fn http_health(port: u32) -> HealthCheck {
    HealthCheck {
        kind: Some(CheckType::Http as i32),
        http: Some(HttpCheckInfo {
            port,
            path: Some(b"/health".to_vec()),
            ..HttpCheckInfo::default()
        }),
        ..health()
    }
}

pub fn tcp_health(port: u32) -> HealthCheck {
    HealthCheck {
        kind: Some(CheckType::Tcp as i32),
        tcp: Some(TcpCheckInfo {
            port,
            protocol: None,
        }),
        ..health()
    }
}

pub fn command_check(value: &str) -> CheckInfo {
    CheckInfo {
        kind: Some(CheckType::Command as i32),
        command: Some(CheckCommand {
            command: shell(value),
        }),
        ..check()
    }
}

pub fn http_check(port: u32) -> CheckInfo {
    CheckInfo {
        kind: Some(CheckType::Http as i32),
        http: Some(HttpCheckInfo {
            port,
            ..HttpCheckInfo::default()
        }),
        ..check()
    }
}

pub fn tcp_check(port: u32) -> CheckInfo {
    CheckInfo {
        kind: Some(CheckType::Tcp as i32),
        tcp: Some(TcpCheckInfo {
            port,
            protocol: None,
        }),
        ..check()
    }
}

pub fn exit_code(exit_code: Option<i32>) -> CheckStatusInfo {
    CheckStatusInfo {
        kind: Some(CheckType::Command as i32),
        command: Some(CommandStatus { exit_code }),
        ..CheckStatusInfo::default()
    }
}

pub fn status_code(status_code: Option<u32>) -> CheckStatusInfo {
    CheckStatusInfo {
        kind: Some(CheckType::Http as i32),
        http: Some(HttpStatus { status_code }),
        ..CheckStatusInfo::default()
    }
}

pub fn connected(succeeded: Option<bool>) -> CheckStatusInfo {
    CheckStatusInfo {
        kind: Some(CheckType::Tcp as i32),
        tcp: Some(TcpStatus { succeeded }),
        ..CheckStatusInfo::default()
    }
}

/// A task with these checks that runs this command until it is stopped.
pub fn task(
    run: &Run,
    command: &str,
    check: Option<CheckInfo>,
    health_check: Option<HealthCheck>,
) -> TaskInfo {
    TaskInfo {
        check,
        health_check,
        ..run.task(TASK, &json!({"command": command}))
    }
}

/// A run of a task that waits to be stopped, with a health check.
#[track_caller]
pub fn run_with_health(check: HealthCheck) -> Run {
    run_with(Setup::new(), None, Some(check))
}

/// The same with a general check.
#[track_caller]
pub fn run_with_check(check: CheckInfo) -> Run {
    run_with(Setup::new(), Some(check), None)
}

/// The same with both, or any of them.
#[track_caller]
pub fn run_with(setup: Setup, check: Option<CheckInfo>, health: Option<HealthCheck>) -> Run {
    let run = setup.start();
    run.agent.launch(task(&run, "sleep 600", check, health));
    run
}

/// The relevant parts of an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub state: TaskState,
    pub reason: Option<i32>,
    pub healthy: Option<bool>,
    pub status: Option<CheckStatusInfo>,
    pub message: String,
}

pub fn told(status: &TaskStatus) -> Told {
    Told {
        state: status.state(),
        reason: status.reason,
        healthy: status.healthy,
        status: status.check_status.clone(),
        message: status.message.clone().unwrap_or_default(),
    }
}

/// All updates of the task, in order.
pub fn all_told(run: &Run) -> Vec<Told> {
    run.agent
        .inspect(|journal| journal.updates().map(told).collect())
}

/// The updates with this reason, in order.
pub fn with_reason(run: &Run, reason: i32) -> Vec<Told> {
    let mut told = all_told(run);
    told.retain(|one| one.reason == Some(reason));
    told
}

/// Waits until an update meets this condition, and returns it.
#[track_caller]
pub fn wait_for(run: &Run, what: &str, is_it: impl Fn(&Told) -> bool) -> Told {
    let find = |journal: &Journal| journal.updates().map(told).find(|told| is_it(told));
    run.wait_until(what, |journal| find(journal).is_some());
    run.agent.inspect(find).expect("waited for")
}

/// Waits for this many updates with this reason, and returns them.
#[track_caller]
pub fn wait_for_count(run: &Run, reason: i32, count: usize) -> Vec<Told> {
    run.wait_until(&format!("{count} updates for {reason}"), |journal| {
        let of_it = journal.updates().filter(|one| one.reason == Some(reason));
        of_it.count() >= count
    });
    with_reason(run, reason)
}

/// Ends a run whose task would run for ever.
#[track_caller]
pub fn end(run: &Run) {
    run.agent.kill(TASK, None);
    run.finish();
}

/// Waits until a line in the log contains this text.
#[track_caller]
pub fn wait_for_log(run: &Run, text: &str) {
    run.wait_while(&format!("a log line with {text:?}"), |run| {
        !run.sandbox.read("executor.log").contains(text)
    });
}

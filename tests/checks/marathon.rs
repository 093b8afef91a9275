//! The tasks that Marathon makes of an app with a health check, with any executor: the values of its
//! `HealthCheck.scala` and `TaskBuilder.scala`, with seconds instead of minutes.

use cook_mesos::messages::{
    CommandInfo, DurationInfo, HealthCheck, HttpCheckInfo, KillPolicy, TASK_KILLING_STATE,
    TaskInfo,
    TaskState::{Killed, Killing, Running},
};
use serde_json::json;

use crate::common::{HEALTH_UPDATED, all_told, wait_for, with_reason};
use crate::server::{Answer, Server};
use crate::support::{Run, Setup, TASK};

/// An app: a command, and `MESOS_HTTP` with a `maxConsecutiveFailures` of 3.
fn app(run: &Run, port: u32) -> TaskInfo {
    TaskInfo {
        data: None,
        command: Some(CommandInfo {
            value: Some(b"sleep 600".to_vec()),
            shell: Some(true),
            ..CommandInfo::default()
        }),
        kill_policy: Some(KillPolicy {
            grace_period: Some(DurationInfo {
                nanoseconds: 3_000_000_000,
            }),
        }),
        health_check: Some(HealthCheck {
            kind: Some(2),
            http: Some(HttpCheckInfo {
                port,
                path: Some(b"/api/health".to_vec()),
                scheme: Some(b"http".to_vec()),
                ..HttpCheckInfo::default()
            }),
            delay_seconds: Some(0.0),
            interval_seconds: Some(1.0),
            timeout_seconds: Some(2.0),
            consecutive_failures: Some(3),
            grace_period_seconds: Some(300.0),
            ..HealthCheck::default()
        }),
        ..run.task(TASK, &json!({}))
    }
}

#[test]
fn an_app_becomes_healthy_and_is_killed_with_cause_and_address_when_its_service_dies() {
    let server = Server::start(Answer::Status(200));
    let port = server.port();
    let setup = Setup::new().agent(|config| config.capabilities.push(TASK_KILLING_STATE));
    let run = setup.start();
    run.agent.launch(app(&run, port));
    let healthy = wait_for(&run, "healthy", |told| told.healthy == Some(true));
    assert_eq!(
        (healthy.state, healthy.reason),
        (Running, Some(HEALTH_UPDATED))
    );
    drop(server);
    let ended = run.finish();
    assert_eq!((ended.state, ended.reason), (Killed, None));
    let cause = format!(
        "Killed: HTTP health check failed 3 times in a row: connection refused \
         (127.0.0.1:{port}/api/health)"
    );
    assert!(ended.message.starts_with(&cause), "{}", ended.message);
    // Unhealthy three times, each with its cause, and then the kill.
    let told = with_reason(&run, HEALTH_UPDATED);
    let healthy: Vec<_> = told.iter().map(|told| told.healthy).collect();
    assert_eq!(healthy, [Some(true), Some(false), Some(false), Some(false)]);
    assert!(
        told[1..]
            .iter()
            .all(|told| told.message.contains("connection refused"))
    );
    let told = all_told(&run);
    let ends: Vec<_> = told.iter().rev().take(2).collect();
    assert_eq!([ends[1].state, ends[0].state], [Killing, Killed]);
    assert!(ends.iter().all(|told| told.healthy == Some(false)));
}

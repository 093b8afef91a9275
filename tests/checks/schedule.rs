//! When checks probe: from TASK_RUNNING until the task is being stopped, one probe at a time, also while
//! the agent is away.

use std::time::Duration;

use cook_mesos::messages::{
    CheckInfo, HealthCheck, TASK_KILLING_STATE, TaskInfo,
    TaskState::{Killed, Running},
    TaskStatus,
};
use cook_test_agent::journal::What;
use serde_json::json;

use crate::common::{
    CHECK_UPDATED, HEALTH_UPDATED, LONG, command_check, command_health, connected, end, exit_code,
    http_health, run_with, run_with_check, run_with_health, tcp_health, told, wait_for,
    wait_for_count, wait_for_log, with_reason,
};
use crate::server::{Answer, Server};
use crate::support::{Run, Setup, TASK, hook, say};

/// A probe that records its start.
const NOTES_ITS_TIME: &str = "date +%s%N >> looks";

/// The times of all probes so far, in milliseconds.
fn looks(run: &Run) -> Vec<u64> {
    let lines = run.lines("looks");
    let times = lines.iter().filter_map(|line| line.parse::<u64>().ok());
    times.map(|nanoseconds| nanoseconds / 1_000_000).collect()
}

/// The shortest time between two probes.
fn shortest_pause(run: &Run) -> u64 {
    let looks = looks(run);
    let pauses = looks.windows(2).map(|pair| pair[1] - pair[0]);
    pauses.min().expect("there are several looks")
}

#[track_caller]
fn wait_for_looks(run: &Run, count: usize) {
    run.wait_while(&format!("{count} looks"), |run| looks(run).len() < count);
}

/// When the executor recorded an update, in milliseconds.
fn recorded(run: &Run, is_it: impl Fn(&TaskStatus) -> bool) -> u64 {
    let seconds = run.agent.inspect(|journal| {
        let status = journal.updates().find(|status| is_it(status));
        status
            .expect("it was reported")
            .timestamp
            .expect("always set")
    });
    (seconds * 1000.0).round() as u64
}

#[test]
fn times_count_from_the_command_and_not_from_before_commands() {
    let run = Setup::new().start();
    let wait = "echo before >> order; until [ -e go ]; do sleep 0.01; done; sleep 0.3; echo ready >> order";
    let job = json!({"before_commands": [hook(wait)], "command": "sleep 600"});
    run.agent.launch(TaskInfo {
        health_check: Some(command_health("echo look >> order")),
        ..run.task(TASK, &job)
    });
    run.wait_for_word("before");
    run.sandbox.write("go", "");
    run.wait_for_word("look");
    assert_eq!(run.order()[..3], ["before", "ready", "look"]);
    end(&run);
}

#[test]
fn the_first_probe_comes_after_the_delay() {
    let check = HealthCheck {
        delay_seconds: Some(0.5),
        interval_seconds: Some(LONG),
        ..command_health("true")
    };
    let run = run_with_health(check);
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    let running = recorded(&run, |status| status.state() == Running);
    let healthy = recorded(&run, |status| status.healthy.is_some());
    assert!(healthy - running >= 500, "{}", healthy - running);
    end(&run);
}

#[test]
fn the_interval_counts_from_the_end_of_a_probe() {
    let check = CheckInfo {
        interval_seconds: Some(0.2),
        ..command_check(&format!("{NOTES_ITS_TIME}; sleep 0.3"))
    };
    let run = run_with_check(check);
    wait_for_looks(&run, 3);
    assert!(shortest_pause(&run) >= 500, "{:?}", looks(&run));
    end(&run);
}

#[test]
fn an_interval_of_0_becomes_a_tenth_of_a_second_with_a_warning() {
    let check = CheckInfo {
        interval_seconds: Some(0.0),
        ..command_check(NOTES_ITS_TIME)
    };
    let run = run_with_check(check);
    wait_for_looks(&run, 5);
    // Starting a command takes some time, which varies.
    assert!(shortest_pause(&run) >= 80, "{:?}", looks(&run));
    wait_for_log(
        &run,
        "check.interval_seconds is below the minimum; using 100ms",
    );
    end(&run);
}

#[test]
fn without_a_timeout_there_is_no_limit_and_infinite_times_are_accepted() {
    let check = CheckInfo {
        timeout_seconds: Some(0.0),
        interval_seconds: Some(f64::INFINITY),
        ..command_check(&format!("{NOTES_ITS_TIME}; sleep 0.5; exit 3"))
    };
    let health = HealthCheck {
        delay_seconds: Some(f64::INFINITY),
        grace_period_seconds: Some(1e300),
        timeout_seconds: Some(f64::MAX),
        ..tcp_health(1)
    };
    let run = run_with(Setup::new(), Some(check), Some(health));
    wait_for(&run, "a result", |told| {
        told.status == Some(exit_code(Some(3)))
    });
    assert_eq!(looks(&run).len(), 1);
    end(&run);
    assert_eq!(with_reason(&run, HEALTH_UPDATED), []);
}

#[test]
fn probes_continue_after_a_timeout_and_a_failure() {
    let first = "echo x >> looks; [ $(wc -l < looks) -gt 1 ] || sleep 600";
    let check = HealthCheck {
        timeout_seconds: Some(0.2),
        ..command_health(&format!("{first}; [ $(wc -l < looks) -gt 2 ]"))
    };
    let run = run_with_health(check);
    let told = wait_for_count(&run, HEALTH_UPDATED, 3);
    let messages: Vec<_> = told.iter().map(|told| told.message.as_str()).collect();
    assert!(
        messages[0].contains("failed: timed out after 200ms"),
        "{messages:?}"
    );
    assert!(
        messages[1].contains("failed 2 times in a row: exited with status 1"),
        "{messages:?}"
    );
    assert!(
        messages[2].contains("succeeded: exited with status 0"),
        "{messages:?}"
    );
    end(&run);
}

#[test]
fn a_new_subscription_does_not_start_a_second_series_of_probes() {
    let run = run_with_check(command_check(NOTES_ITS_TIME));
    wait_for_looks(&run, 1);
    for count in 2..=5 {
        run.agent.cut_stream();
        run.wait_for_subscriptions(count);
    }
    let seen = looks(&run).len();
    wait_for_looks(&run, seen + 6);
    assert!(shortest_pause(&run) >= 80, "{:?}", looks(&run));
    end(&run);
}

#[test]
fn of_updates_for_an_absent_agent_only_the_newest_of_each_kind_is_kept() {
    let server = Server::start(Answer::Status(200));
    let check = command_check("cat code > /dev/null && exit $(cat code); exit 1");
    let run = run_with(Setup::new(), Some(check), Some(http_health(server.port())));
    wait_for(&run, "both", |told| {
        told.healthy == Some(true) && told.status == Some(exit_code(Some(1)))
    });
    run.agent.go_away();
    server.set(Answer::Status(500));
    for code in ["2", "3", "4"] {
        run.sandbox.write("code", code);
        wait_for_log(&run, &format!("COMMAND check: exited with status {code}"));
    }
    wait_for_log(&run, "failed 4 times in a row");
    run.agent.come_back().expect("the port is reserved");
    wait_for(&run, "the newest", |told| {
        told.status == Some(exit_code(Some(4)))
    });
    wait_for(&run, "the newest", |told| told.healthy == Some(false));
    end(&run);
    let carried = run.agent.inspect(|journal| {
        let last = journal.subscriptions().pop().expect("it came back");
        let carried = last.updates.iter().map(told);
        carried.collect::<Vec<_>>()
    });
    // Updates from before may not be acknowledged yet.
    let newer = carried.iter().filter(|told| match told.reason {
        Some(CHECK_UPDATED) => told.status != Some(exit_code(Some(1))),
        Some(HEALTH_UPDATED) => told.healthy == Some(false),
        _ => false,
    });
    let mut reasons: Vec<_> = newer.filter_map(|told| told.reason).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [CHECK_UPDATED, HEALTH_UPDATED], "{carried:?}");
    let statuses = with_reason(&run, CHECK_UPDATED);
    let statuses: Vec<_> = statuses
        .into_iter()
        .filter_map(|told| told.status)
        .collect();
    assert_eq!(statuses, [exit_code(Some(1)), exit_code(Some(4))]);
}

#[test]
fn an_unhealthy_task_is_killed_while_the_agent_is_away_and_reported_later() {
    let server = Server::start(Answer::Status(200));
    let mut check = http_health(server.port());
    check.consecutive_failures = Some(2);
    let run = run_with_health(check);
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    run.agent.go_away();
    drop(server);
    wait_for_log(&run, "Command terminated with signal Terminated");
    run.agent.come_back().expect("the port is reserved");
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert!(
        ended.message.starts_with(
            "Killed: HTTP health check failed 2 times in a row: connection refused (127.0.0.1:"
        ),
        "{}",
        ended.message
    );
    let states = run.agent.inspect(|journal| {
        let told = journal.updates().map(told);
        told.map(|told| (told.state, told.healthy))
            .collect::<Vec<_>>()
    });
    // The update with the reason comes before the terminal one.
    assert!(states.contains(&(Running, Some(false))), "{states:?}");
}

#[test]
fn there_are_no_probes_while_the_task_is_stopped_or_after_commands_run() {
    let setup = Setup::new().agent(|config| config.capabilities.push(TASK_KILLING_STATE));
    let run = setup.start();
    // Both the command and the after command take longer than many intervals to end.
    let job = json!({
        "command": format!("trap '{}' TERM; {}; sleep 600 & wait; sleep 0.5", say("term"), say("main")),
        "after_commands": [hook("sleep 0.5; echo after >> order")],
    });
    run.agent.launch(TaskInfo {
        health_check: Some(command_health("echo look >> order")),
        ..run.task(TASK, &job)
    });
    run.wait_for_word("main");
    run.wait_for_word("look");
    run.agent.kill(TASK, Some(Duration::from_secs(60)));
    run.finish();
    let order = run.order();
    let term = order
        .iter()
        .position(|word| word == "term")
        .expect("it got SIGTERM");
    // A probe that was running then may still write.
    let late = order[term..].iter().filter(|word| *word == "look").count();
    assert!(late <= 1, "{order:?}");
    assert_eq!(order.last().map(String::as_str), Some("after"));
}

#[test]
fn without_checks_updates_have_nothing_about_checks() {
    let run = Run::start(json!({"command": "true"}));
    run.finish();
    run.agent.inspect(|journal| {
        for entry in journal.entries() {
            if let What::Update(status) = &entry.what {
                assert_eq!((status.healthy, &status.check_status), (None, &None));
            }
        }
    });
}

#[test]
fn both_kinds_of_checks_work_together_with_every_type() {
    let server = Server::start(Answer::Status(200));
    let port = server.port();
    let check = crate::common::tcp_check(port);
    let healths = [http_health(port), tcp_health(port), command_health("true")];
    for health in healths {
        let run = run_with(Setup::new(), Some(check.clone()), Some(health));
        wait_for(&run, "both", |told| {
            told.healthy == Some(true) && told.status == Some(connected(Some(true)))
        });
        end(&run);
    }
}

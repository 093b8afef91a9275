//! The times of commands in the `data` of status updates.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Run, Setup, hook, say};
use cook_mesos::messages::TaskState::Running;
use cook_test_agent::journal::What;
use serde_json::{Value, json};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// Start and end in milliseconds since 1970.
fn pair(time: &Value) -> (u64, u64) {
    let part = |at| time.get(at).and_then(Value::as_u64);
    match (part(0), part(1)) {
        (Some(start), Some(end)) => (start, end),
        _ => panic!("{time} is not a start and an end"),
    }
}

/// The data of the first update with TASK_RUNNING.
fn running_data(run: &Run) -> Value {
    let found = run.agent.inspect(|journal| {
        let mut entries = journal.entries().iter();
        entries.find_map(|entry| match &entry.what {
            What::Update(status) if status.state() == Running => Some(status.data.clone()),
            _ => None,
        })
    });
    let data = found.flatten().expect("TASK_RUNNING has data");
    serde_json::from_slice(&data).expect("JSON")
}

#[test]
fn the_terminal_data_has_start_and_end_of_each_command() {
    let began = now();
    let list = |word: &str| json!([hook(say(word))]).to_string();
    let run = Setup::new()
        .variable("EXECUTOR_DEFAULT_BEFORE_COMMANDS", &list("first"))
        .variable("EXECUTOR_DEFAULT_AFTER_COMMANDS", &list("last"))
        .launch(json!({
            "before_commands": [hook("sleep 0.2"), hook("true")],
            "command": "sleep 0.2",
            "after_commands": [hook("exit 3")],
        }));
    let data = run.finish().data;
    let ended = now();
    let in_order = [
        &data["default_before_times"][0],
        &data["before_times"][0],
        &data["before_times"][1],
        &data["command_time"],
        &data["after_times"][0],
        &data["default_after_times"][0],
    ];
    let mut before = began;
    for time in in_order {
        let (start, end) = pair(time);
        assert!(before <= start && start <= end, "{data}");
        before = end;
    }
    assert!(before <= ended, "{data}");
    for slept in [&data["before_times"][0], &data["command_time"]] {
        let (start, end) = pair(slept);
        assert!(end - start >= 190, "{data}");
    }
    assert_eq!(data["before_times"].as_array().map(Vec::len), Some(2));
}

#[test]
fn task_running_has_the_results_of_finished_and_running_before_commands() {
    let run = Run::start(json!({
        "before_commands": [
            hook("exit 4"),
            {"value": "exec sleep 600", "async": true},
            hook("true"),
        ],
        "command": "true",
        "after_commands": [hook("true")],
    }));
    run.finish();
    let data = running_data(&run);
    assert_eq!(data["before_codes"], json!([4, null, 0]), "{data}");
    let times = &data["before_times"];
    let (_, first_ended) = pair(&times[0]);
    let beside = times[1][0].as_u64();
    assert!(
        beside >= Some(first_ended) && times[1][1].is_null(),
        "{data}"
    );
    assert!(pair(&times[2]).0 >= first_ended, "{data}");
    for absent in ["exit_code", "command_time", "after_codes", "after_times"] {
        assert_eq!(data.get(absent), None, "{data}");
    }
}

#[test]
fn a_command_that_never_ran_has_no_time() {
    let run = Run::start(json!({
        "before_commands": [{"value": "false", "guard": true}],
        "command": "true",
        "after_commands": [hook("true")],
    }));
    let data = run.finish().data;
    assert_eq!(data["before_times"].as_array().map(Vec::len), Some(1));
    for absent in ["command_time", "after_times"] {
        assert_eq!(data.get(absent), None, "{data}");
    }
}

//! Tasks that cannot be run: each gets TASK_ERROR with a message that a user understands, and nothing
//! is started.

use crate::support::{Run, Setup, TASK, wait_for_word};
use cook_mesos::messages::{TaskInfo, TaskState};
use serde_json::json;

/// `REASON_TASK_INVALID`.
const TASK_INVALID: i32 = 14;

/// Checks that the task of this run is refused with these words, in any case, in the message.
#[track_caller]
fn check(run: &Run, words: &[&str]) {
    let ended = run.finish();
    assert_eq!(ended.state, TaskState::Error, "{}", run.transcript());
    assert_eq!(ended.reason, Some(TASK_INVALID));
    assert!(!ended.states.contains(&TaskState::Running));
    let message = ended.message.to_lowercase();
    for word in words {
        let word = word.to_lowercase();
        assert!(
            message.contains(&word),
            "no {word:?} in {:?}",
            ended.message
        );
    }
    assert!(run.order().is_empty(), "something was started");
}

/// A task with this `data`.
fn run_with_data(data: &[u8]) -> Run {
    let run = Setup::new().start();
    run.agent.launch(TaskInfo {
        data: Some(data.to_vec()),
        ..run.task(TASK, &json!({}))
    });
    run
}

#[test]
fn a_task_without_any_command_is_refused() {
    let run = Setup::new().start();
    run.agent.launch(TaskInfo {
        data: None,
        ..run.task(TASK, &json!({}))
    });
    check(&run, &["command"]);
}

#[test]
fn data_that_is_no_json_object_is_refused() {
    check(
        &run_with_data(b"{\"command\": \"echo x >> order\""),
        &["JSON"],
    );
    check(&run_with_data(b"echo x >> order"), &["JSON"]);
    check(&run_with_data(b"\xff\xfe"), &[]);
    check(&run_with_data(b"[]"), &["object"]);
    check(&run_with_data(b"\"echo x >> order\""), &["object"]);
}

#[test]
fn a_command_that_is_missing_blank_or_no_string_is_refused() {
    for job in [
        json!({}),
        json!({"before_commands": [{"value": "echo x >> order"}]}),
        json!({"command": ""}),
        json!({"command": " \t\n"}),
        json!({"command": 5}),
        json!({"command": ["echo x >> order"]}),
    ] {
        check(&Run::start(job), &["command"]);
    }
}

#[test]
fn hooks_of_a_wrong_shape_are_refused_with_the_place_of_the_fault() {
    let good = json!({"value": "echo x >> order"});
    for (hooks, words) in [
        (json!("echo x >> order"), vec!["before_commands"]),
        (json!({"value": "echo x >> order"}), vec!["before_commands"]),
        (json!(["echo x >> order"]), vec!["before_commands"]),
        (json!([good, {}]), vec!["before_commands", "1", "value"]),
        (
            json!([good, {"value": 5}]),
            vec!["before_commands", "1", "value"],
        ),
        (
            json!([good, {"value": "  "}]),
            vec!["before_commands", "1", "value"],
        ),
        (
            json!([good, {"value": "true", "guard": "yes"}]),
            vec!["before_commands", "1", "guard"],
        ),
        (
            json!([good, {"value": "true", "async": 1}]),
            vec!["before_commands", "1", "async"],
        ),
    ] {
        let job = json!({"command": "echo x >> order", "before_commands": hooks});
        check(&Run::start(job), &words);
    }
    let job = json!({"command": "echo x >> order", "after_commands": [{"value": null}]});
    check(&Run::start(job), &["after_commands", "0", "value"]);
}

#[test]
fn hooks_in_the_environment_of_a_wrong_shape_are_refused_with_the_variables_name() {
    for value in [
        "[",
        "{}",
        r#"[{"value": ""}]"#,
        r#"[{"value": "true", "guard": 1}]"#,
    ] {
        let name = "EXECUTOR_BEFORE_COMMANDS";
        let run = Setup::new()
            .variable(name, value)
            .launch(json!({"command": "echo x >> order"}));
        check(&run, &[name]);
    }
}

#[test]
fn a_second_task_is_refused_while_the_first_goes_on() {
    let run = Run::start(json!({"command": wait_for_word("go")}));
    run.wait_for(TaskState::Running);
    run.launch("task-2", &json!({"command": "echo second >> order"}));
    run.wait_until("the refusal of task-2", |journal| {
        journal.terminal_of("task-2").is_some()
    });
    run.agent.inspect(|journal| {
        let refused = journal.terminal_of("task-2").expect("waited for above");
        assert_eq!(refused.state(), TaskState::Error);
        assert!(refused.message.is_some());
        assert_eq!(journal.terminal_of(TASK), None);
    });
    run.say("go");
    assert_eq!(run.finish().state, TaskState::Finished);
    assert_eq!(run.order(), ["go"]);
}

#[test]
fn a_group_of_two_tasks_is_refused_for_both() {
    let run = Setup::new().start();
    let job = json!({"command": "echo x >> order"});
    let tasks = [TASK, "task-2"].map(|task_id| run.task(task_id, &job));
    run.agent.launch_group(tasks.to_vec());
    check(&run, &[]);
    run.agent.inspect(|journal| {
        assert_eq!(journal.states_of("task-2").last(), Some(&TaskState::Error));
    });
}

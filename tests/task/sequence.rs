//! The order of a task's commands, its states, exit codes and messages, without interference.

use crate::support::{Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::TaskState::{self, Failed, Finished, Running, Starting};
use serde_json::{Value, json};

/// One row of the table: a job and its expected result.
struct Case {
    name: &'static str,
    job: Value,
    order: &'static [&'static str],
    state: TaskState,
    exit_code: Option<i64>,
    before: &'static [Option<i64>],
    after: &'static [Option<i64>],
}

fn guarded(value: impl AsRef<str>) -> Value {
    json!({"value": value.as_ref(), "guard": true})
}

fn background(value: impl AsRef<str>) -> Value {
    json!({"value": value.as_ref(), "async": true})
}

fn background_guarded(value: impl AsRef<str>) -> Value {
    json!({"value": value.as_ref(), "async": true, "guard": true})
}

/// Writes its word, and exits with this status.
fn exit(word: &str, status: u8) -> String {
    format!("{}; exit {status}", say(word))
}

/// A command that runs until it is stopped.
fn forever(word: &str) -> String {
    format!("{}; sleep 600", say(word))
}

fn check(case: &Case) {
    let run = Run::start(case.job.clone());
    let ended = run.finish();
    let transcript = run.transcript();
    let name = case.name;
    assert_eq!(run.order(), case.order, "{name}: order\n{transcript}");
    assert_eq!(ended.state, case.state, "{name}: state\n{transcript}");
    assert_eq!(
        ended.exit_code(),
        case.exit_code,
        "{name}: exit code\n{transcript}"
    );
    assert_eq!(
        ended.codes("before_codes"),
        case.before,
        "{name}: before\n{transcript}"
    );
    assert_eq!(
        ended.codes("after_codes"),
        case.after,
        "{name}: after\n{transcript}"
    );
}

#[test]
fn guards_and_failures_decide_which_commands_run() {
    let cases = [
        Case {
            name: "a command alone",
            job: json!({"command": say("main")}),
            order: &["main"],
            state: Finished,
            exit_code: Some(0),
            before: &[],
            after: &[],
        },
        Case {
            name: "hooks around the command",
            job: json!({
                "before_commands": [hook(say("b1")), hook(say("b2"))],
                "command": say("main"),
                "after_commands": [hook(say("a1")), hook(say("a2"))],
            }),
            order: &["b1", "b2", "main", "a1", "a2"],
            state: Finished,
            exit_code: Some(0),
            before: &[Some(0), Some(0)],
            after: &[Some(0), Some(0)],
        },
        Case {
            name: "a failing command does not stop after commands",
            job: json!({"command": exit("main", 3), "after_commands": [hook(say("a1"))]}),
            order: &["main", "a1"],
            state: Failed,
            exit_code: Some(3),
            before: &[],
            after: &[Some(0)],
        },
        Case {
            name: "failing hooks without a guard change nothing",
            job: json!({
                "before_commands": [hook(exit("b1", 4))],
                "command": say("main"),
                "after_commands": [hook(exit("a1", 5)), hook(say("a2"))],
            }),
            order: &["b1", "main", "a1", "a2"],
            state: Finished,
            exit_code: Some(0),
            before: &[Some(4)],
            after: &[Some(5), Some(0)],
        },
        Case {
            name: "a failing guard stops everything, after commands too",
            job: json!({
                "before_commands": [hook(say("b1")), guarded(exit("b2", 6)), hook(say("b3"))],
                "command": say("main"),
                "after_commands": [hook(say("a1"))],
            }),
            order: &["b1", "b2"],
            state: Failed,
            exit_code: None,
            before: &[Some(0), Some(6)],
            after: &[],
        },
        Case {
            name: "a guard that succeeds lets everything pass",
            job: json!({
                "before_commands": [guarded(say("b1"))],
                "command": say("main"),
                "after_commands": [guarded(say("a1")), hook(say("a2"))],
            }),
            order: &["b1", "main", "a1", "a2"],
            state: Finished,
            exit_code: Some(0),
            before: &[Some(0)],
            after: &[Some(0), Some(0)],
        },
        Case {
            name: "a failing guard among the after commands fails the task",
            job: json!({
                "command": say("main"),
                "after_commands": [guarded(exit("a1", 7)), hook(say("a2"))],
            }),
            order: &["main", "a1"],
            state: Failed,
            exit_code: Some(0),
            before: &[],
            after: &[Some(7)],
        },
        Case {
            name: "a guard killed by a signal has failed",
            job: json!({
                "before_commands": [guarded(format!("{}; kill -9 $$", say("b1")))],
                "command": say("main"),
            }),
            order: &["b1"],
            state: Failed,
            exit_code: None,
            before: &[Some(-9)],
            after: &[],
        },
        Case {
            name: "an async command holds nothing up and is stopped at the end",
            job: json!({
                "before_commands": [background(forever("b1"))],
                "command": format!("{}; {}", wait_for_word("b1"), say("main")),
                "after_commands": [hook(say("a1"))],
            }),
            order: &["b1", "main", "a1"],
            state: Finished,
            exit_code: Some(0),
            before: &[Some(-15)],
            after: &[Some(0)],
        },
        Case {
            name: "an async guard that is stopped at the end has not failed",
            job: json!({
                "before_commands": [background_guarded(forever("b1"))],
                "command": format!("{}; {}", wait_for_word("b1"), say("main")),
            }),
            order: &["b1", "main"],
            state: Finished,
            exit_code: Some(0),
            before: &[Some(-15)],
            after: &[],
        },
        Case {
            name: "an async guard that fails by itself stops the command",
            job: json!({
                "before_commands": [
                    background_guarded(format!("{}; exit 8", wait_for_word("main"))),
                ],
                "command": forever("main"),
                "after_commands": [hook(say("a1"))],
            }),
            order: &["main"],
            state: Failed,
            exit_code: Some(-15),
            before: &[Some(8)],
            after: &[],
        },
        Case {
            name: "an async after command is started and stopped too",
            job: json!({
                "command": say("main"),
                "after_commands": [background(forever("a1")), hook(wait_for_word("a1"))],
            }),
            order: &["main", "a1"],
            state: Finished,
            exit_code: Some(0),
            before: &[],
            after: &[Some(-15), Some(0)],
        },
        Case {
            name: "an async command that ended long ago keeps its code",
            job: json!({
                "before_commands": [
                    background(exit("b1", 9)),
                    hook(wait_for_word("b1")),
                ],
                "command": "sleep 0.05",
            }),
            order: &["b1"],
            state: Finished,
            exit_code: Some(0),
            before: &[Some(9), Some(0)],
            after: &[],
        },
        Case {
            name: "a signal that nobody asked for is a failure",
            job: json!({"command": format!("{}; kill -TERM $$", say("main"))}),
            order: &["main"],
            state: Failed,
            exit_code: Some(-15),
            before: &[],
            after: &[],
        },
        Case {
            name: "a command that is not found",
            job: json!({
                "command": "no-such-command-anywhere",
                "after_commands": [hook(say("a1"))],
            }),
            order: &["a1"],
            state: Failed,
            exit_code: Some(127),
            before: &[],
            after: &[Some(0)],
        },
    ];
    for case in &cases {
        check(case);
    }
}

#[test]
fn states_are_in_order_and_messages_are_those_of_the_stock_executor() {
    for (command, states, message) in [
        (
            "exit 0",
            [Starting, Running, Finished],
            "Command exited with status 0",
        ),
        (
            "exit 3",
            [Starting, Running, Failed],
            "Command exited with status 3",
        ),
        (
            "kill -9 $$",
            [Starting, Running, Failed],
            "Command terminated with signal Killed",
        ),
    ] {
        let run = Run::start(json!({"command": command}));
        let ended = run.finish();
        assert_eq!(ended.states, states, "{}", run.transcript());
        assert_eq!(ended.message, message);
        assert_eq!(
            ended.reason, None,
            "Cook reads a missing reason as a plain failure"
        );
    }
}

#[test]
fn a_failed_guard_is_named_and_the_command_is_not_started() {
    let run = Run::start(json!({
        "before_commands": [guarded("sh -c 'exit 42' the-lock-script")],
        "command": say("main"),
    }));
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Failed]);
    let message = ended.message.to_lowercase();
    assert!(
        message.contains("guard") || message.contains("before"),
        "{message}"
    );
    assert!(run.order().is_empty());
}

#[test]
fn updates_and_messages_arrive_in_cooks_order_and_format() {
    let run = Run::start(json!({"command": "exit 3"}));
    run.finish();
    let arrivals = run.agent.inspect(|journal| journal.arrivals());
    let directory = json!({
        "sandbox-directory": run.sandbox.path().to_str(),
        "task-id": TASK,
        "type": "directory",
    });
    let wanted = [
        json!("TASK_STARTING"),
        directory,
        json!("TASK_RUNNING"),
        json!({"exit-code": 3, "task-id": TASK}),
        json!("TASK_FAILED"),
    ];
    let arrived: Vec<Value> = arrivals
        .into_iter()
        .map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
        .collect();
    assert_eq!(arrived, wanted, "{}", run.transcript());
}

#[test]
fn every_update_has_a_timestamp_of_this_hour() {
    let run = Run::start(json!({"command": "true"}));
    run.finish();
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    run.agent.inspect(|journal| {
        for status in journal.updates() {
            let timestamp = status.timestamp.unwrap_or_default();
            assert!((now - timestamp).abs() < 3600.0, "{timestamp} at {now}");
        }
    });
}

#[test]
fn the_five_lines_that_schedulers_look_for_are_on_stdout() {
    let run = Run::start(json!({"command": "echo output of the task; exit 3"}));
    run.finish();
    let lines = run.lines("stdout");
    for begin in [
        "Starting task task-1",
        "Forked command at ",
        "output of the task",
        "Command exited with status 3 (pid: ",
        "Executor completed execution of task-1 (state=TASK_FAILED)",
    ] {
        let found = lines.iter().any(|line| line.starts_with(begin));
        assert!(found, "{begin:?} is not in {lines:?}");
    }
}

#[test]
fn the_log_in_the_sandbox_names_the_callbacks() {
    let run = Run::start(json!({"command": "true"}));
    run.finish();
    let log = run.sandbox.read("executor.log");
    for word in ["registered", "launchTask", "TASK_FINISHED"] {
        assert!(log.contains(word), "{word} is not in:\n{log}");
    }
}

#[test]
fn commands_run_in_the_sandbox_with_the_executors_output_and_environment() {
    let run = Setup::new()
        .variable("GREETING", "hello")
        .launch(json!({"command": "pwd; echo $GREETING; echo trouble >&2; cat"}));
    run.finish();
    let stdout = run.lines("stdout");
    let sandbox = run.sandbox.path().to_str().unwrap();
    assert!(stdout.iter().any(|line| line == sandbox), "{stdout:?}");
    assert!(stdout.iter().any(|line| line == "hello"), "{stdout:?}");
    assert!(run.lines("stderr").iter().any(|line| line == "trouble"));
}

#[test]
fn a_background_process_of_the_command_does_not_outlive_the_task() {
    // It does not prevent the task from ending either: nothing waits for its copy of stdout.
    let run = Run::start(json!({"command": format!("sleep 600 & {}", say("main"))}));
    let ended = run.finish();
    assert_eq!(ended.state, Finished);
}

#[test]
fn hooks_of_the_job_and_the_operator_come_from_the_environment() {
    let list = |word: &str| json!([hook(say(word))]).to_string();
    let run = Setup::new()
        .variable("EXECUTOR_DEFAULT_BEFORE_COMMANDS", &list("operator-before"))
        .variable("EXECUTOR_BEFORE_COMMANDS", &list("job-before"))
        .variable("EXECUTOR_AFTER_COMMANDS", &list("job-after"))
        .variable("EXECUTOR_DEFAULT_AFTER_COMMANDS", &list("operator-after"))
        .launch(json!({"command": say("main")}));
    let ended = run.finish();
    let wanted = [
        "operator-before",
        "job-before",
        "main",
        "job-after",
        "operator-after",
    ];
    assert_eq!(run.order(), wanted);
    for key in [
        "default_before_codes",
        "before_codes",
        "after_codes",
        "default_after_codes",
    ] {
        assert_eq!(ended.codes(key), [Some(0)], "{key} in {}", ended.data);
    }
}

#[test]
fn hooks_of_the_operator_may_be_in_the_executors_data() {
    let data = json!({
        "before_commands": [guarded(say("operator-before"))],
        "after_commands": [hook(say("operator-after"))],
    });
    let run = Setup::new()
        .agent(|config| config.executor_data = Some(data.to_string().into_bytes()))
        .launch(json!({
            "before_commands": [hook(say("job-before"))],
            "command": say("main"),
        }));
    run.finish();
    let wanted = ["operator-before", "job-before", "main", "operator-after"];
    assert_eq!(run.order(), wanted);
}

#[test]
fn codes_of_the_operator_are_absent_when_there_are_no_such_hooks() {
    let run = Run::start(json!({"command": "true"}));
    let ended = run.finish();
    assert_eq!(ended.data.get("default_before_codes"), None);
    assert_eq!(ended.data.get("default_after_codes"), None);
}

#[test]
fn unknown_keys_of_a_job_are_ignored_with_a_line_in_the_log() {
    let run = Run::start(json!({
        "command": say("main"),
        "later": {"than": "this"},
        "before_commands": [{"value": say("b1")}],
    }));
    assert_eq!(run.finish().state, Finished);
    let log = run.sandbox.read("executor.log");
    assert!(
        log.contains("ignored the unknown key \"later\" in the task's data"),
        "{log}"
    );
    assert_eq!(run.order(), ["b1", "main"]);
}

//! Where a task's commands come from: the framework's command, the job in its data, the program's own
//! arguments, or only hooks.

use crate::support::{Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::{
    CommandInfo, TaskInfo,
    TaskState::{Failed, Finished, Killed, Running, Starting},
};
use serde_json::{Value, json};

/// A run of a task with `TaskInfo.command` and this `data`.
fn run_beside(data: &[u8]) -> Run {
    let run = Setup::new().start();
    run.agent.launch(TaskInfo {
        data: Some(data.to_vec()),
        command: Some(CommandInfo {
            value: Some(say("command").into()),
            ..CommandInfo::default()
        }),
        ..run.task(TASK, &json!({}))
    });
    run
}

#[test]
fn with_a_command_the_data_belongs_to_the_framework() {
    for data in [
        &b""[..],
        b"text of a framework",
        b"\x00\x01\xff\xfe",
        b"[1]",
        b"{}",
        b"{\"command\": \"echo data >> order\"}",
        b"{\"command\": 5, \"comand\": {}}",
        b"{\"before_commands\": [{\"value\": \"echo data >> order\"}]",
    ] {
        let run = run_beside(data);
        assert_eq!(
            run.finish().state,
            Finished,
            "{data:?}: {}",
            run.transcript()
        );
        assert_eq!(run.order(), ["command"], "{data:?}");
        let log = run.sandbox.read("executor.log");
        assert!(!log.contains("ignored") && !log.contains("WARN"), "{log}");
    }
}

#[test]
fn hooks_in_the_data_are_used_with_a_command_too() {
    let data = br#"{"command": "echo no >> order", "other": 1,
        "before_commands": [{"value": "echo before >> order"}], "after_commands": [{"value": "exit 3"}]}"#;
    let run = run_beside(data);
    let ended = run.finish();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["before", "command"]);
    assert_eq!(ended.codes("after_codes"), [Some(3)]);
}

#[test]
fn a_blank_command_of_the_framework_runs_as_with_the_stock_executor() {
    for (value, shell, state) in [
        ("", true, Finished),
        ("  ", true, Finished),
        ("", false, Failed),
    ] {
        let run = Setup::new().start();
        run.agent.launch(TaskInfo {
            data: None,
            command: Some(CommandInfo {
                value: Some(value.into()),
                shell: Some(shell),
                arguments: vec![b"x".to_vec()],
                ..CommandInfo::default()
            }),
            ..run.task(TASK, &json!({}))
        });
        assert_eq!(run.finish().state, state, "{value:?} {shell}");
    }
}

/// Marathon starts a custom executor with `exec './cook-executor' CMD`.
fn run_as_marathon_does(command: &str, data: Option<Value>, setup: Setup) -> Run {
    let run = setup.prelude(format!("exec \"$0\" {command}")).start();
    run.agent.launch(TaskInfo {
        data: data.map(|data| data.to_string().into_bytes()),
        ..run.task(TASK, &json!({}))
    });
    run
}

#[test]
fn a_task_without_a_command_runs_the_programs_arguments() {
    let words = r#"sh -c 'echo "$0,$1,$EXECUTOR_PHASE" >> order; exit 4' "two words" '$HOME'"#;
    let app =
        json!({"id": "/app", "cmd": "echo app >> order", "args": null, "env": {}, "command": null});
    for data in [None, Some(app), Some(json!({})), Some(json!([]))] {
        let run = run_as_marathon_does(words, data, Setup::new());
        let ended = run.finish();
        assert_eq!(
            ended.states,
            [Starting, Running, Failed],
            "{}",
            run.transcript()
        );
        assert_eq!(ended.exit_code(), Some(4));
        assert_eq!(run.order(), ["two words,$HOME,command"]);
    }
    // Without a shell: the argument is one word.
    let run = run_as_marathon_does("'echo x >> order'", None, Setup::new());
    let ended = run.finish();
    assert_eq!(ended.state, Failed);
    assert!(
        ended.message.contains("failed to start: echo x >> order: "),
        "{}",
        ended.message
    );
}

#[test]
fn arguments_can_have_hooks_and_any_other_command_replaces_them() {
    let hooks = r#"[{"value": "echo before >> order"}]"#;
    let setup = Setup::new().variable("EXECUTOR_BEFORE_COMMANDS", hooks);
    let data = json!({"after_commands": [hook(say("after"))]});
    let run = run_as_marathon_does("sh -c 'echo main >> order'", Some(data), setup);
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["before", "main", "after"]);
    let data = json!({"command": say("job")});
    let run = run_as_marathon_does("sh -c 'echo main >> order'", Some(data), Setup::new());
    assert_eq!(run.finish().state, Finished);
    assert_eq!(run.order(), ["job"]);
}

#[test]
fn a_job_of_hooks_only_runs_and_has_no_exit_code() {
    let state =
        r#"echo "$EXECUTOR_PHASE,$EXECUTOR_TASK_STATE,${EXECUTOR_EXIT_CODE-unset}" >> order"#;
    for (job, order) in [
        (
            json!({"after_commands": [hook(state)]}),
            &["after,TASK_FINISHED,unset"][..],
        ),
        (
            json!({"before_commands": [hook(state), hook("exit 3")]}),
            &["before,,unset"],
        ),
        (
            json!({
                "before_commands": [hook(state), {"value": "sleep 600", "async": true}],
                "after_commands": [hook("exit 3"), hook(state)],
            }),
            &["before,,unset", "after,TASK_FINISHED,unset"],
        ),
    ] {
        let run = Setup::new().launch_observed(job);
        let ended = run.finish_alone();
        assert_eq!(
            ended.states,
            [Starting, Running, Finished],
            "{}",
            run.transcript()
        );
        assert_eq!(ended.data.get("exit_code"), None);
        assert_eq!(
            ended.message,
            "Before and after commands have run; the task has no command"
        );
        assert_eq!(run.order(), order);
    }
}

#[test]
fn a_job_of_hooks_only_fails_only_if_a_guard_fails() {
    let guard = |value: &str| json!({"value": value, "guard": true});
    let run = Run::start(json!({
        "before_commands": [guard("exit 5")],
        "after_commands": [hook(say("never"))],
    }));
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Failed]);
    assert!(
        ended
            .message
            .starts_with("before command 1 (\"exit 5\") exited with status 5")
    );
    assert_eq!(run.order(), [""; 0]);
    let run = Run::start(json!({"after_commands": [guard("exit 6"), hook(say("never"))]}));
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Running, Failed]);
    assert_eq!(ended.codes("after_codes"), [Some(6)]);
    assert_eq!(run.order(), [""; 0]);
}

#[test]
fn a_job_of_hooks_only_can_be_killed_before_and_after_task_running() {
    let wait = format!("echo up >> order; {}", wait_for_word("never"));
    let run = Run::start(json!({
        "before_commands": [hook(&wait)],
        "after_commands": [hook(say("after"))],
    }));
    run.wait_for_word("up");
    run.agent.kill(TASK, None);
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Killed]);
    assert_eq!(ended.message, "Killed");
    assert_eq!(run.order(), ["up", "after"]);
    let run = Setup::new()
        .grace("1secs")
        .launch(json!({"after_commands": [hook(&wait)]}));
    run.wait_for_word("up");
    run.agent.kill(TASK, None);
    assert_eq!(run.finish().states, [Starting, Running, Killed]);
}

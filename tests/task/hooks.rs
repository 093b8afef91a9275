//! Before and after commands: their timeouts, and the variables about the task in their environment.

use std::time::Duration;

use crate::support::{Ended, Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::{
    CommandInfo, DurationInfo, TaskInfo,
    TaskState::{Failed, Finished, Killed, Running, Starting},
};
use serde_json::{Value, json};

/// A timeout that a test has to wait for, in seconds.
const SHORT: f64 = 0.1;

fn timed(value: impl AsRef<str>, timeout: f64) -> Value {
    json!({"value": value.as_ref(), "timeout": timeout})
}

/// Adds flags.
fn with(mut hook: Value, flags: &[&str]) -> Value {
    for flag in flags {
        hook[*flag] = json!(true);
    }
    hook
}

fn forever(word: &str) -> String {
    format!("{}; exec sleep 600", say(word))
}

fn deaf(word: &str) -> String {
    format!("trap '' TERM; {}", forever(word))
}

fn run(grace: &str, job: Value) -> (Run, Ended) {
    let run = Setup::new().grace(grace).launch_observed(job);
    let ended = run.finish_alone();
    (run, ended)
}

#[test]
fn a_hook_that_takes_longer_than_its_timeout_is_stopped_and_the_next_one_runs() {
    let (run, ended) = run(
        "1hrs",
        json!({
            "before_commands": [timed(forever("b1"), SHORT), timed(say("b2"), 600.0)],
            "command": say("main"),
            "after_commands": [timed(forever("a1"), SHORT), hook(say("a2"))],
        }),
    );
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["b1", "b2", "main", "a1", "a2"]);
    assert_eq!(ended.codes("before_codes"), [Some(-15), Some(0)]);
    assert_eq!(ended.codes("after_codes"), [Some(-15), Some(0)]);
    let log = run.sandbox.read("executor.log");
    assert!(log.contains("timed out after 100ms"), "{log}");
}

#[test]
fn a_hook_that_ignores_its_timeout_is_killed_after_the_grace() {
    let (run, ended) = run(
        "200ms",
        json!({"before_commands": [timed(deaf("b1"), SHORT)], "command": say("main")}),
    );
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(ended.codes("before_codes"), [Some(-9)]);
    assert_eq!(run.order(), ["b1", "main"]);
}

#[test]
fn a_guard_that_takes_longer_than_its_timeout_has_failed_with_any_exit_code() {
    let polite = format!("trap 'exit 0' TERM; {}; sleep 600 & wait", say("b1"));
    for (script, code) in [(forever("b1"), -15), (polite, 124)] {
        let (run, ended) = run(
            "1hrs",
            json!({
                "before_commands": [with(timed(script, SHORT), &["guard"])],
                "command": say("never"),
                "after_commands": [hook(say("never"))],
            }),
        );
        assert_eq!(ended.states, [Starting, Failed], "{}", run.transcript());
        assert_eq!(ended.codes("before_codes"), [Some(code)]);
        assert_eq!(run.order(), ["b1"]);
        let message = &ended.message;
        assert!(message.contains("before command 1"), "{message}");
        assert!(message.contains("timed out after 100ms"), "{message}");
    }
}

#[test]
fn an_async_guard_that_takes_longer_than_its_timeout_stops_the_command() {
    let (run, ended) = run(
        "1hrs",
        json!({
            "before_commands": [with(timed(forever("b1"), SHORT), &["guard", "async"])],
            "command": forever("main"),
            "after_commands": [hook(say("never"))],
        }),
    );
    assert_eq!(ended.state, Failed, "{}", run.transcript());
    assert_eq!(ended.codes("before_codes"), [Some(-15)]);
    assert!(ended.message.contains("timed out"), "{}", ended.message);
    assert!(!run.order().contains(&"never".to_owned()));
}

#[test]
fn an_async_hook_that_is_stopped_at_the_end_has_not_timed_out() {
    let (run, ended) = run(
        "1hrs",
        json!({
            "before_commands": [with(timed(forever("b1"), 600.0), &["guard", "async"])],
            "command": wait_for_word("b1"),
        }),
    );
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(ended.codes("before_codes"), [Some(-15)]);
    assert!(!run.sandbox.read("executor.log").contains("timed out"));
}

#[test]
fn a_kill_does_not_wait_for_the_timeout_of_a_hook() {
    let run = Setup::new().grace("1hrs").launch_observed(json!({
        "before_commands": [timed(forever("b1"), 600.0)],
        "command": say("never"),
        "after_commands": [timed(say("a1"), 600.0)],
    }));
    run.wait_for_word("b1");
    run.agent.kill(TASK, None);
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Killed]);
    assert_eq!(run.order(), ["b1", "a1"]);
}

/// A command that writes these variables.
const TELL: &str =
    r#"echo "$EXECUTOR_PHASE,${EXECUTOR_TASK_STATE-unset},${EXECUTOR_EXIT_CODE-unset}" >> order"#;

fn told(command: &str) -> Value {
    json!({
        "before_commands": [hook(TELL)],
        "command": format!("{TELL}; {command}"),
        "after_commands": [hook(TELL), with(hook(TELL), &["async"]), hook(wait_for_lines(5))],
    })
}

/// Waits until `order` has this many lines.
fn wait_for_lines(count: usize) -> String {
    format!("until [ $(wc -l < order) -ge {count} ]; do sleep 0.01; done")
}

const BEFORE: &str = "before,unset,unset";
const COMMAND: &str = "command,unset,unset";

#[test]
fn hooks_know_that_the_command_finished_or_failed() {
    for (command, after) in [
        ("exit 0", "after,TASK_FINISHED,0"),
        ("exit 3", "after,TASK_FAILED,3"),
        ("kill -9 $$", "after,TASK_FAILED,-9"),
    ] {
        let mut job = told(command);
        job["after_commands"][2] = hook(wait_for_lines(4));
        let (run, _) = run("1hrs", job);
        assert_eq!(run.order(), [BEFORE, COMMAND, after, after], "{command}");
    }
}

#[test]
fn hooks_know_that_the_task_was_killed() {
    let run = Setup::new().launch_observed(told(&forever("main")));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(Duration::from_secs(3600)));
    run.finish_alone();
    let after = "after,TASK_KILLED,-15";
    assert_eq!(run.order(), [BEFORE, COMMAND, "main", after, after]);
}

#[test]
fn hooks_know_that_the_task_was_killed_before_its_command_ran() {
    let run = Setup::new().launch_observed(json!({
        "before_commands": [hook(format!("{TELL}; {}", forever("before")))],
        "command": TELL,
        "after_commands": [hook(TELL)],
    }));
    run.wait_for_word("before");
    run.agent.kill(TASK, Some(Duration::from_secs(3600)));
    run.finish_alone();
    assert_eq!(run.order(), [BEFORE, "before", "after,TASK_KILLED,unset"]);
}

#[test]
fn hooks_know_that_the_maximum_run_time_failed_the_task() {
    let run = Setup::new().start_with(|agent| agent.hold_acknowledgements());
    run.agent.launch(TaskInfo {
        max_completion_time: Some(DurationInfo {
            nanoseconds: 200_000_000,
        }),
        ..run.task(TASK, &told(&forever("main")))
    });
    let ended = run.finish_alone();
    let after = "after,TASK_FAILED,-15";
    assert_eq!(run.order(), [BEFORE, COMMAND, "main", after, after]);
    assert_eq!(ended.states, [Starting, Running, Failed]);
}

#[test]
fn hooks_know_that_the_command_was_not_started() {
    let hooks = json!([hook(TELL)]).to_string();
    let run = Setup::new()
        .variable("EXECUTOR_AFTER_COMMANDS", &hooks)
        .start_with(|agent| agent.hold_acknowledgements());
    run.agent.launch(TaskInfo {
        data: None,
        command: Some(CommandInfo {
            shell: Some(false),
            value: Some("/no/such/program".into()),
            ..CommandInfo::default()
        }),
        ..run.task(TASK, &json!({}))
    });
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Failed], "{}", run.transcript());
    assert_eq!(run.order(), ["after,TASK_FAILED,unset"]);
}

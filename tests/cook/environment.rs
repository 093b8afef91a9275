//! The environment as the Cook scheduler and its jobs use it: the variable with the progress file,
//! variables that are reset for the job, variables for tests, and the executor's output about itself.

use std::time::Duration;

use crate::support::progress::{FILE, Puppet, last_report};
use crate::support::{Run, Setup, TASK, hook};
use cook_mesos::messages::{
    CommandInfo, Environment, ExecutorInfo, TaskInfo, TaskState::Finished, Variable,
};
use cook_test_agent::events;
use cook_test_agent::journal::What;
use serde_json::json;

/// Names and values.
type Variables = &'static [(&'static str, &'static str)];

/// Writes one variable to the file `seen`: `NAME=value`, or `NAME` if it is not set.
fn show(name: &str) -> String {
    format!("echo \"{name}${{{name}+=${name}}}\" >> seen")
}

/// Runs a command that shows these variables. Returns its stdout and what it has shown.
#[track_caller]
fn shown(setup: Setup, names: &[&str]) -> (String, Vec<String>) {
    let commands: Vec<String> = names.iter().map(|name| show(name)).collect();
    let run = setup.launch(json!({"command": commands.join("\n")}));
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    (run.sandbox.path().display().to_string(), run.lines("seen"))
}

fn environment(variables: Variables) -> Environment {
    let variables = variables.iter().map(|(name, value)| Variable {
        name: (*name).into(),
        value: Some((*value).into()),
        kind: Some(1),
    });
    Environment {
        variables: variables.collect(),
    }
}

/// A task as Mesos delivers it, with an ExecutorInfo as the scheduler sets it.
fn with_executor(run: &Run, task: TaskInfo, variables: Variables) -> TaskInfo {
    TaskInfo {
        executor: Some(ExecutorInfo {
            executor_id: run.agent.config().executor_id.as_str().into(),
            data: None,
            command: Some(CommandInfo {
                value: Some(b"./cook-executor".to_vec()),
                environment: Some(environment(variables)),
                ..CommandInfo::default()
            }),
        }),
        ..task
    }
}

// The progress file.

#[test]
fn the_progress_file_is_named_after_the_executor_and_exported_to_all_commands() {
    let run = Setup::new().launch(json!({
        "before_commands": [hook(show(FILE))],
        "command": show(FILE),
        "after_commands": [hook(show(FILE))],
    }));
    assert_eq!(run.finish().state, Finished);
    let path = run.sandbox.path().join("executor-1.progress");
    let line = format!("{FILE}={}", path.display());
    assert_eq!(run.lines("seen"), [line.as_str(); 3]);
    assert!(!path.exists(), "it was not written");
}

#[test]
fn the_progress_file_is_found_as_the_python_executor_finds_it() {
    const NAMED_BY: &str = "EXECUTOR_PROGRESS_OUTPUT_FILE_ENV";
    const DEFAULT_NAME: &str = "EXECUTOR_DEFAULT_PROGRESS_OUTPUT_NAME";
    const OTHER: &str = "EXECUTOR_PROGRESS_OUTPUT_FILE_NAME";
    let default = "SANDBOX/executor-1.progress";
    let cases: [(Variables, [Option<&str>; 2]); 12] = [
        // The variables, and then the values of the default variable and of the other one.
        (&[], [Some(default), None]),
        (&[(FILE, "progress.txt")], [Some("progress.txt"), None]),
        (&[(FILE, "/a/b")], [Some("/a/b"), None]),
        (&[(FILE, "/dev/null")], [Some("/dev/null"), None]),
        (&[(FILE, "")], [Some(default), None]),
        (&[(NAMED_BY, OTHER)], [None, Some(default)]),
        (&[(NAMED_BY, "")], [Some(default), None]),
        (
            &[(NAMED_BY, OTHER), (OTHER, "progress.out")],
            [None, Some("progress.out")],
        ),
        (
            &[(NAMED_BY, OTHER), (OTHER, "x"), (FILE, "y")],
            [Some("y"), Some("x")],
        ),
        (
            &[(DEFAULT_NAME, "file.out")],
            [Some("SANDBOX/file.out"), None],
        ),
        (
            &[(DEFAULT_NAME, "file.out"), (FILE, "/a/b")],
            [Some("/a/b"), None],
        ),
        (
            &[(DEFAULT_NAME, "file.out"), (NAMED_BY, OTHER)],
            [None, Some("SANDBOX/file.out")],
        ),
    ];
    for (variables, wanted) in cases {
        let setup = Setup::new();
        let setup = variables
            .iter()
            .fold(setup, |setup, (name, value)| setup.variable(name, value));
        let (sandbox, seen) = shown(setup, &[FILE, OTHER]);
        let line = |name: &str, value: Option<&str>| match value {
            Some(value) => format!("{name}={}", value.replace("SANDBOX", &sandbox)),
            None => name.to_owned(),
        };
        let wanted = [line(FILE, wanted[0]), line(OTHER, wanted[1])];
        assert_eq!(seen, wanted, "{variables:?}");
    }
}

#[test]
fn a_job_can_append_to_the_progress_file_with_any_name_of_its_variable() {
    for (variables, file) in [
        (vec![], FILE),
        (vec![(FILE, "progress.txt")], FILE),
        (
            vec![
                ("EXECUTOR_PROGRESS_OUTPUT_FILE_ENV", "MY_FILE"),
                ("MY_FILE", "mine"),
            ],
            "MY_FILE",
        ),
        (
            vec![("EXECUTOR_DEFAULT_PROGRESS_OUTPUT_NAME", "a name")],
            FILE,
        ),
    ] {
        let setup = Setup::new();
        let setup = variables
            .iter()
            .fold(setup, |setup, (name, value)| setup.variable(name, value));
        let mut job = Puppet::with(setup, json!({}));
        job.reports(
            &format!("echo 'progress: 25, a quarter' >> \"${file}\""),
            25,
            "a quarter",
        );
        job.end();
    }
}

#[test]
fn a_relative_progress_file_is_in_the_executors_working_directory() {
    let setup = Setup::new()
        .prelude("mkdir below; ln -s ../order below/order; touch order; cd below")
        .variable(FILE, "progress.txt");
    let mut job = Puppet::new_in(setup, "below");
    job.tell("cd /; : a relative path is one of the executor's");
    job.run
        .sandbox
        .write("below/progress.txt", "progress: 25, below\n");
    job.wait_for(25, "below");
    job.end();
}

#[test]
fn a_progress_file_that_is_stdout_itself_counts_each_line_once() {
    for path in ["stdout", "/dev/stdout", "./stdout"] {
        let mut job = Puppet::with(Setup::new().variable(FILE, path), json!({}));
        job.reports("echo 'progress: 10, one'", 10, "one");
        job.reports("echo 'progress: 20, two'", 20, "two");
        let (run, _) = job.end();
        let count = run
            .agent
            .inspect(|journal| crate::support::progress::reports(journal).len());
        assert_eq!(count, 2, "{path}");
        assert_eq!(last_report(&run), Some((Some(20), "two".into())), "{path}");
    }
}

// Reset variables.

#[test]
fn reset_variables_have_the_schedulers_value_or_none_and_others_do_not_change() {
    let run = Setup::new()
        .variable("MINE", "changed on the way")
        .variable("AGENTS", "from the agent")
        .variable("KEPT", "kept")
        .variable(
            "EXECUTOR_RESET_VARS",
            " MINE,, AGENTS ,NEVER_SET,MESOS_EXECUTOR_ID",
        )
        .start();
    let names = ["MINE", "AGENTS", "KEPT", "NEVER_SET", "MESOS_EXECUTOR_ID"];
    let commands: Vec<String> = names.iter().map(|name| show(name)).collect();
    let commands = commands.join("\n");
    let task = run.task(
        TASK,
        &json!({
            "before_commands": [hook(&commands)],
            "command": commands,
        }),
    );
    run.agent.launch(with_executor(
        &run,
        task,
        &[("MINE", "the scheduler's"), ("KEPT", "not reset")],
    ));
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    let once = [
        "MINE=the scheduler's",
        "AGENTS",
        "KEPT=kept",
        "NEVER_SET",
        "MESOS_EXECUTOR_ID",
    ];
    assert_eq!(run.lines("seen"), [once, once].concat());
}

#[test]
fn without_reset_variables_all_are_passed_on() {
    let names = ["MESOS_EXECUTOR_ID", "MESOS_SANDBOX", "COOK_JOB_UUID"];
    for reset in [None, Some(""), Some(" , ,")] {
        let setup = Setup::new().variable("COOK_JOB_UUID", "uuid");
        let setup = reset.into_iter().fold(setup, |setup, reset| {
            setup.variable("EXECUTOR_RESET_VARS", reset)
        });
        let (sandbox, seen) = shown(setup, &names);
        let wanted = [
            "MESOS_EXECUTOR_ID=executor-1".to_owned(),
            format!("MESOS_SANDBOX={sandbox}"),
            "COOK_JOB_UUID=uuid".to_owned(),
        ];
        assert_eq!(seen, wanted, "{reset:?}");
    }
}

#[test]
fn a_reset_affects_neither_the_tasks_own_variables_nor_the_executors() {
    let names = ["MINE", FILE, "EXECUTOR_PHASE"];
    let run = Setup::new()
        .variable("MINE", "changed on the way")
        .variable(
            "EXECUTOR_RESET_VARS",
            "MINE,EXECUTOR_PHASE,EXECUTOR_ENDPOINT",
        )
        .start();
    let commands: Vec<String> = names.iter().map(|name| show(name)).collect();
    let commands = format!("{}; test -n \"$EXECUTOR_ENDPOINT\"", commands.join("; "));
    let mut task = events::command_task(TASK, &run.agent.config().agent_id, &commands);
    if let Some(command) = &mut task.command {
        command.environment = Some(environment(&[("MINE", "the task's")]));
    }
    let task = with_executor(&run, task, &[("MINE", "the scheduler's")]);
    run.agent.launch_group(vec![task]);
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    let path = run.sandbox.path().join("executor-1.progress");
    let wanted = [
        "MINE=the task's".to_owned(),
        format!("{FILE}={}", path.display()),
        "EXECUTOR_PHASE=command".to_owned(),
    ];
    assert_eq!(run.lines("seen"), wanted);
}

// Variables for tests.

#[test]
fn a_test_exit_executor_exits_after_five_seconds_and_starts_nothing() {
    let run = Setup::new()
        .variable("EXECUTOR_TEST_EXIT", "3")
        .launch(json!({"command": "touch ran", "before_commands": [hook("touch ran")]}));
    assert_eq!(run.exit_code(), Some(3), "{}", run.transcript());
    let (subscribed, exited) = run.agent.inspect(|journal| {
        let at = |wanted: fn(&What) -> bool| {
            let mut entries = journal.entries().iter();
            entries.find(|entry| wanted(&entry.what)).map(|it| it.at)
        };
        (
            at(|what| matches!(what, What::Subscribed(_))),
            at(|what| matches!(what, What::Exited(_))),
        )
    });
    let waited = exited.expect("it has") - subscribed.expect("it has to");
    // Both times are seen from outside, so the difference may be a little smaller.
    assert!(waited > Duration::from_millis(4500), "{waited:?}");
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    assert_eq!(run.agent.inspect(|journal| journal.states()), []);
    assert!(!run.sandbox.path().join("ran").exists());
}

#[test]
fn an_invalid_test_exit_is_ignored_with_a_warning() {
    for value in ["soon", ""] {
        let run = Setup::new()
            .variable("EXECUTOR_TEST_EXIT", value)
            .launch(json!({"command": "true"}));
        assert_eq!(run.finish().state, Finished, "{value:?}");
        let log = run.sandbox.read("executor.log");
        let warned = log.contains("EXECUTOR_TEST_EXIT");
        assert_eq!(warned, !value.is_empty(), "{value:?}: {log}");
    }
}

// What the executor prints about itself.

#[test]
fn the_first_line_of_stdout_is_the_version() {
    let run = Run::start(json!({
        "before_commands": [hook("echo before")],
        "command": "echo command",
    }));
    run.finish();
    let lines = run.lines("stdout");
    let version = format!("Cook Executor version {}", env!("CARGO_PKG_VERSION"));
    let first = lines.iter().find(|line| !line.is_empty());
    assert_eq!(first, Some(&version), "{lines:?}");
    let count = lines.iter().filter(|line| **line == version).count();
    assert_eq!(count, 1);
}

#[test]
fn the_log_has_the_executors_memory_at_start_and_end() {
    let run = Run::start(json!({"command": "true"}));
    run.finish();
    let lines = run.lines("executor.log");
    let memory: Vec<usize> = (0..lines.len())
        .filter(|index| lines[*index].contains("Executor Memory usage: "))
        .collect();
    assert_eq!(memory.len(), 2, "{lines:?}");
    for index in &memory {
        let rest = lines[*index].split("Executor Memory usage: ").nth(1);
        let number = rest.and_then(|rest| rest.strip_suffix(" MB"));
        let number: f64 = number.and_then(|it| it.parse().ok()).expect(&lines[*index]);
        assert!((0.1..64.0).contains(&number), "{number} MB");
    }
    let told = lines.iter().position(|line| line.contains("TASK_FINISHED"));
    assert!(
        Some(memory[0]) < told && told < Some(memory[1]),
        "{lines:?}"
    );
}

#[test]
fn invalid_and_too_small_numbers_are_replaced_with_a_warning_and_the_task_runs() {
    for (name, value) in [
        ("EXECUTOR_MAX_BYTES_READ_PER_LINE", "many"),
        ("EXECUTOR_MAX_BYTES_READ_PER_LINE", "1"),
        ("EXECUTOR_MEMORY_USAGE_INTERVAL_SECS", "often"),
        ("EXECUTOR_MEMORY_USAGE_INTERVAL_SECS", "29"),
        ("PROGRESS_SAMPLE_INTERVAL_MS", "99"),
    ] {
        let run = Setup::new()
            .variable(name, value)
            .launch(json!({"command": "echo 'progress: 10, x'"}));
        assert_eq!(run.finish().state, Finished, "{name}={value}");
        let log = run.sandbox.read("executor.log");
        let warnings = log.lines().filter(|line| line.contains("WARN"));
        let warnings: Vec<&str> = warnings.collect();
        assert_eq!(warnings.len(), 1, "{name}={value}: {log}");
        assert!(warnings[0].contains(name), "{warnings:?}");
        assert_eq!(last_report(&run), Some((Some(10), "x".into())));
    }
}

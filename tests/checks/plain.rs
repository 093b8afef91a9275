//! A plain command task, as frameworks run it with the command executor: its program is looked up in the
//! same way, and its stdout contains only its own output.

use cook_mesos::messages::{
    CommandInfo, TaskInfo,
    TaskState::{Finished, Killed},
};
use serde_json::json;

use crate::support::{Run, Setup, TASK, hook, say};

/// A task with only a `TaskInfo.command`.
fn plain(run: &Run, command: CommandInfo) -> TaskInfo {
    TaskInfo {
        command: Some(command),
        data: None,
        ..run.task(TASK, &json!({}))
    }
}

fn shell(value: &str) -> CommandInfo {
    CommandInfo {
        value: Some(value.into()),
        ..CommandInfo::default()
    }
}

fn exec(arguments: &[&str]) -> CommandInfo {
    CommandInfo {
        value: Some(arguments[0].into()),
        shell: Some(false),
        arguments: arguments.iter().map(|one| (*one).into()).collect(),
        ..CommandInfo::default()
    }
}

fn program(run: &Run, name: &str, text: &str) {
    run.sandbox.write(name, &format!("#!/bin/sh\n{text}\n"));
    run.sandbox.permit(name, 0o755);
}

#[test]
fn a_program_is_looked_up_in_the_working_directory_and_then_in_path() {
    // In both places; only in the working directory; only in PATH; not executable in the working directory;
    // a folder there.
    for (name, words) in [
        ("date", "here"),
        ("tool", "here"),
        ("echo", "words"),
        ("printf", "words"),
        ("expr", "words"),
    ] {
        let run = Setup::new().start();
        match name {
            "date" | "tool" => program(&run, name, "echo here"),
            "printf" => run.sandbox.write(name, "no program"),
            "expr" => std::fs::create_dir(run.sandbox.path().join(name)).expect("a folder"),
            _ => {}
        }
        run.agent.launch(plain(&run, exec(&[name, "words"])));
        let ended = run.finish();
        assert_eq!(ended.state, Finished, "{name}: {}", ended.message);
        assert_eq!(run.sandbox.read("stdout").trim_end(), words, "{name}");
    }
}

#[test]
fn a_program_with_a_slash_in_its_name_is_not_looked_up() {
    let run = Setup::new().start();
    std::fs::create_dir(run.sandbox.path().join("bin")).expect("a folder");
    program(&run, "bin/tool", "echo \"$0 $1\"");
    run.agent.launch(plain(&run, exec(&["bin/tool", "words"])));
    assert_eq!(run.finish().state, Finished);
    assert_eq!(run.sandbox.read("stdout"), "bin/tool words\n");
}

#[test]
fn the_stdout_of_a_plain_command_has_only_its_output_and_our_lines_are_in_the_log() {
    let run = Setup::new().start();
    run.agent
        .launch(plain(&run, shell("printf 'no line feed'")));
    assert_eq!(run.finish().state, Finished);
    assert_eq!(run.sandbox.read("stdout"), "no line feed");
    assert_eq!(run.sandbox.read("stderr"), "");
    let log = run.sandbox.read("executor.log");
    for line in [
        format!("Starting task {TASK}"),
        "Forked command at ".to_owned(),
        "Command exited with status 0".to_owned(),
        format!("Executor completed execution of {TASK} (state=TASK_FINISHED)"),
    ] {
        assert!(log.contains(&line), "{line:?} in {log}");
    }
}

#[test]
fn the_stdout_of_a_killed_plain_command_has_only_its_output() {
    let run = Setup::new().start();
    run.agent
        .launch(plain(&run, shell(&format!("{}; sleep 600", say("main")))));
    run.wait_for_word("main");
    run.agent.kill(TASK, None);
    assert_eq!(run.finish().state, Killed);
    assert_eq!(run.sandbox.read("stdout"), "");
    assert!(
        run.sandbox
            .read("executor.log")
            .contains("Received kill for task")
    );
}

#[test]
fn a_job_of_cook_and_one_with_hooks_have_our_lines_in_stdout() {
    let version = format!("Cook Executor version {}\n", env!("CARGO_PKG_VERSION"));
    let cook = |run: &Run| run.task(TASK, &json!({"command": "echo main"}));
    let hooks = |run: &Run| TaskInfo {
        command: Some(shell("echo main")),
        ..run.task(TASK, &json!({"before_commands": [hook("true")]}))
    };
    let jobs: [&dyn Fn(&Run) -> TaskInfo; 2] = [&cook, &hooks];
    for job in jobs {
        let run = Setup::new().start();
        run.agent.launch(job(&run));
        assert_eq!(run.finish().state, Finished);
        let stdout = run.sandbox.read("stdout");
        assert!(stdout.starts_with(&version), "{stdout}");
        for line in [
            "Starting task ",
            "Forked command at ",
            "main\n",
            "Command exited with status 0",
            "state=TASK_FINISHED",
        ] {
            assert!(stdout.contains(line), "{line:?} in {stdout}");
        }
    }
}

#[test]
fn an_operators_hooks_count_as_hooks() {
    let run = Setup::new()
        .variable("EXECUTOR_DEFAULT_AFTER_COMMANDS", r#"[{"value": "true"}]"#)
        .start();
    run.agent.launch(plain(&run, shell("echo main")));
    assert_eq!(run.finish().state, Finished);
    assert!(run.sandbox.read("stdout").contains("Starting task "));
}

//! Three kinds of processes that are alive when the last command has ended, and are not simply ended:
//! readers of its output, processes of other users, and processes that existed before the task.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::users::{AS_TASK_USER, is_root};
use crate::support::{Run, Setup, TASK, hook, say};
use cook_mesos::messages::TaskState::{Failed, Finished, Killed};
use serde_json::{Value, json};

/// A grace period that is longer than any reader needs.
const GRACE: &str = "3secs";

/// Whether this machine has these programs. If not, prints that the test is skipped.
fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output();
        let has = found.is_ok_and(|output| output.status.success());
        if !has {
            eprintln!("SKIPPED: {program} is not installed");
        }
        has
    })
}

fn finish(job: Value) -> (Run, i64, Duration) {
    let run = Setup::new().grace(GRACE).launch_observed(job);
    let begin = Instant::now();
    let ended = run.finish_alone();
    let code = ended.exit_code();
    assert!(code.is_some(), "{}", run.transcript());
    (run, code.unwrap_or_default(), begin.elapsed())
}

/// The second half of a reader. It is slow, so that it has not read everything when its writer ends.
const SLOW: &str = "sleep 0.3; cat > all.log";

#[test]
fn readers_of_a_commands_output_may_read_it_to_the_end() {
    if !has(&["bash", "gzip", "tee"]) {
        return;
    }
    for command in [
        format!("exec > >({SLOW}); echo boom; exit 3"),
        "exec > >(sleep 0.3; tee -a all.log) 2>&1; echo boom; exit 3".to_owned(),
        "exec > >(sleep 0.3; sed s/x/x/ | cat | tee all.log); echo boom; exit 3".to_owned(),
        "exec > >(sleep 0.3; while read line; do echo $line > all.log; done); echo boom; exit 3"
            .to_owned(),
        format!("exec > >(setsid sh -c '{SLOW}'); echo boom; exit 3"),
        format!("mkfifo pipe; (trap '' HUP; {SLOW}) < pipe & echo boom > pipe; exit 3"),
        format!("coproc {{ {SLOW}; }}; echo boom >&${{COPROC[1]}}; exit 3"),
        // It does not get SIGTERM, so its trap does not run.
        format!("exec > >(trap 'echo TERM >> order' TERM; {SLOW}); echo boom; exit 3"),
        // A helper of a reader that reads nothing.
        "exec > >(read line; sh -c 'sleep 0.3; echo boom > all.log' < /dev/null; :); echo boom; exit 3"
            .to_owned(),
        "exec > >(sleep 0.3; gzip > log.gz); echo boom; exit 3".to_owned(),
    ] {
        let job = json!({"command": format!("exec bash -c {}", quote(&command))});
        let (run, code, _) = finish(job);
        assert_eq!(code, 3);
        let text = match run.sandbox.path().join("log.gz").exists() {
            true => gunzip(&run),
            false => run.sandbox.read("all.log"),
        };
        assert_eq!(text, "boom\n", "{command}: {}", run.transcript());
        assert_eq!(run.order(), [""; 0], "{command}");
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn gunzip(run: &Run) -> String {
    let output = Command::new("gzip")
        .args(["-dc", "log.gz"])
        .current_dir(run.sandbox.path())
        .output();
    let output = output.expect("gzip is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn readers_have_their_time_with_hooks_guards_and_progress_too() {
    if !has(&["bash"]) {
        return;
    }
    let reading = |file: &str, status: u8| {
        let line = format!("exec > >(sleep 0.3; cat >> {file}); echo boom; exit {status}");
        format!("exec bash -c {}", quote(&line))
    };
    let (run, _, _) = finish(json!({
        "command": "exit 2",
        "after_commands": [hook(reading("after.log", 0))],
    }));
    assert_eq!(run.sandbox.read("after.log"), "boom\n");

    let guard = json!({"value": reading("guard.log", 1), "guard": true});
    let run = Setup::new()
        .grace(GRACE)
        .launch_observed(json!({"before_commands": [guard], "command": "true"}));
    assert_eq!(run.finish_alone().state, Failed);
    assert_eq!(run.sandbox.read("guard.log"), "boom\n");

    // At the same time as an async command that ignores SIGTERM.
    let deaf = json!({"value": format!("trap '' TERM; {}; sleep 600", say("up")), "async": true});
    let run = Setup::new().grace("600ms").launch_observed(json!({
        "before_commands": [deaf, {"value": crate::support::wait_for_word("up")}],
        "command": reading("beside.log", 0),
    }));
    assert_eq!(run.finish_alone().state, Finished);
    assert_eq!(run.sandbox.read("beside.log"), "boom\n");

    let line = "exec > >(sleep 0.3; tee -a progress); echo 'progress: 70, read'";
    let run = Setup::new()
        .grace(GRACE)
        .variable("EXECUTOR_PROGRESS_OUTPUT_FILE", "progress")
        .launch_observed(json!({"command": format!("exec bash -c {}", quote(line))}));
    let ended = run.finish_alone();
    assert_eq!(ended.data["progress"].as_f64(), Some(70.0));
}

#[test]
fn an_endless_reader_is_ended_after_the_grace_and_other_processes_are_not_waited_for() {
    if !has(&["bash"]) {
        return;
    }
    let begin = Instant::now();
    let endless = "mkfifo pipe; exec 3<> pipe; cat < pipe 3<&- & sleep 0.1; exit 3";
    let run = Setup::new()
        .grace("500ms")
        .launch_observed(json!({"command": endless}));
    assert_eq!(run.finish_alone().exit_code(), Some(3));
    // The first reader's writer has ended, so it ends by itself; the next one's writer is still alive.
    let with_writer =
        "mkfifo pipe2; (trap '' TERM; sleep 600) > pipe2 & cat < pipe2 & sleep 0.1; exit 3";
    let run = Setup::new()
        .grace("500ms")
        .launch_observed(json!({"command": with_writer}));
    assert_eq!(run.finish_alone().exit_code(), Some(3));
    assert!(begin.elapsed() < Duration::from_secs(10));
    // A process that reads nothing has no extra time: neither a daemon, nor one with the executor's own
    // stdin, a pipe.
    let daemon = "setsid sleep 600 & exec 0</dev/null; exit 0";
    let run = Setup::new()
        .grace("600secs")
        .prelude("mkfifo in; exec 4<> in; exec < in; exec 4>&-")
        .launch_observed(json!({"command": daemon}));
    assert_eq!(run.finish_alone().state, Finished);
}

#[test]
fn a_kill_ends_the_waiting_for_readers() {
    if !has(&["bash"]) {
        return;
    }
    let command = "mkfifo pipe; (exec 3> pipe; trap '' TERM HUP; sleep 1) & cat < pipe & \
                   echo main >> order; exit 0";
    let begin = Instant::now();
    let run = Setup::new()
        .grace("600secs")
        .launch_observed(json!({"command": command}));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(Duration::ZERO));
    let ended = run.finish_alone();
    assert!(matches!(ended.state, Killed | Finished), "{ended:?}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

/// Creates a program that becomes root permanently when the task's user starts it.
const BECOME_ROOT: &str =
    "mkdir bin; cp $(command -v setpriv) bin/helper; chown 0:0 bin/helper; chmod 4755 bin/helper; ";

#[test]
fn processes_of_other_users_are_waited_for_no_longer_than_the_grace_and_logged_once() {
    if !is_root("what_the_kernel_does_not_let_us_end_is_waited_for_no_longer_than_the_grace") {
        return;
    }
    let helper = "bin/helper --reuid 0 --regid 0 --clear-groups sleep 5";
    for command in [
        format!("{helper} & sleep 0.2; exit 4"),
        format!("setsid {helper} & sleep 0.2; exit 4"),
        // Together with processes that can be ended.
        format!("setsid {helper} & sleep 600 & sleep 0.2; exit 4"),
    ] {
        let run = Setup::new()
            .grace("500ms")
            .prelude(format!("{BECOME_ROOT}{AS_TASK_USER}"))
            .launch(json!({"command": command, "after_commands": [hook(say("after"))]}));
        let ended = run.finish();
        assert_eq!(ended.exit_code(), Some(4), "{}", run.transcript());
        assert_eq!(run.order(), ["after"]);
        let log = run.sandbox.read("executor.log");
        let lines = log
            .lines()
            .filter(|line| line.contains("does not let this user end"));
        assert_eq!(lines.count(), 1, "{log}");
        assert!(log.contains("(sleep) runs as uid 0"), "{log}");
        assert!(log.matches("SIGKILL").count() <= 3, "{log}");
        run.wait_until_alone();
    }
}

#[test]
fn a_command_that_cannot_be_killed_does_not_delay_the_end_of_a_killed_task() {
    if !is_root("a_command_that_cannot_be_killed_does_not_delay_the_end_of_a_killed_task") {
        return;
    }
    let command = "echo main >> order; exec bin/helper --reuid 0 --regid 0 --clear-groups sleep 15";
    let run = Setup::new()
        .prelude(format!("{BECOME_ROOT}touch order; {AS_TASK_USER}"))
        .launch(json!({"command": command, "after_commands": [hook(say("after"))]}));
    run.wait_for_word("main");
    run.wait_while("the helper is root", |run| {
        let processes = run.processes();
        !processes.iter().any(|process| process.contains("sleep 15"))
    });
    run.agent.kill(TASK, Some(Duration::from_millis(300)));
    let ended = run.finish();
    assert_eq!(ended.state, Killed, "{}", run.transcript());
    assert_eq!(run.order(), ["main", "after"]);
    assert_eq!(run.processes().len(), 1, "it was waited for");
    run.wait_until_alone();
}

/// Checks that the operator's own processes are left when the task has ended.
fn tunnel(prelude: &str, job: Value) {
    let run = Setup::new().grace("300ms").prelude(prelude).launch(job);
    let ended = run.finish();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    // The tunnel has survived the task and writes its word; no other process has.
    run.say("go");
    run.wait_until_alone();
    let order = run.order();
    assert!(order.contains(&"tunnel".to_owned()), "{order:?}");
    let log = run.sandbox.read("executor.log");
    assert!(!log.contains("sent SIGTERM"), "{log}");
}

/// Waits for a word and writes another one, in a child process.
const TUNNEL: &str = r#"sh -c 'until grep -q go order; do sleep 0.01; done; echo tunnel >> order'"#;

#[test]
fn processes_from_before_the_first_command_and_their_children_are_left_alone() {
    let job = json!({"command": "sleep 0.1", "after_commands": [hook(say("after"))]});
    for prelude in [
        format!("touch order; {TUNNEL} & exec \"$0\""),
        format!("touch order; setsid {TUNNEL} & exec \"$0\""),
        format!("touch order; (: ; {TUNNEL}; :) & exec \"$0\""),
        // Its parent ends while the task is running, so it becomes a child of the executor.
        format!(
            "touch order; sh -c '{} & sleep 0.3' & exec \"$0\"",
            TUNNEL.replace('\'', r"'\''")
        ),
    ] {
        tunnel(&prelude, job.clone());
    }
}

#[test]
fn remaining_processes_of_the_task_are_ended_and_earlier_ones_are_not() {
    let prelude = format!("touch order; {TUNNEL} & exec \"$0\"");
    let command = r#"setsid sh -c 'trap "" TERM; echo stray >> order; sleep 600' &
                     until grep -q stray order; do sleep 0.01; done"#;
    let run = Setup::new()
        .grace("300ms")
        .prelude(prelude)
        .launch(json!({"command": command}));
    assert_eq!(run.finish().state, Finished);
    let left = run.processes();
    assert!(
        !left.iter().any(|one| one.contains("sleep 600")),
        "{left:?}"
    );
    run.say("go");
    run.wait_until_alone();
}

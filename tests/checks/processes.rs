//! The processes of COMMAND checks: they get the task's environment, end with their check, and do not count
//! as processes of the task.

use std::time::{Duration, Instant};

use cook_mesos::messages::{
    CheckCommand, CheckInfo, CheckType, CommandInfo, Environment, HealthCheck, TaskInfo,
    TaskState::{Finished, Killed},
    VARIABLE_SECRET, Variable,
};
use serde_json::json;

use crate::common::{
    check, command_check, command_health, end, exit_code, run_with, run_with_check,
    run_with_health, task, wait_for,
};
use crate::support::{Run, Setup, TASK};

/// Waits until no process of this run has these arguments, while the task is running.
#[track_caller]
fn wait_until_gone(run: &Run, words: &str) {
    run.wait_while(&format!("the end of {words:?}"), |run| {
        run.processes()
            .iter()
            .any(|process| process.contains(words))
    });
}

#[test]
fn a_checks_own_variables_override_the_tasks_and_it_runs_in_the_sandbox() {
    let variable = |name: &str, value: &str, kind: Option<i32>| Variable {
        name: name.into(),
        value: Some(value.into()),
        kind,
    };
    let command = CommandInfo {
        environment: Some(Environment {
            variables: vec![
                variable("SHARED", "check", None),
                variable("HIDDEN", "", Some(VARIABLE_SECRET)),
            ],
        }),
        value: Some(
            "echo $FROM_TASK,$SHARED,${HIDDEN-unset},$EXECUTOR_PHASE,$PATCHED >> seen; \
             pwd >> seen; readlink /proc/self/fd/0 >> seen"
                .into(),
        ),
        ..CommandInfo::default()
    };
    let check = CheckInfo {
        kind: Some(CheckType::Command as i32),
        command: Some(CheckCommand { command }),
        ..check()
    };
    let run = Setup::new().start();
    let of_task = CommandInfo {
        environment: Some(Environment {
            variables: vec![
                variable("FROM_TASK", "task", None),
                variable("SHARED", "task", None),
                variable("HIDDEN", "task", None),
            ],
        }),
        value: Some(
            "$EXECUTOR_BIN patch '{\"env\": {\"PATCHED\": \"yes\"}}' > /dev/null; sleep 600".into(),
        ),
        ..CommandInfo::default()
    };
    run.agent.launch(TaskInfo {
        command: Some(of_task),
        check: Some(check),
        data: None,
        ..run.task(TASK, &json!({}))
    });
    run.wait_for_line("seen", "task,check,task,check,yes");
    let seen = run.lines("seen");
    let sandbox = run.sandbox.path().canonicalize().expect("it is there");
    assert_eq!(seen[1], sandbox.to_string_lossy());
    assert_eq!(seen[2], "/dev/null");
    end(&run);
}

#[test]
fn a_check_without_a_shell_runs_its_arguments() {
    let command = CommandInfo {
        value: Some(b"test".to_vec()),
        shell: Some(false),
        arguments: ["test", "-e", "well"].map(|text| text.into()).to_vec(),
        ..CommandInfo::default()
    };
    let check = HealthCheck {
        command: Some(command),
        ..command_health("")
    };
    let run = run_with_health(check);
    let sick = wait_for(&run, "unhealthy", |told| told.healthy == Some(false));
    assert!(
        sick.message.contains("exited with status 1 (test)"),
        "{}",
        sick.message
    );
    run.sandbox.write("well", "");
    wait_for(&run, "healthy", |told| told.healthy == Some(true));
    end(&run);
}

#[test]
fn a_check_that_cannot_be_started_has_failed_with_the_reason() {
    let command = CommandInfo {
        value: Some(b"/nonexistent".to_vec()),
        shell: Some(false),
        ..CommandInfo::default()
    };
    let check = HealthCheck {
        command: Some(command),
        consecutive_failures: Some(2),
        ..command_health("")
    };
    let ended = run_with_health(check).finish();
    assert_eq!(ended.state, Killed);
    let words = "failed to start: /nonexistent: No such file or directory (/nonexistent)";
    assert!(ended.message.contains(words), "{}", ended.message);
}

#[test]
fn the_output_of_a_check_is_neither_progress_nor_output_of_the_task() {
    let value = "echo x >> looks; echo 'progress: 50, from the check'; \
                 echo 'progress: 51, from the check' >&2; exit 3";
    let run = run_with_check(command_check(value));
    wait_for(&run, "a result", |told| {
        told.status == Some(exit_code(Some(3)))
    });
    run.wait_while("three looks", |run| run.lines("looks").len() < 3);
    // Only the output of the last probe is kept.
    run.wait_while("its output", |run| {
        run.lines("executor.check.log")
            != [
                "progress: 50, from the check",
                "progress: 51, from the check",
            ]
    });
    end(&run);
    let output = run.sandbox.read("stdout") + &run.sandbox.read("stderr");
    assert!(!output.contains("from the check"), "{output}");
    let messages = run.agent.inspect(|journal| journal.messages());
    assert!(
        messages
            .iter()
            .all(|message| message.get("progress-percent").is_none()),
        "{messages:?}"
    );
}

#[test]
fn remaining_processes_of_a_check_end_with_it_and_not_with_the_task() {
    // In its process group, in another one, and in another session without its parent.
    let value = "sleep 611 & setsid sleep 612 & (setsid sh -c 'sleep 613 & sleep 614' &) ; \
                 echo x >> looks; sleep 0.2; exit 4";
    let check = CheckInfo {
        interval_seconds: Some(3600.0),
        ..command_check(value)
    };
    let run = run_with_check(check);
    wait_for(&run, "a result", |told| {
        told.status == Some(exit_code(Some(4)))
    });
    for words in ["sleep 611", "sleep 612", "sleep 613", "sleep 614"] {
        wait_until_gone(&run, words);
    }
    let task = run.processes();
    assert!(
        task.iter().any(|process| process.contains("sleep 600")),
        "{task:?}"
    );
    end(&run);
}

#[test]
fn a_process_that_was_not_recognised_when_its_check_ended_is_ended_after_the_next_check() {
    // During `execve`, the kernel shows an empty environment. This process removes the variable for longer than that.
    let daemon = "sleep 0.2; echo missed >> order; exec env EXECUTOR_PHASE=check sleep 661";
    let value = format!(
        "[ -e made ] || {{ touch made; env -u EXECUTOR_PHASE setsid sh -c '{daemon}' & sleep 0.1; }}"
    );
    let run = run_with_check(command_check(&value));
    run.wait_for_word("missed");
    wait_until_gone(&run, "sleep 661");
    end(&run);
}

#[test]
fn a_check_that_keeps_starting_daemons_leaves_none_when_it_times_out() {
    let value = "while :; do (setsid sleep 651 &); done";
    let check = HealthCheck {
        timeout_seconds: Some(0.3),
        interval_seconds: Some(3600.0),
        ..command_health(value)
    };
    let run = run_with_health(check);
    let sick = wait_for(&run, "unhealthy", |told| told.healthy == Some(false));
    assert!(sick.message.contains("timed out after 300ms"));
    wait_until_gone(&run, "sleep 651");
    let start = Instant::now();
    end(&run);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_check_that_times_out_is_killed_with_all_its_processes() {
    let value = "trap '' TERM; setsid sleep 621 & sleep 622 & sleep 623";
    let check = HealthCheck {
        timeout_seconds: Some(0.3),
        interval_seconds: Some(3600.0),
        ..command_health(value)
    };
    let run = run_with_health(check);
    let sick = wait_for(&run, "unhealthy", |told| told.healthy == Some(false));
    assert!(
        sick.message.contains("timed out after 300ms"),
        "{}",
        sick.message
    );
    for words in ["sleep 621", "sleep 622", "sleep 623"] {
        wait_until_gone(&run, words);
    }
    end(&run);
}

#[test]
fn a_running_check_does_not_delay_the_end_of_the_task() {
    let run = Setup::new().grace("1hrs").start();
    let value = "trap '' TERM; echo look >> order; setsid sleep 631 & sleep 632";
    let command = "until grep -q look order; do sleep 0.01; done";
    let check = command_check(value);
    run.agent.launch(task(
        &run,
        command,
        Some(check),
        Some(command_health(value)),
    ));
    let start = Instant::now();
    let ended = run.finish();
    assert_eq!((ended.state, ended.exit_code()), (Finished, Some(0)));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn remaining_processes_of_the_task_are_not_a_checks() {
    let run = Setup::new().start();
    let command = "sleep 641 & (setsid sleep 642 &); sleep 600";
    let check = command_check("sleep 643 & echo look >> order");
    run.agent.launch(task(&run, command, Some(check), None));
    run.wait_while("five looks", |run| run.order().len() < 5);
    let processes = run.processes();
    for words in ["sleep 641", "sleep 642", "sleep 600"] {
        assert!(
            processes.iter().any(|process| process.contains(words)),
            "{words}: {processes:?}"
        );
    }
    end(&run);
}

#[test]
fn checks_of_both_kinds_do_not_end_each_others_processes() {
    let long = "echo begun >> order; sleep 1; echo ended >> order";
    let short = "true";
    let check = CheckInfo {
        interval_seconds: Some(3600.0),
        ..command_check(long)
    };
    let run = run_with(Setup::new(), Some(check), Some(command_health(short)));
    let done = wait_for(&run, "the long one", |told| {
        told.status == Some(exit_code(Some(0)))
    });
    assert!(
        done.message.contains("exited with status 0"),
        "{}",
        done.message
    );
    assert_eq!(run.order(), ["begun", "ended"]);
    end(&run);
}

#[test]
fn a_link_instead_of_a_checks_output_file_is_not_followed() {
    let run = Setup::new().start();
    std::os::unix::fs::symlink("victim", run.sandbox.path().join("executor.check.log"))
        .expect("a link");
    run.sandbox.write("victim", "kept");
    let check = command_check("echo overwritten; exit 5");
    run.agent.launch(task(&run, "sleep 600", Some(check), None));
    wait_for(&run, "a result", |told| {
        told.status == Some(exit_code(Some(5)))
    });
    end(&run);
    assert_eq!(run.sandbox.read("victim"), "kept");
}

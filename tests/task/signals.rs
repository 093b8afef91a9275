//! Signals to the executor itself: which ones stop the task, which ones are ignored, and that commands have
//! default signal actions.

use std::process::Command;

use crate::support::{Run, Setup, hook, say, wait_for_word};
use cook_mesos::messages::TaskState::{Finished, Killed};
use serde_json::{Value, json};

/// Signals that end a process by default and have no meaning for the executor. They are given by number,
/// because most names differ between shells. 32 to 64 are real-time signals.
const HARMLESS: [i32; 13] = [1, 5, 6, 10, 12, 14, 16, 24, 25, 26, 27, 29, 30];

fn send(run: &Run, signal: i32) {
    let pid = run.executor.pid().as_raw_nonzero().to_string();
    let status = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{signal}");
}

fn job(command: &str) -> Value {
    json!({
        "before_commands": [hook(say("before"))],
        "command": command,
        "after_commands": [hook(say("after"))],
    })
}

#[test]
fn signals_without_a_meaning_are_ignored_and_logged() {
    let command = format!("{}; {}", say("main"), wait_for_word("go"));
    let run = Setup::new().launch_observed(job(&command));
    run.wait_for_word("main");
    // Lines that others can cause have a rate limit, so not all of these signals are in the log.
    let (first, others) = HARMLESS.split_at(5);
    // 34 is SIGRTMIN of programs that use glibc. musl does not let anybody catch 32 to 34.
    for signal in first.iter().chain(&[34, 35, 64]) {
        send(&run, *signal);
        run.wait_while(&format!("signal {signal} is logged"), |run| {
            let log = run.sandbox.read("executor.log");
            !log.contains(&format!("ignored signal {signal} ("))
        });
    }
    for signal in others.iter().copied().chain(32..34).chain(36..64) {
        send(&run, signal);
    }
    run.say("go");
    let ended = run.finish_alone();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["before", "main", "go", "after"]);
}

#[test]
fn sigquit_stops_the_task_like_sigterm_and_sigint() {
    for (signal, name) in [(3, "Quit"), (2, "Interrupt"), (15, "Terminated")] {
        let command = format!("{}; sleep 600", say("main"));
        let run = Setup::new().grace("3secs").launch_observed(job(&command));
        run.wait_for_word("main");
        send(&run, signal);
        let ended = run.finish_alone();
        assert_eq!(ended.state, Killed, "{}", run.transcript());
        assert_eq!(run.order(), ["before", "main", "after"]);
        let log = run.sandbox.read("executor.log");
        let told = format!("received signal {signal} ({name}): stopping the task");
        assert!(log.contains(&told), "{log}");
    }
}

/// The signals 32 to 34 are used by C libraries. A program that was started by glibc's `posix_spawn` has
/// ignored two of them, and musl does not let anybody change that.
const OF_C_LIBRARIES: u64 = 7 << 31;

/// Checks that for a command no signal is blocked, ignored or caught.
fn check_dispositions(prelude: &str) {
    let look = "exec cat /proc/self/status > status";
    let run = Setup::new().prelude(prelude).launch_observed(job(look));
    assert_eq!(run.finish_alone().state, Finished, "{}", run.transcript());
    let lines = run.lines("status");
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = lines.iter().find(|line| line.starts_with(name));
        let (_, mask) = line
            .and_then(|line| line.split_once(":\t"))
            .expect("a mask");
        let mask = u64::from_str_radix(mask, 16).expect("a mask") & !OF_C_LIBRARIES;
        assert_eq!(mask, 0, "{name} after {prelude}");
    }
}

#[test]
fn commands_start_with_default_signal_actions_in_every_case() {
    check_dispositions(":");
    check_dispositions("trap '' HUP QUIT INT USR1 ALRM TSTP TTIN TTOU PIPE URG WINCH CONT CHLD");
    check_dispositions("exec env --block-signal=USR1,HUP,TSTP \"$0\"");
}

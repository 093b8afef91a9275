//! Signals to the executor itself: which ask for the end, which are survived, and what commands see of it.

use std::process::Command;

use crate::support::{Run, Setup, hook, say, wait_for_word};
use cook_mesos::messages::TaskState::{Finished, Killed};
use serde_json::{Value, json};

/// Signals that end a process by default and ask for nothing: by number, since most have no other name in
/// all shells. 35 to 64 are real-time signals.
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
fn signals_that_ask_for_nothing_are_survived_and_logged() {
    let command = format!("{}; {}", say("main"), wait_for_word("go"));
    let run = Setup::new().launch_observed(job(&command));
    run.wait_for_word("main");
    // Strangers' lines have a rate: not all of these are in the log.
    let (first, others) = HARMLESS.split_at(5);
    for signal in first.iter().chain(&[35, 64]) {
        send(&run, *signal);
        run.wait_while(&format!("signal {signal} is logged"), |run| {
            let log = run.sandbox.read("executor.log");
            !log.contains(&format!("ignored signal {signal} ("))
        });
    }
    for signal in others.iter().copied().chain(36..64) {
        send(&run, signal);
    }
    run.say("go");
    let ended = run.finish_alone();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["before", "main", "go", "after"]);
}

#[test]
fn sigquit_asks_for_the_end_as_sigterm_and_sigint_do() {
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

/// The signals that C libraries keep for themselves, 32 to 34: whoever started this test by a `posix_spawn` of
/// glibc has ignored two of them for all that follow, and musl lets nobody change it.
const OF_C_LIBRARIES: u64 = 7 << 31;

/// What a command finds, in the kernel's words: nothing blocked, ignored or caught.
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
fn commands_start_with_default_actions_whatever_the_executor_was_given() {
    check_dispositions(":");
    check_dispositions("trap '' HUP QUIT INT USR1 ALRM TSTP TTIN TTOU PIPE URG WINCH CONT CHLD");
    check_dispositions("exec env --block-signal=USR1,HUP,TSTP \"$0\"");
}

//! What commands leave behind: when the terminal update comes, the executor is alone, whatever the
//! processes of the task did to stay, and however the task ended.

mod support;

use cook_executor::mesos::messages::TaskState::{self, Failed, Finished, Killed};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::hostile::{STRAYS, Stray, leave};
use support::{Run, Setup, TASK, hook, say, wait_for_word};

/// A grace that has to be waited for, since some do not hear.
const GRACE: &str = "300ms";

/// A grace of which a quarter is enough for an after command.
const SHUTDOWN_GRACE: &str = "3secs";

fn observed(job: Value) -> Run {
    Setup::new().grace(GRACE).launch_observed(job)
}

fn all() -> Vec<&'static Stray> {
    STRAYS.iter().collect()
}

#[test]
fn nothing_that_a_finished_command_left_behind_lives_when_it_is_told() {
    for stray in &STRAYS {
        let run = observed(json!({"command": leave(&[stray])}));
        let ended = run.finish_alone();
        assert_eq!(ended.state, Finished, "{}", stray.name);
    }
}

/// Leaves everything behind, then runs until it is stopped.
fn hostile_command() -> String {
    format!("{}{}; sleep 600", leave(&all()), say("main"))
}

#[track_caller]
fn check_end(job: Value, act: impl FnOnce(&Run), state: TaskState, order: &[&str]) {
    check_end_within(GRACE, job, act, state, order);
}

#[track_caller]
fn check_end_within(
    grace: &str,
    job: Value,
    act: impl FnOnce(&Run),
    state: TaskState,
    order: &[&str],
) {
    let run = Setup::new().grace(grace).launch_observed(job);
    act(&run);
    let ended = run.finish_alone();
    assert_eq!(ended.state, state, "{}", run.transcript());
    let names = |word: &String| !STRAYS.iter().any(|stray| stray.name == word);
    let mut words = run.order();
    words.retain(names);
    assert_eq!(words, order, "{}", run.transcript());
}

#[test]
fn everything_at_once_is_gone_when_a_failure_is_told() {
    let command = format!("{}{}; exit 3", leave(&all()), say("main"));
    let job = json!({"command": command, "after_commands": [hook(say("after"))]});
    check_end(job, |_| {}, Failed, &["main", "after"]);
}

#[test]
fn everything_at_once_is_gone_when_the_failure_of_a_guard_is_told() {
    let guard = format!("{}; exit 1", wait_for_word("main"));
    let job = json!({
        "before_commands": [{"value": guard, "async": true, "guard": true}],
        "command": hostile_command(),
        "after_commands": [hook(say("never"))],
    });
    check_end(job, |_| {}, Failed, &["main"]);
}

#[test]
fn everything_at_once_is_gone_when_a_kill_is_told() {
    let job = json!({"command": hostile_command(), "after_commands": [hook(say("after"))]});
    let kill = |run: &Run| {
        run.wait_for_word("main");
        run.agent.kill(TASK, None);
    };
    check_end(job, kill, Killed, &["main", "after"]);
}

#[test]
fn everything_at_once_is_gone_when_the_end_by_a_shutdown_is_told() {
    let job = json!({"command": hostile_command(), "after_commands": [hook(say("after"))]});
    let shut_down = |run: &Run| {
        run.wait_for_word("main");
        run.agent.shutdown();
    };
    check_end_within(SHUTDOWN_GRACE, job, shut_down, Killed, &["main", "after"]);
}

#[test]
fn everything_at_once_is_gone_when_the_end_by_a_signal_is_told() {
    let job = json!({"command": hostile_command(), "after_commands": [hook(say("after"))]});
    let terminate = |run: &Run| {
        run.wait_for_word("main");
        run.executor.signal(Signal::TERM);
    };
    check_end_within(SHUTDOWN_GRACE, job, terminate, Killed, &["main", "after"]);
}

//! Processes that commands leave behind: at the terminal update only the executor is left, whatever the
//! task's processes have done to stay, and however the task has ended.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::support::hostile::{STRAYS, Stray, leave};
use crate::support::{Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::TaskState::{self, Failed, Finished, Killed};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A grace period that a test has to wait for, because some processes ignore SIGTERM.
const GRACE: &str = "300ms";

/// A grace period of which a quarter is enough for an after command.
const SHUTDOWN_GRACE: &str = "3secs";

fn observed(job: Value) -> Run {
    Setup::new().grace(GRACE).launch_observed(job)
}

fn all() -> Vec<&'static Stray> {
    STRAYS.iter().collect()
}

#[test]
fn no_process_of_a_finished_command_is_left_when_its_end_is_reported() {
    for stray in &STRAYS {
        let run = observed(json!({"command": leave(&[stray])}));
        let ended = run.finish_alone();
        assert_eq!(ended.state, Finished, "{}", stray.name);
    }
}

/// Leaves all kinds of processes behind, and then runs until it is stopped.
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
fn no_process_is_left_when_a_failure_is_reported() {
    let command = format!("{}{}; exit 3", leave(&all()), say("main"));
    let job = json!({"command": command, "after_commands": [hook(say("after"))]});
    check_end(job, |_| {}, Failed, &["main", "after"]);
}

#[test]
fn no_process_is_left_when_the_failure_of_a_guard_is_reported() {
    let guard = format!("{}; exit 1", wait_for_word("main"));
    let job = json!({
        "before_commands": [{"value": guard, "async": true, "guard": true}],
        "command": hostile_command(),
        "after_commands": [hook(say("never"))],
    });
    check_end(job, |_| {}, Failed, &["main"]);
}

#[test]
fn no_process_is_left_when_a_kill_is_reported() {
    let job = json!({"command": hostile_command(), "after_commands": [hook(say("after"))]});
    let kill = |run: &Run| {
        run.wait_for_word("main");
        run.agent.kill(TASK, None);
    };
    check_end(job, kill, Killed, &["main", "after"]);
}

#[test]
fn no_process_is_left_when_the_end_by_a_shutdown_is_reported() {
    let job = json!({"command": hostile_command(), "after_commands": [hook(say("after"))]});
    let shut_down = |run: &Run| {
        run.wait_for_word("main");
        run.agent.shutdown();
    };
    check_end_within(SHUTDOWN_GRACE, job, shut_down, Killed, &["main", "after"]);
}

#[test]
fn no_process_is_left_when_the_end_by_a_signal_is_reported() {
    let job = json!({"command": hostile_command(), "after_commands": [hook(say("after"))]});
    let terminate = |run: &Run| {
        run.wait_for_word("main");
        run.executor.signal(Signal::TERM);
    };
    check_end_within(SHUTDOWN_GRACE, job, terminate, Killed, &["main", "after"]);
}

#[test]
fn orphans_that_end_while_the_command_runs_are_reaped_immediately() {
    let orphans = "i=0; until [ $i = 100 ]; do (: &); i=$((i + 1)); done";
    let command = format!("{orphans}; {}; {}", say("main"), wait_for_word("go"));
    let run = observed(json!({"command": command}));
    run.wait_for_word("main");
    run.wait_while("only the command is left", |run| run.children().len() > 1);
    run.say("go");
    assert_eq!(run.finish_alone().state, Finished);
}

/// Tells the test below to leave its process group.
const LEAVE: &str = "COOK_TEST_LEAVE";

/// Not a test by itself, but run by the next one: a command that moves into the process group of its child.
#[test]
#[expect(clippy::zombie_processes, reason = "this program becomes another one")]
fn leaves_its_process_group_if_told_to() {
    if std::env::var_os(LEAVE).is_none() {
        return;
    }
    let mut child = Command::new("sleep");
    let child = child.arg("600").process_group(0).spawn().unwrap();
    let group = i32::try_from(child.id()).unwrap();
    let mut this = Command::new("sh");
    this.arg("-c")
        .arg(format!("{}; exec sleep 600", say("left")));
    // It does not return.
    panic!("{}", this.process_group(group).exec());
}

#[test]
fn a_command_that_has_left_its_process_group_is_ended_too() {
    let this = std::env::current_exe().unwrap();
    let leave = format!(
        "{LEAVE}=1 exec {} --exact orphans::leaves_its_process_group_if_told_to",
        this.display()
    );
    let run = observed(json!({"command": leave, "after_commands": [hook(say("after"))]}));
    run.wait_for_word("left");
    run.agent.kill(TASK, Some(Duration::from_secs(3600)));
    let ended = run.finish_alone();
    assert_eq!(ended.exit_code(), Some(-15), "{}", run.transcript());
    assert_eq!(run.order(), ["left", "after"]);
}

/// A process whose main thread has ended while another one runs. The kernel shows it as a zombie although it is running.
const HEADLESS: &str = "import ctypes, os, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
open('order', 'a').write('headless\\n')
exit = {'x86_64': 60, 'aarch64': 93}[platform.machine()]
ctypes.CDLL(None).syscall(exit, 0)";

#[test]
fn a_process_whose_main_thread_has_ended_is_ended_too() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: python3 is not installed");
        return;
    }
    let headless = format!("python3 -c \"{HEADLESS}\"");
    let is_there = wait_for_word("headless");
    for leave in [
        format!("{headless} & {is_there}; exit 3"),
        format!("setsid {headless} & {is_there}; exit 3"),
        // One that ignores SIGTERM.
        format!("(trap '' TERM; exec setsid {headless}) & {is_there}; exit 3"),
    ] {
        let run = observed(json!({"command": leave}));
        let ended = run.finish_alone();
        assert_eq!(ended.exit_code(), Some(3), "{}", run.transcript());
    }
}

/// A cgroup v2 for one executor; `None` if this user cannot create one.
struct OwnCgroup(std::path::PathBuf);

impl OwnCgroup {
    fn create() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let name = format!("cook-test-{}", std::process::id());
        let folder = std::path::Path::new(line.split(' ').nth(4)?).join(name);
        std::fs::create_dir(&folder).ok()?;
        Some(Self(folder))
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        // This fails if there is a process or folder in it.
        let removed = std::fs::remove_dir(&self.0);
        if !std::thread::panicking() {
            removed.expect("nothing is left in the cgroup");
        }
    }
}

#[test]
fn in_its_own_cgroup_the_executor_creates_a_child_and_leaves_nothing_in_it() {
    let Some(cgroup) = OwnCgroup::create() else {
        eprintln!("SKIPPED: this user cannot make a cgroup v2");
        return;
    };
    let folder = cgroup.0.display();
    let run = Setup::new()
        .grace(GRACE)
        .prelude(format!("echo $$ > {folder}/cgroup.procs"))
        .launch_observed(json!({
            "before_commands": [hook("true")],
            "command": leave(&all()),
        }));
    let ended = run.finish_alone();
    assert_eq!(ended.state, Finished);
    let log = run.sandbox.read("executor.log");
    assert!(log.contains("commands have a cgroup of their own"), "{log}");
}

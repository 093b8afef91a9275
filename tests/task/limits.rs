//! Too few resources: processes, descriptors, file sizes, memory, space in the environment and on the disk,
//! and time. The task always ends with a clear message, and no process is left.

use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Ended, Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::{
    CommandInfo, TaskInfo,
    TaskState::{Failed, Finished, Killed, Running, Starting},
};
use rustix::process::Signal;
use serde_json::json;

/// A grace period that a test has to wait for.
const SHORT: &str = "300ms";

/// A process in its own session that ignores SIGTERM.
const DEAF_STRAY: &str = r#"setsid sh -c 'trap "" TERM; echo stray >> order; exec sleep 600' &"#;

/// Whether this machine allows what a test needs. If not, prints that the test is skipped.
fn can(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    let can = output.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("SKIPPED: {program} {arguments:?} does not work on this machine");
    }
    can
}

/// Sets a limit of the executor, and of the processes that it starts from now on. `by` makes prlimit(1) run
/// as the executor's user, because only that user may do it.
#[track_caller]
fn limit(run: &Run, by: &[&str], what: &str, value: usize) {
    let pid = run.executor.pid().as_raw_nonzero();
    let prlimit = format!("prlimit --pid={pid} --{what}={value}");
    let words: Vec<&str> = by.iter().copied().chain(prlimit.split(' ')).collect();
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{words:?} failed"
    );
}

/// The number of files in a folder of the executor in `/proc`.
fn count(run: &Run, folder: &str) -> usize {
    let pid = run.executor.pid().as_raw_nonzero();
    let entries = std::fs::read_dir(format!("/proc/{pid}/{folder}"));
    entries.expect("the executor runs").count()
}

/// A run whose executor may have two descendants, which two async before commands use up. A limit of
/// processes does not apply to root and counts all processes of a user, so each run has its own user.
/// `None` if this machine does not allow that.
fn with_two_processes(asynchronous: &str) -> Option<Run> {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let user = 100_000 + std::process::id() * 8 + USERS.fetch_add(1, Ordering::Relaxed);
    let user = user.to_string();
    let become_user = ["setpriv", "--reuid", &user, "--clear-groups"];
    if !can(
        "setpriv",
        &[&become_user[1..], &["prlimit", "--version"]].concat(),
    ) {
        return None;
    }
    let asynchronous = json!({"value": asynchronous, "async": true});
    let run = Setup::new()
        .grace(SHORT)
        // The executor's own file may be where only root can read it.
        .prelude(format!(
            "chmod 777 .; cp \"$0\" executor; exec setpriv --reuid {user} --clear-groups ./executor"
        ))
        .launch_observed(json!({
            "before_commands": [
                hook(format!("{}; {}", say("before"), wait_for_word("go"))),
                asynchronous,
                asynchronous,
            ],
            "command": say("main"),
        }));
    run.wait_for_word("before");
    limit(&run, &become_user, "nproc", count(&run, "task") + 2);
    run.sandbox.permit("order", 0o666);
    run.say("go");
    Some(run)
}

#[test]
fn a_command_waits_until_the_limit_of_processes_allows_it() {
    let Some(run) = with_two_processes("exec sleep 0.4") else {
        return;
    };
    let ended = run.finish_alone();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["before", "go", "main"]);
    let log = run.sandbox.read("executor.log");
    assert!(log.contains("the limit of processes is reached"), "{log}");
}

#[test]
fn a_command_that_exceeds_the_limit_of_processes_fails_with_the_reason() {
    let Some(run) = with_two_processes("exec sleep 600") else {
        return;
    };
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Failed], "{}", run.transcript());
    let message = &ended.message;
    assert!(message.contains("failed to start: /bin/sh"), "{message}");
    assert!(message.contains("limit of processes"), "{message}");
    assert_eq!(run.order(), ["before", "go"]);
}

#[test]
fn a_kill_does_not_wait_for_the_limit_of_processes() {
    let Some(run) = with_two_processes("exec sleep 600") else {
        return;
    };
    run.wait_while("the command finds no room", |run| {
        let log = run.sandbox.read("executor.log");
        !log.contains("the limit of processes is reached")
    });
    run.agent.kill(TASK, Some(Duration::from_secs(3600)));
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Killed], "{}", run.transcript());
    assert_eq!(run.order(), ["before", "go"]);
}

/// Silent connections to the task API, as many as the executor accepts.
fn occupy(run: &Run) -> Vec<TcpStream> {
    let endpoint = run.lines("endpoint").concat();
    let address = endpoint.split('/').nth(2).expect("a URL").to_owned();
    let connections = (0..100).map_while(|_| TcpStream::connect(&address).ok());
    connections.collect()
}

#[test]
fn without_descriptors_a_task_ends_with_a_clear_message_and_no_process_is_left() {
    if !can("prlimit", &["--version"]) {
        return;
    }
    // From no free descriptor to some. Each run waits several seconds in vain.
    std::thread::scope(|scope| {
        for free in [0, 1, 2, 3, 5] {
            scope.spawn(move || end_with_descriptors(free));
        }
    });
}

/// How many descriptors the executor reserves, from the next command after the limit was set.
const RESERVE: usize = 2;

/// Runs a task with this many free descriptors when its command starts.
fn end_with_descriptors(free: usize) {
    let begin = format!("echo $EXECUTOR_ENDPOINT > endpoint; {DEAF_STRAY}");
    let begin = format!(
        "{begin} {}; {}",
        wait_for_word("stray"),
        wait_for_word("limited")
    );
    let asynchronous = json!({"value": "exec sleep 600", "async": true});
    let run = Setup::new().grace(SHORT).launch_observed(json!({
        "before_commands": [
            hook(begin),
            hook(format!("{}; {}", say("next"), wait_for_word("go"))),
            asynchronous,
            asynchronous,
        ],
        "command": say("main"),
        "after_commands": [hook(say("after"))],
    }));
    run.wait_for_word("stray");
    // The connection for calls is one of the needed descriptors.
    run.wait_until("a message", |journal| !journal.messages().is_empty());
    limit(&run, &[], "nofile", count(&run, "fd") + RESERVE + free);
    run.say("limited");
    run.wait_for_word("next");
    let connections = occupy(&run);
    run.say("go");
    let ended = run.finish_alone();
    drop(connections);
    let times = |wanted: &str| run.order().iter().filter(|word| *word == wanted).count();
    if times("main") == 1 {
        assert_eq!(ended.state, Finished, "{free}: {}", run.transcript());
    } else {
        assert_eq!(ended.state, Failed, "{free}: {}", run.transcript());
        let message = &ended.message;
        assert!(message.contains("failed to start: /bin/sh: "), "{message}");
        assert_eq!(times("main"), 0);
    }
    assert!(times("after") <= 1);
}

#[test]
fn a_limit_of_file_sizes_costs_lines_of_the_log_but_no_task() {
    let big = "exec head -c 100000 /dev/zero > big";
    let run = Setup::new()
        .grace(SHORT)
        .variable("EXECUTOR_LOG_LEVEL", "DEBUG")
        .prelude("ulimit -f 2")
        .launch_observed(json!({
            "before_commands": [hook(DEAF_STRAY), hook(wait_for_word("stray"))],
            "command": big,
            "after_commands": [hook(say("after"))],
        }));
    let ended = run.finish_alone();
    assert_eq!(ended.exit_code(), Some(-25), "{}", run.transcript());
    assert_eq!(
        ended.message,
        "Command terminated with signal File size limit exceeded"
    );
    assert_eq!(run.order(), ["stray", "after"]);
    assert!(run.sandbox.read("executor.log").len() <= 1024);
}

#[test]
fn a_limit_of_memory_ends_the_command_that_wants_more() {
    let run = Setup::new()
        .prelude("ulimit -v 65536")
        .launch_observed(json!({
            "command": "exec dd if=/dev/zero of=/dev/null bs=256M count=1",
            "after_commands": [hook(say("after"))],
        }));
    let ended = run.finish_alone();
    assert_eq!(ended.state, Failed, "{}", run.transcript());
    assert_eq!(ended.exit_code(), Some(1));
    assert_eq!(run.order(), ["after"]);
}

#[test]
fn a_full_device_under_stdout_stderr_and_the_log_changes_nothing() {
    let run = Setup::new()
        .prelude("ln -s /dev/full executor.log; exec > /dev/full 2> /dev/full")
        .launch_observed(json!({
            "command": format!("echo lost; {}; exit 3", say("main")),
            "after_commands": [hook(say("after"))],
        }));
    let ended = run.finish_alone();
    assert_eq!(ended.exit_code(), Some(3), "{}", run.transcript());
    assert_eq!(run.order(), ["main", "after"]);
}

#[test]
fn a_full_disk_affects_only_the_file_of_the_command() {
    if !can(
        "unshare",
        &["--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
    ) {
        return;
    }
    let mount = "mount -t tmpfs -o size=32k none . && cd \"$PWD\" && exec \"$0\" > out 2>&1";
    let run = Setup::new()
        .grace(SHORT)
        .variable("EXECUTOR_LOG_LEVEL", "DEBUG")
        .prelude(format!("exec unshare --mount sh -c '{mount}' \"$0\""))
        .launch_observed(json!({
            "command": "head -c 100000 /dev/zero > big; exit 4",
            "after_commands": [hook("exit 5")],
        }));
    let ended = run.finish_alone();
    assert_eq!(ended.exit_code(), Some(4), "{}", run.transcript());
    assert_eq!(ended.codes("after_codes"), [Some(5)]);
}

#[test]
fn an_environment_that_is_too_large_is_reported() {
    // As much as a PATCH allows, and more than this stack limit lets a program have.
    let grow = r#"for i in 1 2 3; do
    { printf '{"env": {"BIG_%s": "' $i; head -c 60000 /dev/zero | tr '\0' x; printf '"}}'; } > body
    curl -s -f -o answer -X PATCH --data-binary @body $EXECUTOR_ENDPOINT || exit 1
done"#;
    let run = Setup::new()
        .prelude("ulimit -s 512")
        .launch_observed(json!({
            "before_commands": [{"value": grow, "guard": true}],
            "command": say("never"),
            "after_commands": [hook(say("never"))],
        }));
    check_too_large(&run);
}

#[test]
fn a_command_that_is_too_large_is_reported() {
    let command = format!("{} # {}", say("never"), "x".repeat(200_000));
    check_too_large(&Setup::new().launch_observed(json!({"command": command})));
}

#[track_caller]
fn check_too_large(run: &Run) {
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Failed], "{}", run.transcript());
    let message = &ended.message;
    assert!(message.contains("failed to start: /bin/sh: "), "{message}");
    assert!(message.contains("too large"), "{message}");
    assert!(run.order().is_empty());
}

/// Runs a program from a `TaskInfo.command` without a shell.
fn run_program(prepare: impl FnOnce(&Run) -> String) -> Ended {
    let run = Setup::new().start_with(|agent| agent.hold_acknowledgements());
    let program = prepare(&run);
    run.agent.launch(TaskInfo {
        data: None,
        command: Some(CommandInfo {
            shell: Some(false),
            value: Some(program.clone().into()),
            arguments: vec![b"program".to_vec(), b"argument".to_vec()],
            ..CommandInfo::default()
        }),
        ..run.task(TASK, &json!({}))
    });
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Failed], "{}", run.transcript());
    assert_eq!(ended.exit_code(), None);
    let start = format!("Command failed to start: {program}: ");
    assert!(ended.message.starts_with(&start), "{}", ended.message);
    ended
}

#[test]
fn a_program_that_cannot_be_started_is_reported_with_the_reason() {
    let missing = run_program(|_| "/no/such/program".to_owned());
    assert!(
        missing.message.contains("No such file"),
        "{}",
        missing.message
    );
    let in_sandbox = |run: &Run, text: &str, mode| {
        run.sandbox.write("program", text);
        run.sandbox.permit("program", mode);
        run.sandbox.path().join("program").display().to_string()
    };
    let forbidden = run_program(|run| in_sandbox(run, "#!/bin/sh\n", 0o644));
    assert!(
        forbidden.message.contains("Permission denied"),
        "{}",
        forbidden.message
    );
    let orphaned = run_program(|run| in_sandbox(run, "#!/no/such/interpreter\n", 0o755));
    assert!(
        orphaned.message.contains("No such file"),
        "{}",
        orphaned.message
    );
    let nonsense = run_program(|run| in_sandbox(run, "no program", 0o755));
    assert!(
        nonsense.message.contains("no #! line"),
        "{}",
        nonsense.message
    );
    let folder = run_program(|run| run.sandbox.path().display().to_string());
    assert!(
        folder.message.contains("Permission denied"),
        "{}",
        folder.message
    );
}

#[test]
fn an_executor_stopped_by_sigstop_is_late_but_does_nothing_twice() {
    let trap = "trap 'echo TERM >> order' TERM; while :; do sleep 0.05; done";
    let hook_trap = "trap 'echo hook-TERM >> order' TERM; while :; do sleep 0.05; done";
    let run = Setup::new().launch_observed(json!({
        "before_commands": [{"value": hook_trap, "async": true, "timeout": 0.6}],
        "command": format!("{}; {trap}", say("main")),
        "after_commands": [hook(say("after"))],
    }));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(Duration::from_millis(300)));
    run.wait_for_word("TERM");
    run.executor.signal(Signal::STOP);
    // The grace period and the timeout pass meanwhile: here, time itself is tested.
    let _ = run.executor.wait(Duration::from_secs(10));
    run.executor.signal(Signal::CONT);
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Running, Killed]);
    assert_eq!(ended.exit_code(), Some(-9));
    let mut order = run.order();
    order.sort();
    assert_eq!(order, ["TERM", "after", "hook-TERM", "main"]);
}

/// Starts its argument without the system call `getrandom`, with a filter of seccomp(2).
const WITHOUT_GETRANDOM: &str = r#"
import ctypes, os, platform, struct, sys
number = {"x86_64": 318, "aarch64": 278}[platform.machine()]
code = b"".join(struct.pack("HBBI", *line) for line in [
    (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)])
buffer = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn without_getrandom_random_bytes_come_from_a_device() {
    if !can("python3", &["-c", "import ctypes"]) {
        return;
    }
    let run = Setup::new()
        .prelude(format!("exec python3 -c '{WITHOUT_GETRANDOM}' \"$0\""))
        .launch(json!({
            "command": "exit 4",
            "after_commands": [hook("curl -s -f $EXECUTOR_ENDPOINT")],
        }));
    let ended = run.finish();
    assert_eq!(ended.exit_code(), Some(4), "{}", run.transcript());
    assert_eq!(
        ended.codes("after_codes"),
        [Some(0)],
        "{}",
        run.transcript()
    );
}

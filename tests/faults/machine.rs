//! What the machine can do to an executor: signals, a stdout that accepts nothing, a log that cannot be
//! written, a sandbox that was removed.

use std::fs::File;
use std::io::Write;

use cook_mesos::messages::TaskState::Failed;
use cook_test_agent::agent::Agent;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::{Resource, Rlimit, Signal};
use serde_json::json;

use crate::support::sandbox::Sandbox;
use crate::support::{Run, Setup, TASK, hook, say};
use crate::trial::{Fault, Phase, Trial, costs_nothing, setup};

/// A fault of the executor and not of the agent.
const fn to_the_executor(strike: fn(&Run)) -> Fault {
    Fault {
        strike: |_| {},
        heal: strike,
        costs_a_subscription: false,
    }
}

mod signals_without_a_meaning {
    use super::*;

    fn send_all(run: &Run) {
        for signal in [Signal::HUP, Signal::PIPE, Signal::USR1, Signal::USR2] {
            run.executor.signal(signal);
        }
    }

    costs_nothing!(later to_the_executor(send_all));
}

mod an_executor_that_was_stopped_while_the_stream_ended {
    use super::*;

    costs_nothing!(later Fault {
        strike: |_| {},
        heal: |run| {
            run.executor.signal(Signal::STOP);
            run.agent.close_stream();
            run.executor.signal(Signal::CONT);
        },
        costs_a_subscription: true,
    });
}

/// Sends the signal in a phase of the task; it means SHUTDOWN.
#[track_caller]
fn ends(signal: Signal, phase: Phase) {
    if phase == Phase::BeforeTheFirstSubscription {
        // Before the subscription: an agent that hangs shows that signals are handled without one.
        let trial = Trial::start_with(setup(), Agent::hang);
        trial
            .run
            .wait_until("SUBSCRIBE", |journal| journal.unanswered() > 0);
        trial.run.executor.signal(signal);
        assert_eq!(trial.run.exit_code(), Some(0));
        return trial.run.agent.resume();
    }
    let trial = Trial::at(phase);
    trial.run.executor.signal(signal);
    if phase == Phase::BeforeTheTask {
        return assert_eq!(trial.run.exit_code(), Some(0));
    }
    if phase < Phase::BeforeTheLastAcknowledgement {
        trial.wait_for_word("after");
        trial.pass("after");
    }
    trial.finish_stopped_in(phase);
}

macro_rules! is_a_shutdown {
    ($signal:expr) => {
        is_a_shutdown! { $signal;
            before_the_first_subscription: BeforeTheFirstSubscription,
            before_the_task: BeforeTheTask,
            in_a_before_command: InABeforeCommand,
            in_the_command: InTheCommand,
            in_an_after_command: InAnAfterCommand,
            before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
        }
    };
    ($signal:expr; $($test:ident: $phase:ident),* $(,)?) => { $(
        #[test]
        fn $test() {
            ends($signal, Phase::$phase);
        }
    )* };
}

mod sigterm_is_a_shutdown {
    use super::*;

    is_a_shutdown!(Signal::TERM);
}

mod sigint_is_a_shutdown {
    use super::*;

    is_a_shutdown!(Signal::INT);
}

/// A task of an executor that was started after this prelude, through all phases.
#[track_caller]
fn works_after(prelude: &str) -> Trial {
    let trial = Trial::start_with(setup().prelude(prelude), |_| {});
    trial.finish_from(Phase::BeforeTheFirstSubscription);
    trial
}

#[test]
fn closed_standard_streams_are_harmless() {
    for prelude in ["exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        works_after(prelude);
    }
}

#[test]
fn standard_streams_that_cannot_be_written_are_harmless() {
    works_after("exec >/dev/full 2>&1");
}

/// A named pipe for the executor's stdout.
struct Pipe {
    folder: Sandbox,
}

impl Pipe {
    fn new() -> Self {
        let folder = Sandbox::new();
        let path = folder.path().join("pipe");
        let mode = Mode::from(0o600);
        rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0).expect("a named pipe");
        Self { folder }
    }

    fn open(&self, flags: OFlags) -> File {
        let path = self.folder.path().join("pipe");
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        File::from(rustix::fs::open(path, flags, Mode::empty()).expect("a named pipe"))
    }

    fn prelude(&self) -> String {
        format!("exec >{}", self.folder.path().join("pipe").display())
    }
}

#[test]
fn a_stdout_without_a_reader_is_harmless() {
    let pipe = Pipe::new();
    let reader = pipe.open(OFlags::RDONLY);
    let trial = Trial::with(setup().prelude(pipe.prelude()), Phase::BeforeTheTask);
    drop(reader);
    trial.finish_from(Phase::BeforeTheTask);
}

#[test]
fn a_full_stdout_is_harmless() {
    let pipe = Pipe::new();
    let _reader = pipe.open(OFlags::RDONLY);
    let mut writer = pipe.open(OFlags::WRONLY);
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    works_after(&pipe.prelude());
}

#[test]
fn a_log_on_a_full_disk_is_harmless() {
    works_after("ln -s /dev/full executor.log");
}

#[test]
fn a_log_that_cannot_be_opened_is_harmless() {
    works_after("mkdir executor.log");
    works_after("ln -s /nowhere/executor.log executor.log");
}

#[test]
fn a_limit_on_the_size_of_files_costs_log_lines_but_no_result() {
    // Commands have the original limit.
    let with_limit = |text: String| format!("ulimit -S -f unlimited; {text}");
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    let pid = Some(run.executor.pid());
    let limit = Rlimit {
        current: Some(0),
        maximum: None,
    };
    rustix::process::prlimit(pid, Resource::Fsize, limit).expect("it is our process");
    let written = run.sandbox.read("executor.log");
    run.launch(
        TASK,
        &json!({
            "before_commands": [hook(with_limit(say("before")))],
            "command": with_limit(format!("{}; exit 3", say("main"))),
            "after_commands": [hook(with_limit(say("after")))],
        }),
    );
    let ended = run.finish();
    assert_eq!((ended.state, ended.exit_code()), (Failed, Some(3)));
    assert_eq!(run.order(), ["before", "main", "after"]);
    assert_eq!(run.sandbox.read("executor.log"), written);
}

#[test]
fn a_log_and_a_stderr_that_cannot_be_written_are_harmless() {
    works_after("mkdir executor.log; exec 2>/dev/full");
}

#[test]
fn a_limit_on_the_size_of_files_from_the_start_costs_log_lines_but_no_result() {
    for blocks in [0, 1] {
        // Commands have the original limit.
        let with_limit = |text: String| format!("ulimit -S -f unlimited; {text}");
        let run = setup()
            .prelude(format!("ulimit -S -f {blocks}"))
            .launch(json!({
                "before_commands": [hook(with_limit(say("before")))],
                "command": with_limit(format!("{}; exit 3", say("main"))),
                "after_commands": [hook(with_limit(say("after")))],
            }));
        let ended = run.finish();
        assert_eq!((ended.state, ended.exit_code()), (Failed, Some(3)));
        assert_eq!(run.order(), ["before", "main", "after"]);
        assert!(run.sandbox.read("executor.log").len() <= blocks * 512);
    }
}

mod a_sandbox_that_is_deleted {
    use super::*;

    fn delete(run: &Run) {
        std::fs::remove_dir_all(run.sandbox.path()).expect("the sandbox is ours");
    }

    costs_nothing!(later to_the_executor(delete));
}

#[test]
fn a_missing_sandbox_is_harmless() {
    works_after("rm -r \"$MESOS_SANDBOX\"");
}

//! `cook-local`: job files, their output, and the exit code for each result.

mod support;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use cook_test_agent::census;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::sandbox::Sandbox;
use support::{hook, say};

/// A folder with a job file and the sandbox of its run.
struct Fixture {
    folder: Sandbox,
}

// === impl Fixture ===

impl Fixture {
    fn new(job: &str) -> Self {
        let folder = Sandbox::new();
        folder.write("job.json", job);
        Self { folder }
    }

    /// The program with the arguments to run the job in the folder's `sandbox`.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cook-local"));
        let folder = self.folder.path();
        command
            .arg(folder.join("job.json"))
            .arg("--sandbox")
            .arg(folder.join("sandbox"))
            .args(["--executor".into(), support::executor::program()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self) -> Output {
        let output = self.command().output().expect("cook-local runs");
        self.census();
        output
    }

    /// Checks that no process of the run is left.
    #[track_caller]
    fn census(&self) {
        assert_eq!(census::kill_all(&self.cookie()), []);
    }

    /// The variable that identifies all processes of the run.
    fn cookie(&self) -> String {
        let sandbox = self.folder.path().join("sandbox");
        format!("MESOS_SANDBOX={}", sandbox.display())
    }

    fn read(&self, name: &str) -> String {
        self.folder.read(&format!("sandbox/{name}"))
    }

    /// Starts the job and waits until this word is shown. Returns the rest of the output.
    #[track_caller]
    fn start(&self, word: &str) -> (Child, impl Read + use<>) {
        self.start_until(&[word])
    }

    /// The same with several words, in any order.
    #[track_caller]
    fn start_until(&self, words: &[&str]) -> (Child, impl Read + use<>) {
        let mut child = self.command().spawn().expect("cook-local runs");
        let mut shown = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut text = String::new();
        while !words.iter().all(|word| text.contains(word)) {
            let length = shown.read_line(&mut text).expect("it shows text");
            assert!(length > 0, "it ended without showing {words:?}: {text}");
        }
        (child, shown)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            census::kill_all(&self.cookie());
        }
    }
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("it runs");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    for (command, code) in [("true", 0), ("exit 3", 3), ("kill -9 $$", 137)] {
        let output = Fixture::new(&json!({"command": command}).to_string()).run();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stdout));
    }
}

#[test]
fn a_failed_guard_gives_1_and_a_refused_job_2() {
    let guard = json!({"command": "true", "before_commands": [{"value": "exit 9", "guard": true}]});
    let refused = json!({"command": 5});
    for (job, code) in [(guard, 1), (refused, 2)] {
        let output = Fixture::new(&job.to_string()).run();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stdout));
    }
}

#[test]
fn everything_that_happens_is_shown() {
    let job = json!({
        "env": {"GREETING": "hello from env"},
        "command": "echo $GREETING; echo trouble >&2; printf unfinished; exit 3",
    });
    let output = Fixture::new(&job.to_string()).run();
    let shown = text(&output.stdout);
    for (label, words) in [
        ("state", "TASK_STARTING"),
        ("state", "TASK_RUNNING"),
        ("state", "TASK_FAILED: Command exited with status 3"),
        ("stdout", "hello from env"),
        ("stdout", "unfinished"),
        ("stderr", "trouble"),
        ("message", "\"exit-code\":3"),
        ("data", "\"exit_code\":3"),
        ("executor", "exited with status 0"),
    ] {
        let found = shown
            .lines()
            .any(|line| line.contains(&format!("  {label:<9} ")) && line.contains(words));
        assert!(found, "{label}: {words:?} is not in\n{shown}");
    }
}

#[test]
fn files_next_to_the_job_file_are_copied_into_the_sandbox() {
    let job = json!({
        "command": "./script.sh > order && cat data >> order",
        "uris": [{"value": "script.sh", "executable": true}, {"value": "data"}],
    });
    let fixture = Fixture::new(&job.to_string());
    fixture
        .folder
        .write("script.sh", "#!/bin/sh\necho from the script\n");
    fixture.folder.write("data", "from the data\n");
    let output = fixture.run();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert_eq!(fixture.read("order"), "from the script\nfrom the data\n");
}

#[test]
fn an_interrupt_is_a_shutdown_after_which_after_commands_run() {
    let job = json!({
        "command": format!("{}; echo ready; sleep 600", say("main")),
        "after_commands": [hook(say("after"))],
    });
    let fixture = Fixture::new(&job.to_string());
    let (mut child, mut rest) = fixture.start("stdout    ready");
    interrupt(&child);
    let mut shown = String::new();
    rest.read_to_string(&mut shown).unwrap();
    let status = child.wait().unwrap();
    fixture.census();
    assert_eq!(status.code(), Some(130), "{shown}");
    assert_eq!(fixture.read("order"), "main\nafter\n", "{shown}");
    assert!(shown.contains("TASK_KILLED"), "{shown}");
}

#[test]
fn a_second_interrupt_kills_everything() {
    let job = json!({"command": "trap '' TERM; echo ready; sleep 600"});
    let fixture = Fixture::new(&job.to_string());
    let (mut child, rest) = fixture.start("stdout    ready");
    interrupt(&child);
    let mut lines = BufReader::new(rest).lines();
    let mut until = |word: &str| lines.any(|line| line.is_ok_and(|line| line.contains(word)));
    assert!(until("interrupt again to kill everything"));
    interrupt(&child);
    assert!(until("killing everything"));
    // Reads to the end, so that the program can write.
    lines.map_while(Result::ok).for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    fixture.census();
}

#[test]
fn a_closed_output_is_an_interrupt() {
    let job = json!({
        "command": format!("{}; echo ready; sleep 600", say("main")),
        "after_commands": [hook(say("after"))],
    });
    let fixture = Fixture::new(&job.to_string());
    // Like `cook-local job.json | head`. There is nothing more to show, so no write fails.
    let (mut child, shown) = fixture.start_until(&[
        "stdout    ready",
        "TASK_RUNNING",
        "Forked command",
        "  data  ",
    ]);
    drop(shown);
    let mut stderr = String::new();
    let mut errors = child.stderr.take().expect("it is piped");
    errors.read_to_string(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    fixture.census();
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
    assert_eq!(fixture.read("order"), "main\nafter\n");
}

#[test]
fn a_closed_output_does_not_cause_a_panic() {
    for arguments in [&["--help"][..], &["--nonsense"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_cook-local"))
            .args(arguments)
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .status();
        let code = status.expect("cook-local runs").code();
        assert!(matches!(code, Some(0 | 2)), "{arguments:?}: {code:?}");
    }
}

#[test]
fn the_executor_has_its_own_session_and_no_terminal() {
    let job = json!({"command": "
        set -- $(cat /proc/$PPID/stat); test $6 = $PPID || exit 5
        test $(readlink /proc/self/fd/0) = /dev/null || exit 6
        test $(umask) = 0022 || exit 7
        head -1 </dev/tty || exit 8"});
    let fixture = Fixture::new(&job.to_string());
    let command = fixture.command();
    let mut line = String::from("umask 077; exec");
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        line += &format!(" '{}'", word.to_str().expect("plain names"));
    }
    // `script` runs the line in its own terminal.
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) => {
            return eprintln!("SKIPPED: this test needs `script`: {error}");
        }
        Ok(output) => output,
    };
    fixture.census();
    assert_eq!(output.status.code(), Some(8), "{}", text(&output.stdout));
}

#[test]
fn archives_are_unpacked_and_missing_files_are_named() {
    let job = json!({
        "command": "cat inner",
        "uris": [{"value": "a.tar.gz", "extract": true}],
    });
    let fixture = Fixture::new(&job.to_string());
    let output = fixture.run();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let told = "cannot fetch a.tar.gz: No such file or directory";
    assert!(
        text(&output.stdout).contains(told),
        "{}",
        text(&output.stdout)
    );

    fixture.folder.write("inner", "from the archive\n");
    let packed = Command::new("tar")
        .arg("-C")
        .arg(fixture.folder.path())
        .args(["-czf", "a.tar.gz", "inner"])
        .current_dir(fixture.folder.path())
        .status();
    assert!(packed.is_ok_and(|status| status.success()));
    let output = fixture.run();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("stdout    from the archive"));
}

#[test]
fn invalid_arguments_and_job_files_are_explained() {
    let program = env!("CARGO_BIN_EXE_cook-local");
    let run = |arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let output = output.expect("cook-local runs");
        (output.status.code(), text(&output.stderr))
    };
    let executor = support::executor::program();
    let executor = executor.to_str().unwrap();
    for (arguments, told) in [
        (&["--nonsense"][..], "--help"),
        (&["/nowhere/job.json"], "/nowhere/job.json"),
        (&["--executor", "/nowhere/executor"], "make"),
        (
            &["--executor", executor, "--sandbox", "/proc/nowhere"],
            "--sandbox",
        ),
    ] {
        let (code, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
    let output = Fixture::new("{\"command\": \"true\"\n \"env\": {}}").run();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("line 2"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn help_is_one_screen() {
    let output = Command::new(env!("CARGO_BIN_EXE_cook-local"))
        .arg(OsString::from("--help"))
        .output()
        .unwrap();
    let help = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(help.contains("usage:"));
    assert!(help.lines().count() <= 40, "{}", help.lines().count());
    assert!(help.lines().all(|line| line.len() <= 82));
}

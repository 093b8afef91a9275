//! Runs the examples of the pages as the pages say, and compares the results with the printed ones.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cook_test_agent::census;
use serde_json::Value;
use support::sandbox::Sandbox;

const AUTHORS: &str = "job-authors.md";
const OPERATORS: &str = "operators.md";

/// The length of the time at the beginning of each line, including blanks.
const TIME: usize = "   0.029  ".len();

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    let path = root().join("packaging/docs").join(name);
    fs::read_to_string(path).expect("there is such a page")
}

/// A copy of the examples in its own folder, with its own lock, because the lock of `lock.json` is global
/// to the host.
struct Examples {
    folder: Sandbox,
}

// === impl Examples ===

impl Examples {
    fn new() -> Self {
        let folder = Sandbox::new();
        let jobs = root().join("packaging/examples/jobs");
        for entry in fs::read_dir(jobs).expect("there are examples") {
            let path = entry.expect("readable").path();
            let text = fs::read_to_string(&path).expect("text");
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = text.replace("my-service", &own_lock());
            // Nobody watches the output here.
            folder.write(&name, &text.replace("sleep 5", "sleep 0.1"));
        }
        Self { folder }
    }

    /// Runs a job to its end. Returns everything that is shown.
    fn run(&self, name: &str) -> String {
        let sandbox = self.folder.path().join(format!("{name}-sandbox"));
        let output = Command::new(env!("CARGO_BIN_EXE_cook-local"))
            .arg(self.folder.path().join(format!("{name}.json")))
            .arg("--sandbox")
            .arg(&sandbox)
            .args(["--executor".into(), support::executor::program()])
            .stdin(Stdio::null())
            .output()
            .expect("cook-local runs");
        let cookie = format!("MESOS_SANDBOX={}", sandbox.display());
        assert_eq!(census::kill_all(&cookie), []);
        let shown = String::from_utf8_lossy(&output.stdout);
        shown.lines().map(normalized).collect()
    }
}

fn own_lock() -> String {
    format!("my-service-{}", std::process::id())
}

/// A line as on the pages: without its time, and without times of commands in data.
fn normalized(line: &str) -> String {
    let line = line.replace(&own_lock(), "my-service");
    let line = line.get(TIME..).unwrap_or_default();
    let data = line.strip_prefix("data      ");
    let parsed = data.and_then(|data| serde_json::from_str::<Value>(data).ok());
    match parsed {
        Some(Value::Object(mut data)) => {
            data.retain(|key, _| !key.ends_with("_time") && !key.ends_with("_times"));
            format!("data      {}\n", Value::Object(data))
        }
        Some(_) | None => format!("{line}\n"),
    }
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: this example needs {program}, which is not installed");
    }
    found
}

/// Checks that each text is on the page and in the output.
#[track_caller]
fn check(page_name: &str, shown: &str, texts: &[&str]) {
    let page = page(page_name);
    for text in texts {
        assert!(page.contains(text), "{text:?} is not in {page_name}");
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
}

#[test]
fn only_one_copy_of_the_lock_example_runs() {
    let examples = Examples::new();
    let alone = examples.run("lock");
    let texts = [r#""after_codes":[0],"before_codes":[0],"exit_code":0"#];
    check(AUTHORS, &alone, &texts);
    // Another process has the lock.
    let lock = PathBuf::from(format!("/tmp/{}.lock", own_lock()));
    std::os::unix::fs::symlink("/elsewhere", &lock).expect("the lock is free");
    let second = examples.run("lock");
    fs::remove_file(&lock).expect("the second copy has not removed it");
    let texts = [
        "state     TASK_FAILED: before command 1 (\"./acquire-lock.sh my-service\") exited with status 1; it is a \
         guard, so no later command was started\n",
        "data      {\"after_codes\":[],\"before_codes\":[1]}\n",
    ];
    check(AUTHORS, &second, &texts);
}

#[test]
fn the_monitor_of_the_example_is_stopped_at_the_end() {
    let shown = Examples::new().run("monitor");
    let texts = [r#"{"after_codes":[],"before_codes":[-15],"exit_code":0}"#];
    check(AUTHORS, &shown, &texts);
    assert!(shown.contains("stdout    line 3\n"), "{shown}");
}

#[test]
fn the_environment_of_the_example_is_set_and_unset() {
    if has("curl") {
        let shown = Examples::new().run("environment");
        check(
            AUTHORS,
            &shown,
            &["MY_ENV_VAR=/hello/world MY_OLD_VAR=unset"],
        );
    }
}

#[test]
fn progress_and_the_message_of_the_example_are_reported() {
    if has("curl") {
        let shown = Examples::new().run("progress");
        let texts = [
            "10%",
            "100% a custom failure message",
            "state     TASK_FAILED: a custom failure message\n",
            "data      {\"after_codes\":[],\"before_codes\":[],\"exit_code\":1,\
             \"message\":\"a custom failure message\",\"progress\":100}\n",
        ];
        check(AUTHORS, &shown, &texts);
    }
}

#[test]
fn lines_of_the_example_are_progress() {
    let shown = Examples::new().run("progress-lines");
    let texts = [
        "25% reading",
        "50% writing",
        "100% nearly done",
        r#""message":"nearly done","progress":99.5"#,
    ];
    check(AUTHORS, &shown, &texts);
}

#[test]
fn mail_of_the_example_is_sent_because_the_command_failed() {
    if has("curl") && has("jq") && has("bash") {
        let shown = Examples::new().run("mail");
        let texts = [
            "mail would be sent now: -s your job failed, sorry! bob@hello.com",
            "TASK_FAILED: Command exited with status 7",
        ];
        check(AUTHORS, &shown, &texts);
    }
}

#[test]
fn hooks_of_operator_and_job_run_in_their_order() {
    let examples = Examples::new();
    let shown = examples.run("operator");
    let data = r#"{"after_codes":[0],"before_codes":[0],"default_after_codes":[3],"default_before_codes":[0],"exit_code":0}"#;
    check(OPERATORS, &shown, &[data]);
    let order = [
        "the before command of the operator",
        "the before command of the job",
        "the command\n",
        "the after command of the job",
        "the after command of the operator",
    ]
    .map(|text| shown.find(text).expect("it ran"));
    assert!(order.is_sorted(), "{shown}");
    let shown = examples.run("hooks-in-env");
    let data = r#"data      {"after_codes":[0],"before_codes":[0],"exit_code":0}"#;
    assert!(shown.contains(data), "{shown}");
}

//! What the released Cook scheduler sends to its executor, and what it accepts: every report about a task
//! is checked as Cook does or should.

use crate::support::progress::{last_report, reports};
use crate::support::{Ended, Run, Setup, TASK};
use cook_mesos::messages::{
    CommandInfo, Environment, ExecutorInfo, TaskInfo,
    TaskState::{Error, Failed, Finished, Killed, Running, Starting},
    TaskStatus, Variable,
};
use cook_test_agent::journal::{What, is_terminal};
use serde_json::{Map, Value, json};

/// What the scheduler sets for a job without its own pattern.
const COOKS_PATTERN: &str = r"progress:\s+([0-9]*\.?[0-9]+)($|\s+.*)";

/// The variables that `scheduler/src/cook/mesos/task.clj` and `cook/task.clj` set in
/// `ExecutorInfo.command`.
fn cooks_environment(job: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = [
        ("COOK_INSTANCE_NUM", "0"),
        ("COOK_INSTANCE_UUID", TASK),
        ("COOK_JOB_UUID", "2fdd5b33-6a0e-4c3b-9d2d-41d8a7d2a9b0"),
        ("COOK_JOB_CPUS", "1.0"),
        ("COOK_JOB_MEM_MB", "10.0"),
        ("EXECUTOR_LOG_LEVEL", "INFO"),
        ("EXECUTOR_MAX_MESSAGE_LENGTH", "512"),
        ("PROGRESS_REGEX_STRING", COOKS_PATTERN),
        ("PROGRESS_SAMPLE_INTERVAL_MS", "100"),
        // From `:incremental-config-environment`, when there is no value.
        ("INCREMENTAL", ""),
        ("PORT0", "31000"),
    ];
    // Later values win: a job cannot change Cook's own variables, except its pattern.
    let all = own.iter().chain(job);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Launches a command as Cook does: the executor has the task's id, and `data` has only the command.
#[track_caller]
fn submit(environment: &[(&str, &str)], command: &str) -> Run {
    let environment = cooks_environment(environment);
    let run = Setup::new()
        .agent(|config| {
            config.executor_id = TASK.to_owned();
            config.executor_environment = environment.clone();
        })
        .start();
    let task = TaskInfo {
        executor: Some(ExecutorInfo {
            executor_id: TASK.into(),
            data: None,
            command: Some(CommandInfo {
                value: Some(b"./cook-executor".to_vec()),
                environment: Some(Environment {
                    variables: environment
                        .into_iter()
                        .map(|(name, value)| Variable {
                            name: name.into(),
                            value: Some(value.into()),
                            kind: None,
                        })
                        .collect(),
                }),
                ..CommandInfo::default()
            }),
        }),
        name: format!("cookjob_root_{TASK}").into(),
        ..run.task(TASK, &json!({ "command": command }))
    };
    run.agent.launch(task);
    run
}

/// Does the same, and waits for the end.
#[track_caller]
fn run(environment: &[(&str, &str)], command: &str) -> (Run, Ended) {
    let run = submit(environment, command);
    let ended = run.finish();
    check(&run);
    (run, ended)
}

/// Checks everything that Cook receives during the run.
#[track_caller]
fn check(run: &Run) {
    run.agent.inspect(|journal| {
        let mut heard = Heard::default();
        for entry in journal.entries() {
            match &entry.what {
                What::Message(data) => heard.message(data),
                What::Update(status) => heard.status(status),
                _ => {}
            }
        }
        assert!(heard.is_over && heard.directories == 1);
    });
}

/// What Cook knows about one instance.
#[derive(Default)]
struct Heard {
    directories: usize,
    exit_codes: usize,
    last_sequence: i64,
    is_over: bool,
}

// === impl Heard ===

impl Heard {
    /// See `mesos_compute_cluster.clj`, lines 142 to 155, and `scheduler.clj`, lines 349 to 370: a message
    /// is one JSON object in UTF-8, and its keys decide what it is.
    #[track_caller]
    fn message(&mut self, data: &[u8]) {
        let text = std::str::from_utf8(data).expect("UTF-8");
        let message: Map<String, Value> = serde_json::from_str(text).expect("a JSON object");
        assert!(!self.is_over, "after the end: {text}");
        assert_eq!(message["task-id"], TASK, "{text}");
        let mut keys: Vec<&str> = message.keys().map(String::as_str).collect();
        keys.sort_unstable();
        match keys[..] {
            // Needed for `cs cat` and for links to the output.
            ["sandbox-directory", "task-id", "type"] => {
                assert_eq!(message["type"], "directory");
                assert!(message["sandbox-directory"].is_string());
                self.directories += 1;
            }
            // If it is not an integer, a transaction fails and is repeated for ever.
            ["exit-code", "task-id"] => {
                assert!(message["exit-code"].is_i64(), "{text}");
                self.exit_codes += 1;
            }
            // All keys are sent together, because each message replaces the one before.
            [
                "progress-message",
                "progress-percent",
                "progress-sequence",
                "task-id",
            ] => {
                let percent = message["progress-percent"].as_i64().expect("an integer");
                assert!((0..=100).contains(&percent), "{text}");
                let words = message["progress-message"].as_str().expect("a text");
                assert!(words.chars().count() <= 512, "{text}");
                let sequence = message["progress-sequence"].as_i64().expect("an integer");
                assert!(sequence > self.last_sequence, "{text}");
                self.last_sequence = sequence;
            }
            // A heartbeat would start a timer that kills the task unless another heartbeat follows.
            _ => panic!("Cook does not know {text}"),
        }
    }

    /// See `scheduler.clj`, lines 160 to 175 and 240 to 297.
    #[track_caller]
    fn status(&mut self, status: &TaskStatus) {
        let state = status.state();
        assert!(!self.is_over, "after the end: {state:?}");
        assert!(
            matches!(
                state,
                Starting | Running | Finished | Failed | Killed | Error
            ),
            "Cook throws at {state:?}"
        );
        // The directory must be known before files can be looked up in it.
        assert!(state == Starting || self.directories == 1, "{state:?}");
        if is_terminal(state) {
            assert_eq!(self.exit_codes, usize::from(state != Error), "{state:?}");
            self.is_over = true;
        }
        // It is read as EDN, where a JSON object is not a map, or a map without the key `:percent`.
        if let Some(data) = &status.data {
            let data: Value = serde_json::from_slice(data).expect("JSON");
            assert!(data.is_object(), "{data}");
        }
    }
}

#[test]
fn a_successful_job_is_reported_in_the_order_that_cook_expects() {
    let (run, ended) = run(&[], "echo hello");
    assert_eq!(ended.states, [Starting, Running, Finished]);
    let arrivals = run.agent.inspect(|journal| journal.arrivals());
    let kinds: Vec<&str> = arrivals
        .iter()
        .map(|text| match text.as_str() {
            text if text.contains("sandbox-directory") => "directory",
            text if text.contains("exit-code") => "exit-code",
            text => text,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "TASK_STARTING",
            "directory",
            "TASK_RUNNING",
            "exit-code",
            "TASK_FINISHED"
        ]
    );
}

#[test]
fn a_failing_job_has_no_reason_so_that_cook_says_command_exited_non_zero() {
    let (run, ended) = run(&[], "exit 1");
    assert_eq!((ended.state, ended.reason), (Failed, None));
    let messages = run.agent.inspect(|journal| journal.messages());
    assert!(messages.contains(&json!({"exit-code": 1, "task-id": TASK})));
}

#[test]
fn exit_codes_of_signals_are_negative_and_those_from_a_shell_above_128() {
    for (command, code) in [
        ("kill -KILL $$", -9),
        ("kill -SEGV $$", -11),
        ("sh -c 'kill -KILL $$'; exit $?", 137),
        ("exit 255", 255),
    ] {
        let (run, ended) = run(&[], command);
        assert_eq!((ended.state, ended.reason), (Failed, None), "{command}");
        let messages = run.agent.inspect(|journal| journal.messages());
        assert!(
            messages.contains(&json!({"exit-code": code, "task-id": TASK})),
            "{command}: {messages:?}"
        );
    }
}

#[test]
fn a_job_that_is_killed_by_cook_without_a_policy_ends_killed() {
    let run = submit(&[], "echo ready >> order; exec sleep 600");
    run.wait_for_word("ready");
    run.wait_for(Running);
    run.agent.kill(TASK, None);
    let ended = run.finish();
    check(&run);
    assert_eq!((ended.state, ended.reason), (Killed, None));
    let messages = run.agent.inspect(|journal| journal.messages());
    assert!(messages.contains(&json!({"exit-code": -15, "task-id": TASK})));
}

#[test]
fn a_blank_command_is_an_invalid_task_and_has_no_exit_code() {
    let (_, ended) = run(&[], "  ");
    // REASON_TASK_INVALID; Cook's number for it is 3004.
    assert_eq!((ended.state, ended.reason), (Error, Some(14)));
}

#[test]
fn stdout_has_the_lines_that_cooks_integration_tests_look_for() {
    let (run, _) = run(&[], "echo 'progress: 99 We are so close!'; exit 0");
    let stdout = run.sandbox.read("stdout");
    for words in [
        "99 We are so close!",
        "Command exited with status 0",
        "Executor completed execution",
    ] {
        assert!(stdout.contains(words), "{words:?} is not in {stdout}");
    }
    assert_eq!(
        last_report(&run),
        Some((Some(99), "We are so close!".into()))
    );
    assert!(!run.sandbox.read("executor.log").contains("WARN"));
}

#[test]
fn invalid_progress_between_valid_lines_is_ignored_on_stdout_and_in_a_file() {
    let lines = |target: &str| {
        [
            "25 Twenty-five percent",
            "50 Fifty percent",
            "Fifty-five percent",
            "75 Seventy-five percent",
            "123 Eighty percent",
        ]
        .map(|text| format!("echo 'progress: {text}' {target}"))
        .join("\n")
    };
    let wanted = Some((Some(75), "Seventy-five percent".to_owned()));
    let (to_stdout, _) = run(&[], &lines(""));
    assert_eq!(last_report(&to_stdout), wanted);
    let relative = [("EXECUTOR_PROGRESS_OUTPUT_FILE", "progress.txt")];
    let (to_file, _) = run(&relative, &lines(">> progress.txt"));
    assert_eq!(last_report(&to_file), wanted);
}

#[test]
fn a_jobs_own_progress_file_and_pattern_are_used_as_cook_passes_them_on() {
    let (run, _) = run(
        &[
            (
                "EXECUTOR_PROGRESS_OUTPUT_FILE_ENV",
                "EXECUTOR_PROGRESS_OUTPUT_FILE_NAME",
            ),
            ("EXECUTOR_PROGRESS_OUTPUT_FILE_NAME", "progress.out"),
            ("PROGRESS_REGEX_STRING", r"message: (\d*) (.*)"),
        ],
        "echo 'message: 25 in progress.out' >> ${EXECUTOR_PROGRESS_OUTPUT_FILE_NAME}",
    );
    assert_eq!(
        last_report(&run),
        Some((Some(25), "in progress.out".into()))
    );
    assert_eq!(run.sandbox.read("progress.out").lines().count(), 1);
}

#[test]
fn jobs_see_cooks_variables_and_empty_values_are_allowed() {
    let (run, _) = run(&[("FOO", "BAR"), ("EMPTY", "")], "env | sort > seen");
    let seen = run.lines("seen");
    for line in [
        "COOK_INSTANCE_UUID=task-1",
        "COOK_JOB_UUID=2fdd5b33-6a0e-4c3b-9d2d-41d8a7d2a9b0",
        "EMPTY=",
        "FOO=BAR",
        "INCREMENTAL=",
        "MESOS_EXECUTOR_ID=task-1",
        "PORT0=31000",
    ] {
        assert!(seen.iter().any(|found| found == line), "{line}: {seen:?}");
    }
    assert!(!run.sandbox.read("executor.log").contains("WARN"));
}

#[test]
fn jobs_hide_a_variable_of_the_agent_by_a_reset() {
    let (run, _) = run(
        &[("EXECUTOR_RESET_VARS", "MESOS_EXECUTOR_ID")],
        "echo \"${MESOS_EXECUTOR_ID-unset}\" > seen",
    );
    assert_eq!(run.lines("seen"), ["unset"]);
}

#[test]
fn hooks_reach_the_executor_by_the_jobs_environment() {
    let (run, ended) = run(
        &[
            (
                "EXECUTOR_BEFORE_COMMANDS",
                r#"[{"value": "echo 'progress: 1 before'; echo before >> order", "guard": true}]"#,
            ),
            (
                "EXECUTOR_AFTER_COMMANDS",
                r#"[{"value": "echo after >> order; exit 4"}]"#,
            ),
            (
                "EXECUTOR_DEFAULT_BEFORE_COMMANDS",
                r#"[{"value": "echo operator >> order"}]"#,
            ),
        ],
        "echo 'progress: 50 main'; echo main >> order",
    );
    assert_eq!(run.order(), ["operator", "before", "main", "after"]);
    assert_eq!(ended.codes("after_codes"), [Some(4)]);
    assert_eq!(last_report(&run), Some((Some(50), "main".into())));
}

#[test]
fn a_hundred_thousand_lines_of_progress_are_a_few_valid_messages() {
    let (run, ended) = run(
        &[],
        "for i in $(seq 1 100); do yes \"progress: $i line\" | head -n 1000; echo noise >&2; done",
    );
    assert_eq!(ended.state, Finished);
    assert_eq!(last_report(&run), Some((Some(100), "line".into())));
    assert_eq!(run.lines("stderr").len(), 100);
    let count = run.agent.inspect(|journal| reports(journal).len());
    assert!(count < 100, "{count}");
}

#[test]
fn binary_output_around_progress_is_still_valid_for_cook() {
    let (run, _) = run(
        &[],
        r"head -c 1000 /dev/urandom | tr -d '\r\n'; printf '\nprogress: 50 \377\376 bytes\n'",
    );
    assert_eq!(
        last_report(&run),
        Some((Some(50), "\u{fffd}\u{fffd} bytes".into()))
    );
}

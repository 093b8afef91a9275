//! Progress as Cook's scheduler receives it, and a command that the test controls.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use cook_mesos::messages::TaskState;
use cook_test_agent::journal::Journal;
use serde_json::{Value, json};

use super::executor::{Ended, Run, Setup};

/// The variable with the path of the progress file, unless another one is configured.
pub const FILE: &str = "EXECUTOR_PROGRESS_OUTPUT_FILE";

/// The minimum time between two reports in milliseconds, for tests that wait for several reports.
pub const SHORT_INTERVAL: &str = "100";

/// One progress message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub sequence: i64,
    pub percent: Option<i64>,
    pub message: String,
}

/// A run whose command is a shell that reads from a FIFO.
pub struct Puppet {
    pub run: Run,
    lines: File,
}

/// The progress messages so far. A value with another type than Cook's scheduler expects is a failure:
/// there, it would drop the progress of a hundred other jobs.
#[track_caller]
pub fn reports(journal: &Journal) -> Vec<Report> {
    let messages = journal.messages();
    let progress = messages
        .iter()
        .filter(|message| message.get("progress-sequence").is_some());
    progress
        .map(|message| Report {
            sequence: message["progress-sequence"].as_i64().expect("an integer"),
            percent: message
                .get("progress-percent")
                .map(|percent| percent.as_i64().expect("an integer")),
            message: message["progress-message"]
                .as_str()
                .expect("a text")
                .to_owned(),
        })
        .collect()
}

/// The last report of a run that has ended.
#[track_caller]
pub fn last_report(run: &Run) -> Option<(Option<i64>, String)> {
    let reports = run.agent.inspect(reports);
    let sequences: Vec<i64> = reports.iter().map(|report| report.sequence).collect();
    assert!(
        sequences.is_sorted_by(|earlier, later| earlier < later),
        "{sequences:?}"
    );
    reports
        .into_iter()
        .next_back()
        .map(|report| (report.percent, report.message))
}

/// Runs a command to its end. Returns the last report.
#[track_caller]
pub fn last_report_of(setup: Setup, command: &str) -> Option<(Option<i64>, String)> {
    let run = setup.launch(json!({ "command": command }));
    let ended = run.finish();
    assert!(!ended.states.is_empty(), "{}", run.transcript());
    last_report(&run)
}

// === impl Puppet ===

impl Puppet {
    /// Runs this job with a controlled command, and a short interval between reports.
    #[track_caller]
    pub fn with(setup: Setup, job: Value) -> Self {
        Self::start(setup, job, "")
    }

    /// Runs with the executor started in a folder of the sandbox.
    #[track_caller]
    pub fn new_in(setup: Setup, folder: &str) -> Self {
        Self::start(setup, json!({}), folder)
    }

    #[track_caller]
    fn start(setup: Setup, mut job: Value, folder: &str) -> Self {
        job["command"] = "mkfifo lines; echo up >> order; exec sh < lines".into();
        let run = setup
            .variable("PROGRESS_SAMPLE_INTERVAL_MS", SHORT_INTERVAL)
            .launch(job);
        run.wait_for_word("up");
        // By then the executor has written its own lines, so they cannot split a line of the command.
        run.wait_for(TaskState::Running);
        // Opening the FIFO waits until the command has opened it.
        let lines = OpenOptions::new()
            .write(true)
            .open(run.sandbox.path().join(folder).join("lines"));
        Self {
            lines: lines.expect("a FIFO"),
            run,
        }
    }

    #[track_caller]
    pub fn new() -> Self {
        Self::with(Setup::new(), json!({}))
    }

    /// Makes the command run a line.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        writeln!(self.lines, "{line}").expect("the command listens");
    }

    /// Waits until this is the latest progress, while the command is still running.
    #[track_caller]
    pub fn wait_for(&self, percent: i64, message: &str) {
        self.run
            .wait_until(&format!("{percent}% {message:?}"), |journal| {
                let newest = reports(journal).into_iter().next_back();
                newest.is_some_and(|newest| {
                    newest.percent == Some(percent) && newest.message == message
                })
            });
    }

    /// Makes the command run a line, and waits until this is the latest progress.
    #[track_caller]
    pub fn reports(&mut self, line: &str, percent: i64, message: &str) {
        self.tell(line);
        self.wait_for(percent, message);
    }

    /// Whether a file exists in the sandbox.
    pub fn exists(&self, name: &str) -> bool {
        Path::exists(&self.run.sandbox.path().join(name))
    }

    /// Ends the command, and so the task. Returns the run, which has ended.
    #[track_caller]
    pub fn end(self) -> (Run, Ended) {
        drop(self.lines);
        let ended = self.run.finish();
        (self.run, ended)
    }
}

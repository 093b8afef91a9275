//! Progress files that exist before the task: their old contents do not count, and everything that the task
//! does to them counts.

use crate::support::progress::{FILE, Puppet, SHORT_INTERVAL, last_report_of, reports};
use crate::support::{Setup, hook};
use cook_mesos::messages::TaskState::Finished;
use serde_json::json;

/// Creates a progress file, and writes the same to stdout and stderr, before the executor starts.
const STALE: &str = "echo 'progress: 100, done' | tee executor-1.progress stderr";

fn stale() -> Setup {
    Setup::new()
        .prelude(STALE)
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", SHORT_INTERVAL)
}

#[test]
fn contents_from_before_the_launch_do_not_count() {
    for prelude in [
        STALE,
        // Without a line end; larger than the part that is remembered; a link to a file.
        "printf 'progress: 100, done' > executor-1.progress",
        "for i in $(seq 1 20000); do echo 'progress: 100, done'; done > executor-1.progress",
        "echo 'progress: 100, done' > other; ln -s other executor-1.progress",
        "echo 'progress: 100, done' > executor-1.progress; chmod 000 executor-1.progress",
    ] {
        for command in [
            "true",
            "touch $EXECUTOR_PROGRESS_OUTPUT_FILE",
            "cat $EXECUTOR_PROGRESS_OUTPUT_FILE > /dev/null",
            "chmod 644 $EXECUTOR_PROGRESS_OUTPUT_FILE",
            "mv $EXECUTOR_PROGRESS_OUTPUT_FILE x; sleep 0.2; mv x $EXECUTOR_PROGRESS_OUTPUT_FILE",
        ] {
            let setup = Setup::new().prelude(prelude);
            assert_eq!(last_report_of(setup, command), None, "{prelude}: {command}");
        }
    }
}

#[test]
fn every_change_by_the_task_counts() {
    for (act, percent, message) in [
        ("echo 'progress: 10, more' >> ", 10, "more"),
        // Shorter, as long as, and longer than the old contents.
        ("echo 'progress: 1, x' > ", 1, "x"),
        ("echo 'progress: 020, 2020' > ", 20, "2020"),
        (
            "echo 'progress: 30, much longer than before' > ",
            30,
            "much longer than before",
        ),
        ("echo 'progress: 40, moved' > new; mv new ", 40, "moved"),
        // The same contents again.
        ("echo 'progress: 100, done' > ", 100, "done"),
        ("echo 'progress: 100, done' > new; mv new ", 100, "done"),
    ] {
        let command = format!("{act} ${FILE}");
        let found = last_report_of(stale(), &command);
        assert_eq!(found, Some((Some(percent), message.into())), "{act}");
        // It is also seen while the task is running.
        let mut job = Puppet::with(stale(), json!({}));
        job.reports(&command, percent, message);
        let (run, ended) = job.end();
        assert_eq!(ended.state, Finished);
        assert_eq!(run.agent.inspect(reports).len(), 1, "{act}");
    }
}

#[test]
fn a_file_created_by_a_before_command_counts() {
    let run = Setup::new().launch(json!({
        "before_commands": [hook(format!("echo 'progress: 5, prepared' > ${FILE}"))],
        "command": "true",
    }));
    assert_eq!(run.finish().data["progress"].as_f64(), Some(5.0));
}

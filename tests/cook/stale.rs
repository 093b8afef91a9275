//! Progress files that are there before the task: what was in them is not the task's, and whatever the task
//! does to them is.

use crate::support::progress::{FILE, Puppet, SHORT_INTERVAL, last_report_of, reports};
use crate::support::{Setup, hook};
use cook_mesos::messages::TaskState::Finished;
use serde_json::json;

/// Makes a progress file, and writes the same to stdout and stderr, before the executor begins.
const STALE: &str = "echo 'progress: 100, done' | tee executor-1.progress stderr";

fn stale() -> Setup {
    Setup::new()
        .prelude(STALE)
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", SHORT_INTERVAL)
}

#[test]
fn what_was_in_the_files_before_the_launch_is_not_the_tasks() {
    for prelude in [
        STALE,
        // Without an end of the line; larger than what is remembered of it; a link to one.
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
fn what_the_task_does_to_such_a_file_counts_whatever_it_is() {
    for (act, percent, message) in [
        ("echo 'progress: 10, more' >> ", 10, "more"),
        // Shorter, as long, and longer than what was there.
        ("echo 'progress: 1, x' > ", 1, "x"),
        ("echo 'progress: 020, 2020' > ", 20, "2020"),
        (
            "echo 'progress: 30, much longer than before' > ",
            30,
            "much longer than before",
        ),
        ("echo 'progress: 40, moved' > new; mv new ", 40, "moved"),
        // The very same again.
        ("echo 'progress: 100, done' > ", 100, "done"),
        ("echo 'progress: 100, done' > new; mv new ", 100, "done"),
    ] {
        let command = format!("{act} ${FILE}");
        let found = last_report_of(stale(), &command);
        assert_eq!(found, Some((Some(percent), message.into())), "{act}");
        // While it runs, it is seen as well.
        let mut job = Puppet::with(stale(), json!({}));
        job.reports(&command, percent, message);
        let (run, ended) = job.end();
        assert_eq!(ended.state, Finished);
        assert_eq!(run.agent.inspect(reports).len(), 1, "{act}");
    }
}

#[test]
fn a_file_that_a_before_command_has_made_is_the_tasks() {
    let run = Setup::new().launch(json!({
        "before_commands": [hook(format!("echo 'progress: 5, prepared' > ${FILE}"))],
        "command": "true",
    }));
    assert_eq!(run.finish().data["progress"].as_f64(), Some(5.0));
}

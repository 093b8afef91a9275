//! Progress by lines: what a job writes to `stdout`, `stderr` or its progress file. It is read as by the
//! Python executor of the Cook scheduler, and also where that one loses progress.

use std::time::Duration;

use crate::support::progress::{
    FILE, Puppet, SHORT_INTERVAL, last_report, last_report_of, reports,
};
use crate::support::{Run, Setup, TASK, hook};
use cook_mesos::messages::TaskState::{Failed, Finished, Killed, Running};
use cook_test_agent::journal::What;
use serde_json::json;

/// What the Cook scheduler sets for a job without its own pattern.
const COOKS_PATTERN: &str = r"progress:\s+([0-9]*\.?[0-9]+)($|\s+.*)";

/// The pattern of the Python executor's own tests.
const TEST_PATTERN: &str = r"\^\^\^\^JOB-PROGRESS:\s+([0-9]*\.?[0-9]+)($|\s+.*)";

/// Accepts any word as a percentage.
const CREDULOUS_PATTERN: &str = r"progress: (\S+) (.*)";

fn with_pattern(pattern: &str) -> Setup {
    Setup::new().variable("PROGRESS_REGEX_STRING", pattern)
}

/// Runs a command that finishes. Returns the last report.
#[track_caller]
fn last_of(setup: Setup, command: &str) -> Option<(i64, String)> {
    let (percent, message) = last_report_of(setup, command)?;
    Some((percent.expect("a percentage"), message))
}

/// A shell command that overwrites the progress file with this text.
fn write_file(text: &str) -> String {
    format!("echo '{text}' > ${FILE}")
}

// Where lines are read.

#[test]
fn lines_on_stdout_and_stderr_and_in_the_progress_file_count_while_the_command_runs() {
    let mut job = Puppet::new();
    job.reports("echo 'progress: 10, on stdout'", 10, "on stdout");
    job.reports("echo 'progress: 20, on stderr' >&2", 20, "on stderr");
    job.reports(
        &format!("echo 'progress: 30, in a file' >> ${FILE}"),
        30,
        "in a file",
    );
    job.reports("echo 'progress: 40, on stdout'", 40, "on stdout");
    let (run, ended) = job.end();
    assert_eq!(ended.state, Finished);
    assert_eq!(ended.data["progress"].as_f64(), Some(40.0));
    assert_eq!(ended.data["message"], "on stdout");
    // Only the task API sets the message of the terminal update; lines do not.
    assert_eq!(ended.message, "Command exited with status 0");
    assert_eq!(last_report(&run), Some((Some(40), "on stdout".into())));
}

#[test]
fn lines_of_before_and_after_commands_count() {
    let mut job = Puppet::with(
        Setup::new(),
        json!({
            "before_commands": [hook("echo 'progress: 5, prepared'")],
            "after_commands": [hook("echo 'progress: 99, cleaned up'")],
        }),
    );
    job.wait_for(5, "prepared");
    job.tell("echo 'progress: 50, half'");
    let (run, _) = job.end();
    assert_eq!(last_report(&run), Some((Some(99), "cleaned up".into())));
}

#[test]
fn the_last_line_is_reported_before_the_terminal_update_and_in_it() {
    let run = Setup::new()
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", "60000")
        .launch(json!({
            "command": "for i in 1 2 3; do echo \"progress: $i, step $i\"; done; exit 1",
        }));
    let ended = run.finish();
    assert_eq!(ended.state, Failed);
    assert_eq!(last_report(&run), Some((Some(3), "step 3".into())));
    assert_eq!(ended.data["progress"].as_f64(), Some(3.0));
    assert_eq!(ended.data["message"], "step 3");
    let arrivals = run.agent.inspect(|journal| journal.arrivals());
    let terminal = arrivals.iter().position(|text| text == "TASK_FAILED");
    assert_eq!(terminal, Some(arrivals.len() - 1), "{arrivals:?}");
}

#[test]
fn the_last_line_of_a_killed_command_is_reported() {
    let run = Setup::new()
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", "60000")
        .launch(json!({
            "command": "trap 'echo \"progress: 70, interrupted\"; exit 1' TERM
                        echo 'progress: 60, running'; while :; do sleep 0.01; done",
        }));
    run.wait_until("progress", |journal| !reports(journal).is_empty());
    run.wait_for(Running);
    run.agent.kill(TASK, None);
    assert_eq!(run.finish().state, Killed);
    assert_eq!(last_report(&run), Some((Some(70), "interrupted".into())));
}

#[test]
fn a_line_without_an_end_counts_when_the_command_has_ended() {
    for target in ["", ">&2", ">> $EXECUTOR_PROGRESS_OUTPUT_FILE"] {
        let command = format!("printf 'progress: 42, no newline' {target}");
        assert_eq!(
            last_of(Setup::new(), &command),
            Some((42, "no newline".into())),
            "{target}"
        );
    }
}

// Changes of the progress file.

#[test]
fn a_progress_file_that_is_created_late_is_read_from_its_beginning() {
    let mut job = Puppet::new();
    job.reports("echo 'progress: 1, no file yet'", 1, "no file yet");
    assert!(!job.exists("executor-1.progress"));
    job.reports(&write_file("progress: 10, made"), 10, "made");
    job.end();
}

#[test]
fn a_progress_file_that_is_truncated_is_read_from_its_new_beginning() {
    let mut job = Puppet::new();
    let long = "long ".repeat(100);
    job.reports(
        &write_file(&format!("progress: 10, {long}")),
        10,
        long.trim_end(),
    );
    job.reports(&write_file("progress: 20, short"), 20, "short");
    // Like logrotate with copytruncate.
    job.tell(&format!("cp ${FILE} copy; : > ${FILE}"));
    job.reports(&format!("echo 'progress: 30, s' >> ${FILE}"), 30, "s");
    job.end();
}

#[test]
fn a_progress_file_that_is_rewritten_each_time_counts_each_time() {
    let mut job = Puppet::new();
    for (percent, message) in [
        (9, "same"),
        (10, "longer"),
        (11, "longer"),
        (11, "larger"),
        (12, "much longer"),
    ] {
        let line = format!("progress: {percent}, {message}");
        job.reports(&write_file(&line), percent, message);
    }
    let (run, _) = job.end();
    assert_eq!(run.agent.inspect(reports).len(), 5, "each counts once");
}

#[test]
fn a_progress_file_that_is_rotated_is_followed_to_the_new_one() {
    let mut job = Puppet::new();
    job.reports(
        &write_file("progress: 10, old and longer"),
        10,
        "old and longer",
    );
    job.reports(
        &format!("mv ${FILE} old; {}", write_file("progress: 20, new")),
        20,
        "new",
    );
    job.reports(
        &format!("echo 'progress: 30, appended' >> ${FILE}"),
        30,
        "appended",
    );
    job.end();
}

#[test]
fn a_progress_file_that_is_replaced_by_another_is_followed() {
    let mut job = Puppet::new();
    for percent in [10, 20, 30] {
        let line = format!("progress: {percent}, replaced");
        let replace = format!("echo '{line}' > next; mv next ${FILE}");
        job.reports(&replace, percent, "replaced");
    }
    job.end();
}

#[test]
fn a_progress_file_that_is_removed_and_created_again_is_followed() {
    let mut job = Puppet::new();
    job.reports(&write_file("progress: 10, first"), 10, "first");
    job.tell(&format!("rm ${FILE}"));
    job.reports("echo 'progress: 15, removed'", 15, "removed");
    job.reports(&write_file("progress: 20, second"), 20, "second");
    job.end();
}

#[test]
fn a_rotated_stdout_is_followed() {
    let mut job = Puppet::new();
    job.reports("echo 'progress: 10, first'", 10, "first");
    job.reports(
        "mv stdout stdout.1; exec > stdout; echo 'progress: 20, second'",
        20,
        "second",
    );
    job.end();
}

#[test]
fn a_progress_file_that_is_not_regular_is_ignored_and_other_files_are_read() {
    let too_long = "x".repeat(300);
    for path in [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/tty",
        "/",
        ".",
        "/proc/self/mem",
        "loop",
        "plain/file",
        "/nowhere/at/all",
        too_long.as_str(),
    ] {
        let setup = Setup::new()
            .prelude("ln -s loop loop; touch plain")
            .variable(FILE, path);
        let last = last_of(setup, "echo 'progress: 50, on stdout'");
        assert_eq!(last, Some((50, "on stdout".into())), "{path}");
    }
}

#[test]
fn a_fifo_for_a_progress_file_is_left_to_the_job() {
    let mut job = Puppet::with(
        Setup::new().prelude("mkfifo pipe").variable(FILE, "pipe"),
        json!({}),
    );
    job.reports("echo 'progress: 10, before'", 10, "before");
    job.tell("cat pipe > taken &");
    job.tell(r#"for i in 1 2 3; do echo "progress: 9$i, for cat"; done > pipe; wait"#);
    job.reports("echo 'progress: 20, after'", 20, "after");
    let (run, _) = job.end();
    assert_eq!(run.lines("taken").len(), 3, "{}", run.transcript());
}

#[test]
fn an_unreadable_progress_file_is_ignored_until_it_becomes_readable() {
    let setpriv = std::process::Command::new("setpriv")
        .args(["--reuid", "100000", "--clear-groups", "true"])
        .output();
    if !setpriv.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: root may read everything, and setpriv does not work on this machine");
        return;
    }
    // The executor's own file may be where only root can read it.
    let setup = Setup::new().variable(FILE, "secret").prelude(
        "chmod 777 .; cp \"$0\" executor; touch order; chmod 666 order; \
         : > secret; chmod 600 secret; \
         exec setpriv --reuid 100000 --clear-groups ./executor",
    );
    let mut job = Puppet::with(setup, json!({}));
    job.reports("echo 'progress: 10, on stdout'", 10, "on stdout");
    job.run.sandbox.write("secret", "progress: 80, secret\n");
    job.run.sandbox.permit("secret", 0o644);
    job.wait_for(80, "secret");
    let (_, ended) = job.end();
    assert_eq!(ended.state, Finished);
}

#[test]
fn without_inotify_progress_is_found_by_polling() {
    let script = "echo 0 > /proc/sys/user/max_inotify_instances";
    let unshare = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .output();
    if !unshare.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: user namespaces are not available");
        return;
    }
    let prelude =
        format!("exec unshare --user --map-root-user sh -c '{script}; exec \"$0\"' \"$0\"");
    let mut job = Puppet::with(Setup::new().prelude(prelude), json!({}));
    job.reports("echo 'progress: 10, on stdout'", 10, "on stdout");
    job.reports(&write_file("progress: 20, in a file"), 20, "in a file");
    let (run, _) = job.end();
    let log = run.sandbox.read("executor.log");
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    assert_eq!(warnings.count(), 1, "{log}");
}

// What counts as a line.

#[test]
fn a_carriage_return_ends_a_line_so_that_the_last_value_of_a_bar_is_found() {
    let command = r"printf 'progress: 10, a\rprogress: 20, b\r\nprogress: 30, c\r'";
    assert_eq!(last_of(Setup::new(), command), Some((30, "c".into())));
    let mut job = Puppet::new();
    job.reports(r"printf '\rprogress: 40, bar\r'", 40, "bar");
    job.reports(r"printf '\rprogress: 50, bar\r'", 50, "bar");
    job.end();
}

#[test]
fn a_line_in_pieces_counts_as_a_whole() {
    let mut job = Puppet::new();
    job.tell("printf 'progress: 1'");
    job.reports("echo 'progress: 20, look' >&2", 20, "look");
    job.tell("printf '0,'");
    job.reports("echo 'progress: 21, look' >&2", 21, "look");
    job.reports("echo ' half and half'", 10, "half and half");
    job.end();
}

#[test]
fn a_bar_that_begins_with_a_carriage_return_and_has_no_end_counts_after_a_while() {
    let mut job = Puppet::new();
    job.reports(r"printf '\rprogress: 40, bar'", 40, "bar");
    job.reports(r"printf '\rprogress: 50, bar'", 50, "bar");
    job.end();
}

#[test]
fn the_first_match_of_a_line_and_the_newest_line_count() {
    for (pattern, text, wanted) in [
        (
            "progress: ([0-9]+), (.*)",
            "progress: 10, a progress: 20, b",
            (10, "a progress: 20, b"),
        ),
        ("([0-9]+)%", "10% and 20%", (10, "")),
        ("([0-9]+)%", "10%\n30%\n20%\nno more", (20, "")),
    ] {
        let command = format!("echo '{text}'");
        let (percent, message) = wanted;
        assert_eq!(
            last_of(with_pattern(pattern), &command),
            Some((percent, message.into())),
            "{text:?}"
        );
    }
}

#[test]
fn of_a_long_line_between_one_and_two_times_the_limit_is_read() {
    let line = "{ printf 'progress: 10, '; head -c 300000 /dev/zero | tr '\\0' m; echo; } >&2";
    let longest = |setup: Setup| {
        let setup = setup.variable("EXECUTOR_MAX_MESSAGE_LENGTH", "1000000");
        last_of(setup, line).expect("progress")
    };
    let limit = |value| Setup::new().variable("EXECUTOR_MAX_BYTES_READ_PER_LINE", value);
    for (setup, limit) in [
        (Setup::new(), 4096),
        (limit("1000"), 1000),
        (limit("1"), 128),
        (limit("1000000000"), 64 * 1024),
        (limit("many"), 4096),
    ] {
        let (percent, message) = longest(setup);
        assert_eq!(percent, 10);
        let read = "progress: 10, ".len() + message.len();
        assert!((limit..=2 * limit).contains(&read), "{read} of {limit}");
    }
}

#[test]
fn a_line_after_one_that_is_too_long_counts() {
    let long = "head -c 1000000 /dev/zero | tr '\\0' x";
    for command in [
        format!("{long}; echo; echo 'progress: 10, next'"),
        format!("{long}; printf '\\rprogress: 10, next'"),
        "head -c 1000000 /dev/zero; echo; echo 'progress: 10, next'".to_owned(),
    ] {
        let last = last_of(Setup::new(), &command);
        assert_eq!(last, Some((10, "next".into())), "{command}");
    }
}

// What counts as a number.

#[test]
fn percentages_are_rounded_half_to_even() {
    for (text, percent) in [
        ("0", 0),
        ("075", 75),
        (".5", 0),
        ("0.5", 0),
        ("1.5", 2),
        ("2.5", 2),
        ("54.5", 54),
        ("54.8", 55),
        ("65.8", 66),
        ("99.5", 100),
        ("100.0", 100),
    ] {
        let last = last_of(Setup::new(), &format!("echo 'progress: {text}, x'"));
        assert_eq!(last, Some((percent, "x".into())), "{text}");
    }
}

#[test]
fn a_line_with_an_invalid_number_is_ignored() {
    for text in [
        "101",
        "100.1",
        "100.0000001",
        "-1",
        "-0.001",
        "121212121212121212",
        "1e999",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "F50",
        "fifty",
        "5O",
        "0x10",
        "1,5",
        "50%",
        ".",
        "٣",
    ] {
        let command = format!("echo 'progress: 7 good'; echo 'progress: {text} bad'");
        let last = last_of(with_pattern(CREDULOUS_PATTERN), &command);
        assert_eq!(last, Some((7, "good".into())), "{text}");
    }
}

#[test]
fn valid_lines_before_invalid_ones_are_not_lost_while_the_command_runs() {
    let mut job = Puppet::with(with_pattern(CREDULOUS_PATTERN), json!({}));
    job.reports(
        "echo 'progress: 25 a quarter'; echo 'progress: F50 invalid'",
        25,
        "a quarter",
    );
    job.reports(
        "echo 'progress: 75 most'; echo 'progress: 123 invalid'",
        75,
        "most",
    );
    job.end();
}

// Messages.

#[test]
fn messages_are_trimmed() {
    for line in [
        r"progress: 10,    spaced out  \t ",
        r"progress: 10, \tspaced out\r",
    ] {
        let last = last_of(Setup::new(), &format!("printf '{line}\\n'"));
        assert_eq!(last, Some((10, "spaced out".into())), "{line}");
    }
}

#[test]
fn messages_may_have_any_characters_and_invalid_bytes_are_replaced() {
    for (line, message) in [
        (r"naïve ☃ 日本", "naïve ☃ 日本"),
        (r"caf\351 au lait", "caf\u{fffd} au lait"),
        (r"\377\376", "\u{fffd}\u{fffd}"),
        (r"a\000b", "a\0b"),
        // CSI, OSC and DCS in one character (C1): terminals obey them as they do ESC and a letter.
        (r"a\302\23331mb\302\235c\302\220d", "a 31mb c d"),
    ] {
        let last = last_of(Setup::new(), &format!("printf 'progress: 10, {line}\\n'"));
        assert_eq!(last, Some((10, message.into())), "{line}");
    }
}

#[test]
fn a_long_message_is_shortened_by_characters_and_ends_in_dots() {
    let command = |count: usize| format!("echo 'progress: 10, {}'", "☃".repeat(count));
    let whole = "☃".repeat(512);
    assert_eq!(
        last_of(Setup::new(), &command(512)),
        Some((10, whole.clone()))
    );
    let cut = format!("{}...", "☃".repeat(509));
    assert_eq!(
        last_of(Setup::new(), &command(513)),
        Some((10, cut.clone()))
    );
    assert_eq!(last_of(Setup::new(), &command(1300)), Some((10, cut)));
    let short = Setup::new().variable("EXECUTOR_MAX_MESSAGE_LENGTH", "64");
    let cut = format!("{}...", "☃".repeat(61));
    assert_eq!(last_of(short, &command(65)), Some((10, cut)));
}

#[test]
fn random_bytes_around_a_line_are_harmless() {
    let command = "head -c 100000 /dev/urandom; echo; echo 'progress: 50, found'; \
                   head -c 100000 /dev/urandom | tr -d p; head -c 1000 /dev/urandom >&2";
    let last = last_of(Setup::new(), command);
    assert_eq!(last, Some((50, "found".into())));
}

// Patterns.

#[test]
fn the_schedulers_own_pattern_works() {
    for (line, wanted) in [
        ("progress: 25", (25, "")),
        ("progress: 25 a quarter", (25, "a quarter")),
        (r"progress:\t2.0\tTwo percent", (2, "Two percent")),
        ("progress: 99 We are so close!", (99, "We are so close!")),
    ] {
        let (percent, message) = wanted;
        let last = last_of(with_pattern(COOKS_PATTERN), &format!("printf '{line}\\n'"));
        assert_eq!(last, Some((percent, message.into())), "{line}");
    }
    for line in ["progress: 25%", "progress 25 x", "progress:25 x", "done"] {
        let last = last_of(with_pattern(COOKS_PATTERN), &format!("echo '{line}'"));
        assert_eq!(last, None, "{line}");
    }
}

#[test]
fn the_pattern_of_the_python_executors_tests_matches_what_it_matches_there() {
    for (line, wanted) in [
        ("^^^^JOB-PROGRESS: 1", Some((1, ""))),
        ("^^^^JOB-PROGRESS:    1", Some((1, ""))),
        ("^^^^JOB-PROGRESS: 1    ", Some((1, ""))),
        ("^^^^JOB-PROGRESS: 1 done", Some((1, "done"))),
        (
            "^^^^JOB-PROGRESS: 2.2 Two percent complete",
            Some((2, "Two percent complete")),
        ),
        ("One percent complete", None),
        ("^^^^JOB-PROGRESS: 1done", None),
        ("^^^^JOB-PROGRESS: 1.0done", None),
        ("^^^^JOB-PROGRESS 1 done", None),
        ("JOB-PROGRESS: 1 done", None),
    ] {
        let last = last_of(with_pattern(TEST_PATTERN), &format!("echo '{line}'"));
        let wanted = wanted.map(|(percent, message)| (percent, message.to_owned()));
        assert_eq!(last, wanted, "{line}");
    }
}

#[test]
fn a_pattern_with_one_group_or_none_sets_the_percentage_and_leaves_the_message() {
    for pattern in [r"([0-9]+) of a hundred", r"^[0-9]+"] {
        let mut job = Puppet::with(with_pattern(pattern), json!({}));
        job.tell(r#""$EXECUTOR_BIN" patch '{"message": "mine"}'"#);
        job.reports("echo '30 of a hundred'", 30, "mine");
        let (_, ended) = job.end();
        assert_eq!(ended.data["progress"].as_f64(), Some(30.0), "{pattern}");
        assert_eq!(ended.message, "mine", "{pattern}");
    }
}

#[test]
fn a_pattern_with_more_than_two_groups_uses_the_first_two() {
    let setup = with_pattern(r"([0-9]+) (\w+) (\w+)");
    let last = last_of(setup, "echo '30 first second'");
    assert_eq!(last, Some((30, "first".into())));
}

#[test]
fn a_second_group_without_a_match_gives_no_message() {
    let setup = with_pattern(r"([0-9]+)%( .*)?$");
    let last = last_of(setup, "echo '30%'");
    assert_eq!(last, Some((30, String::new())));
}

#[test]
fn an_empty_pattern_turns_progress_by_lines_off_but_not_the_task_api() {
    let mut job = Puppet::with(with_pattern(""), json!({}));
    job.tell("echo 'progress: 10, a line'; echo 'progress: 20, a line' >&2");
    job.tell(&write_file("progress: 30, a line"));
    job.reports(
        r#""$EXECUTOR_BIN" patch '{"progress": 40, "message": "by request"}'"#,
        40,
        "by request",
    );
    let (run, _) = job.end();
    let reports = run.agent.inspect(reports);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(!run.sandbox.read("executor.log").contains("WARN"));
}

#[test]
fn an_invalid_pattern_turns_progress_off_with_one_warning_and_the_task_runs() {
    let too_large = "(((a{1000}){1000}){1000}){1000}";
    for pattern in ["(", "[", "*", "(?P<", r"(?=x)([0-9]+)", r"(a)\1", too_large] {
        let run =
            with_pattern(pattern).launch(json!({"command": "echo 'progress: 10, x'; exit 3"}));
        let ended = run.finish();
        assert_eq!(ended.exit_code(), Some(3), "{pattern}");
        assert_eq!(last_report(&run), None, "{pattern}");
        let log = run.sandbox.read("executor.log");
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 1, "{pattern}: {log}");
        assert!(
            warnings[0].contains("PROGRESS_REGEX_STRING"),
            "{warnings:?}"
        );
    }
}

// How often progress is reported, together with the task API.

#[test]
fn lines_and_the_task_api_share_one_sequence_and_the_newest_counts() {
    let mut job = Puppet::new();
    for round in 0..3 {
        let (by_line, by_request) = (20 * round + 10, 20 * round + 20);
        job.reports(
            &format!("echo 'progress: {by_line}, line'"),
            by_line,
            "line",
        );
        job.reports(
            &format!(
                r#""$EXECUTOR_BIN" patch '{{"progress": {by_request}, "message": "request"}}'"#
            ),
            by_request,
            "request",
        );
    }
    job.reports("echo 'progress: 90, line'", 90, "line");
    let (run, ended) = job.end();
    // `last_report` also checks that sequence numbers only increase.
    assert_eq!(last_report(&run), Some((Some(90), "line".into())));
    assert_eq!(run.agent.inspect(reports).len(), 7);
    assert_eq!(ended.data["message"], "line");
    // A line does not override the message that was set by request.
    assert_eq!(ended.message, "request");
}

#[test]
fn at_most_one_message_is_sent_per_interval() {
    let interval = Duration::from_millis(200);
    let run = Setup::new()
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", "200")
        .launch(
            json!({"command": r#"until grep -qx enough order 2>/dev/null; do
            for i in 1 2 3 4 5 6 7 8 9; do
                echo "progress: $i, on stdout"
                echo "progress: 1$i, on stderr" >&2
                echo "progress: 2$i, in a file" >> $EXECUTOR_PROGRESS_OUTPUT_FILE
            done
            "$EXECUTOR_BIN" patch '{progress: 30, message: "by request"}'
        done"#}),
        );
    run.wait_until("six messages", |journal| reports(journal).len() >= 6);
    run.say("enough");
    run.finish();
    let times = run.agent.inspect(|journal| {
        let launched = journal
            .entries()
            .iter()
            .find(|entry| matches!(&entry.what, What::Sent(event) if event.starts_with("LAUNCH")));
        let ended = journal
            .entries()
            .iter()
            .find(|entry| matches!(entry.what, What::Exited(_)));
        (launched.unwrap().at, ended.unwrap().at)
    });
    let intervals = (times.1 - times.0).div_duration_f64(interval);
    let sent = run.agent.inspect(reports).len();
    // The first one is sent immediately, and the last one need not wait.
    assert!(
        sent as f64 <= intervals + 2.0,
        "{sent} messages in {intervals} intervals"
    );
}

#[test]
fn progress_while_the_agent_is_away_is_reported_when_it_is_back() {
    let mut job = Puppet::new();
    job.reports("echo 'progress: 10, with an agent'", 10, "with an agent");
    job.run.agent.go_away();
    job.tell("echo 'progress: 20, alone'; echo said >> order");
    job.run.wait_for_word("said");
    job.run.agent.come_back().expect("the port is reserved");
    job.wait_for(20, "alone");
    job.end();
}

#[test]
fn lines_are_read_while_the_agent_hangs() {
    let mut job = Puppet::new();
    job.run.wait_for(Running);
    job.run.agent.hang();
    job.tell("for i in 10 20 30; do echo \"progress: $i, step $i\"; done; echo said >> order");
    job.run.wait_for_word("said");
    job.run.agent.resume();
    job.wait_for(30, "step 30");
    job.end();
}

// Very much output.

/// The executor's peak memory in kB.
fn peak_memory(run: &Run) -> u64 {
    let pid = run.executor.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.expect("the executor runs");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next());
    peak.and_then(|kilobytes| kilobytes.parse().ok())
        .expect("a number")
}

/// Runs a command with very much output. Returns the last report. The executor's memory is limited to that
/// for little output, plus some reserve.
#[track_caller]
fn last_of_very_much(setup: Setup, command: &str) -> Option<(Option<i64>, String)> {
    let run = setup.launch_observed(json!({ "command": command }));
    run.wait_until("a terminal update", |journal| {
        journal.terminal_of(TASK).is_some()
    });
    let peak = peak_memory(&run);
    run.agent.release_acknowledgements();
    assert_eq!(run.finish().state, Finished);
    assert!(peak < 16 * 1024, "{peak} kB");
    last_report(&run)
}

#[test]
fn the_last_of_a_million_lines_arrives() {
    let command = "yes 'progress: 50, working' | head -n 1000000; echo 'progress: 100, done'";
    for target in ["stdout", "file"] {
        let command = match target {
            "file" => format!("{{ {command}; }} >> ${FILE}"),
            _ => command.to_owned(),
        };
        let last = last_of_very_much(Setup::new(), &command);
        assert_eq!(last, Some((Some(100), "done".into())), "{target}");
    }
}

#[test]
fn a_few_progress_lines_among_very_many_others_are_all_found() {
    let command = "for i in $(seq 1 99); do yes 'nothing of this is progress' | head -n 2500; \
                   echo \"progress: $i, step $i\"; done; \
                   yes 'nothing of this is progress' | head -n 250000";
    let last = last_of_very_much(Setup::new(), command);
    assert_eq!(last, Some((Some(99), "step 99".into())));
}

#[test]
fn a_quarter_of_a_gigabyte_of_zeros_takes_no_memory() {
    let command = "head -c 268435456 /dev/zero; echo; echo 'progress: 100 done'";
    let last = last_of_very_much(with_pattern(COOKS_PATTERN), command);
    assert_eq!(last, Some((Some(100), "done".into())));
}

#[test]
fn very_much_output_does_not_delay_a_kill() {
    let run = Setup::new()
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", SHORT_INTERVAL)
        .launch(json!({
            "command": "yes 'progress: 50, working' | head -n 8000000; exec sleep 600",
        }));
    run.wait_until("progress", |journal| !reports(journal).is_empty());
    run.agent.kill(TASK, None);
    assert_eq!(run.finish().state, Killed);
    // Its last line may be incomplete.
    let last = last_report(&run).and_then(|(percent, _)| percent);
    assert_eq!(last, Some(50));
}

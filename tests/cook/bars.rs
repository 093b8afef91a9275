//! Progress within other terminal output: escape sequences, and shell traces.

use crate::support::Setup;
use crate::support::progress::{Puppet, last_report_of};

#[test]
fn each_value_of_a_bar_drawn_with_escape_sequences_is_found() {
    for draw in [
        r"\033[2K\033[1G",
        r"\033[A\033[2K",
        r"\033[1000D\033[K",
        r"\0338",
        r"\033[H",
        // As many as the line has characters.
        r"\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b",
    ] {
        let steps = [10, 20, 30].map(|percent| format!("{draw}progress: {percent}, bar"));
        let command = format!("printf '{}'", steps.concat());
        let found = last_report_of(Setup::new(), &command);
        assert_eq!(found, Some((Some(30), "bar".into())), "{draw}");
    }
    // After a while, the last value counts without a further one.
    let mut job = Puppet::new();
    for percent in [10, 20] {
        let step = format!(r"printf '\033[2K\033[1Gprogress: {percent}, bar'");
        job.reports(&step, percent, "bar");
    }
    job.end();
}

#[test]
fn messages_contain_no_escape_sequences() {
    let command =
        r"printf '\033]0;title\007\033[1mprogress: 50,\033[0m \033[32mha\033(Blf\033[0m\033[K\n'";
    let found = last_report_of(Setup::new(), command);
    assert_eq!(found, Some((Some(50), "half".into())));
}

#[test]
fn an_expression_about_escape_sequences_sees_them() {
    let setup = Setup::new().variable("PROGRESS_REGEX_STRING", r"\x1b\[G([0-9]+)% (.*)");
    let found = last_report_of(setup, r"printf '\033[G40%% a\033[G50%% \033[1mb\033[0m\n'");
    assert_eq!(found, Some((Some(40), "a 50% b".into())));
}

/// What `set -x` prints for a request to the task API.
const TRACE: &str = r#"set -x; : -d '{progress: 20, message: "twenty"}' x"#;

#[test]
fn a_trace_of_a_request_is_not_progress() {
    assert_eq!(last_report_of(Setup::new(), TRACE), None);
    let env = "x".repeat(10_000);
    let long = format!("set -x; : -d '{{env: {{A: {env}}}, progress: 20, message: x}}'");
    assert_eq!(last_report_of(Setup::new(), &long), None);
    let behind = "echo '{progress: 20, message: x}' progress: 30, behind";
    let found = last_report_of(Setup::new(), behind);
    assert_eq!(found, Some((Some(30), "behind".into())));
}

#[test]
fn a_configured_expression_has_no_exceptions() {
    for expression in [
        r"progress: ([0-9]*\.?[0-9]+), (.*)",
        r"\{progress: ([0-9]+), (.*)",
    ] {
        let setup = Setup::new().variable("PROGRESS_REGEX_STRING", expression);
        let found = last_report_of(setup, "echo '{progress: 20, x'");
        assert_eq!(found, Some((Some(20), "x".into())), "{expression}");
    }
}

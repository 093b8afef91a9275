//! `executor.log`: what may already exist at its path, who can fill it, and what it contains in any case.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::support::users::{AS_TASK_USER, OTHER_USER, THIRD_USER, as_user, is_root};
use crate::support::{Setup, Target, hook, say, wait_for_word};
use cook_mesos::messages::TaskState::{Failed, Finished};
use serde_json::json;

/// Runs a task after these shell commands. Returns the text of the log.
fn with_log(prelude: &str) -> String {
    let run = Setup::new().prelude(prelude).launch_observed(json!({
        "before_commands": [hook(say("before"))],
        "command": format!("{}; exit 3", say("main")),
        "after_commands": [hook(say("after"))],
    }));
    let ended = run.finish_alone();
    assert_eq!((ended.state, ended.exit_code()), (Failed, Some(3)));
    assert_eq!(run.order(), ["before", "main", "after"], "{prelude}");
    let is_file = fs::symlink_metadata(run.sandbox.path().join("executor.log"));
    let is_file = is_file.is_ok_and(|data| data.is_file());
    let stderr = run.sandbox.read("stderr");
    let is_told = stderr.contains("continuing without a log");
    assert_eq!(
        is_told,
        !is_file || prelude.contains("ln "),
        "{prelude}: {stderr}"
    );
    match is_file {
        true => run.sandbox.read("executor.log"),
        false => String::new(),
    }
}

#[test]
fn a_log_that_is_not_a_regular_file_blocks_nothing_and_is_not_written() {
    for prelude in [
        "mkfifo executor.log",
        "mkfifo executor.log; exec 3<> executor.log",
        "mkfifo fifo; ln -s fifo executor.log",
        "mkdir executor.log",
        "ln -s /dev/null executor.log",
        "ln -s nowhere executor.log",
        "ln -s executor.log executor.log",
    ] {
        assert_eq!(with_log(prelude), "", "{prelude}");
    }
}

#[test]
fn a_link_cannot_lead_the_log_out_of_the_sandbox() {
    let outside = std::env::temp_dir().join(format!("cook-outside-{}", std::process::id()));
    for link in ["ln -s", "ln"] {
        fs::write(&outside, "theirs\n").expect("a file of ours");
        let text = with_log(&format!("{link} {} executor.log", outside.display()));
        assert!(text.is_empty() || text == "theirs\n", "{link}: {text}");
        let theirs = fs::read_to_string(&outside).expect("a file of ours");
        assert_eq!(theirs, "theirs\n", "{link}");
        fs::remove_file(&outside).expect("a file of ours");
    }
}

#[test]
fn an_existing_log_of_any_size_is_continued() {
    let text = with_log("head -c 3000000 /dev/zero > executor.log");
    assert!(text.contains("TASK_FAILED"), "the end is logged");
}

/// Connects this many times, each time as another one of these users, and waits for the refusal.
fn connect_often(target: &Target, users: &[u32], times: usize) {
    for user in users.iter().cycle().take(times) {
        as_user(*user, || {
            let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port)) else {
                return;
            };
            // There may be a response or a reset at any time.
            let _ = stream.write_all(target.get().as_bytes());
            let _ = stream.read(&mut [0]);
        });
    }
}

#[test]
fn lines_caused_by_other_users_have_a_share_and_a_rate_limit_at_every_level() {
    if !is_root("lines_caused_by_other_users_have_a_share_and_a_rate_limit_at_every_level") {
        return;
    }
    for level in ["INFO", "DEBUG"] {
        let setup = Setup::new()
            .prelude(AS_TASK_USER)
            .variable("EXECUTOR_LOG_LEVEL", level);
        let target = Target::with(setup, json!({"after_commands": [hook(say("after"))]}));
        connect_often(&target, &[OTHER_USER, THIRD_USER], 400);
        target.let_go();
        let log = target.run.sandbox.read("executor.log");
        let about_others = log.lines().filter(|line| line.contains("WARN")).count();
        // Twenty lines immediately, and one per second: even a slow machine needs less than a minute.
        assert!((2..80).contains(&about_others), "{about_others}: {log}");
        assert!(log.contains("lines lost before this one"), "{log}");
        assert!(log.contains("TASK_FINISHED"), "{log}");
    }
}

#[test]
fn the_end_is_logged_after_any_number_of_debug_lines() {
    let setup = Setup::new().variable("EXECUTOR_LOG_LEVEL", "DEBUG");
    let target = Target::with(setup, json!({"after_commands": [hook(say("after"))]}));
    let mut talk = target.connect();
    for _ in 0..8000 {
        talk.say(&target.get());
        talk.hear();
    }
    target.let_go();
    let log = target.run.sandbox.read("executor.log");
    assert!(log.len() < 2 << 20, "{}", log.len());
    for told in [
        "lines lost before this one",
        "TASK_FINISHED uuid=",
        "acknowledged TASK_FINISHED",
        "exiting with status 0",
    ] {
        assert!(log.contains(told), "{told}");
    }
}

#[test]
fn a_log_that_is_removed_later_is_not_opened_again() {
    let run = Setup::new().launch_observed(json!({
        "command": format!("{}; {}", say("main"), wait_for_word("go")),
    }));
    run.wait_for_word("main");
    let log = run.sandbox.path().join("executor.log");
    fs::remove_file(&log).expect("it is there");
    std::os::unix::fs::symlink("/dev/null", &log).expect("its name is free");
    run.say("go");
    assert_eq!(run.finish_alone().state, Finished);
}

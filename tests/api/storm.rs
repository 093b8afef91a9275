//! Many PATCH requests in a short time: they affect neither the task, nor a kill, nor the agent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{TASK, Target};
use cook_mesos::messages::TaskState::{Finished, Killed};
use serde_json::Value;

/// The number of requests, of connections, and of pipelined requests on each connection.
const PATCHES: usize = 10_000;
const CONNECTIONS: usize = 4;
const PIPELINE: usize = 50;

/// The default interval of progress messages.
const INTERVAL: Duration = Duration::from_secs(1);

const APPLIED: &[u8] = b"HTTP/1.1 204 ";

/// Sends requests until there are enough, or `stop` is set. Returns how many were applied.
fn storm(target: &Target, enough: usize, stop: &AtomicBool) -> usize {
    let applied = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, target.port)).expect("listening");
                while !stop.load(Ordering::Relaxed) && applied.load(Ordering::Relaxed) < enough {
                    match batch(target, &mut stream) {
                        PIPELINE => applied.fetch_add(PIPELINE, Ordering::Relaxed),
                        some => return applied.fetch_add(some, Ordering::Relaxed),
                    };
                }
                0
            });
        }
    });
    applied.into_inner()
}

/// Sends one pipeline of requests. Returns how many were applied. All responses have the same length.
fn batch(target: &Target, stream: &mut TcpStream) -> usize {
    let patches: String = (0..PIPELINE)
        .map(|n| target.patch(&format!("{{progress: {}, message: 'step {n}'}}", n % 90)))
        .collect();
    if stream.write_all(patches.as_bytes()).is_err() {
        return 0;
    }
    let mut answers = Vec::new();
    let mut buffer = [0; 4096];
    let count = |answers: &[u8]| {
        let heads = answers.windows(4).filter(|bytes| bytes == b"\r\n\r\n");
        heads.count()
    };
    while count(&answers) < PIPELINE {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => answers.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    answers
        .windows(APPLIED.len())
        .filter(|bytes| *bytes == APPLIED)
        .count()
}

fn percents(target: &Target) -> Vec<i64> {
    let messages = target.run.agent.inspect(|journal| journal.messages());
    let percents = messages.iter().filter_map(|m| m.get("progress-percent"));
    percents.filter_map(Value::as_i64).collect()
}

#[test]
fn of_many_requests_few_values_are_sent_no_memory_is_kept_and_the_last_value_arrives() {
    let target = Target::new();
    // Warm up, so that memory for the first requests is not counted.
    storm(&target, 200, &AtomicBool::new(false));
    let before = target.anonymous_memory();
    let began = Instant::now();
    assert!(storm(&target, PATCHES, &AtomicBool::new(false)) >= PATCHES);
    let took = began.elapsed();
    println!("{PATCHES} PATCHes in {took:?}");
    let grown = target.anonymous_memory().saturating_sub(before);
    assert!(grown < 300, "{grown} kB more");
    assert_eq!(target.threads(), 2);
    assert_eq!(
        target
            .patch_bytes(b"{progress: 99.5, message: 'the last'}")
            .status,
        204
    );
    let sent = percents(&target).len() as u32;
    // One immediately, and one for each interval that has begun; the warm-up used some, too.
    let most = (began.elapsed().as_secs() / INTERVAL.as_secs()) as u32 + 3;
    assert!(sent <= most, "{sent} messages in {took:?}");
    let ended = target.let_go();
    assert_eq!(ended.state, Finished);
    assert_eq!(ended.data["progress"].as_f64(), Some(99.5));
    assert_eq!(ended.message, "the last");
    assert_eq!(percents(&target).last(), Some(&100), "half to even");
}

#[test]
fn a_kill_during_many_requests_takes_effect_immediately() {
    let target = Target::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let storm = scope.spawn(|| storm(&target, usize::MAX, &stop));
        // The requests are running when their values arrive.
        target.run.wait_until("a progress message", |journal| {
            journal
                .messages()
                .iter()
                .any(|m| m.get("progress-percent").is_some())
        });
        let killed = Instant::now();
        target.run.agent.kill(TASK, None);
        target
            .run
            .wait_until("the end", |journal| journal.terminal_of(TASK).is_some());
        let took = killed.elapsed();
        stop.store(true, Ordering::Relaxed);
        println!("killed in {took:?}");
        // The grace period is 5 seconds, and nothing waits for it.
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert!(storm.join().expect("no panic") > 0);
    });
    assert_eq!(target.run.finish().state, Killed);
}

//! The event stream: heartbeats, held and invalid responses, and events in pieces.

use std::time::Duration;

use cook_mesos::scheduler::{CallType, EventType, TaskState};
use cook_test_master::journal::{Entry, Journal, What};
use cook_test_master::script::{Splitting, Trouble};
use cook_test_master::{Heartbeats, events};

use crate::server::Server;
use crate::stage::{AGENT, Stage, check, framework, master};

const JOB: &str = r#"{"command": "true", "max_retries": 3}"#;

#[test]
fn five_missing_heartbeats_end_a_subscription() {
    let stage = Stage::with(Heartbeats::Never(0.1), crate::stage::USUAL, "");
    let id = stage.master.framework();
    // The connection stays open.
    let third = stage.master.subscribed(3);
    assert_eq!(third.call.framework_id.map(|id| id.value), id);
    let times = stage
        .master
        .inspect(|journal| journal.times(CallType::Subscribe));
    assert!(
        times[1] - times[0] >= Duration::from_millis(400),
        "some heartbeats may be late: {times:?}"
    );
}

#[test]
fn heartbeats_keep_a_subscription() {
    let stage = Stage::with(Heartbeats::Every(0.1), crate::stage::USUAL, "");
    let beats = |journal: &Journal| {
        let is_beat =
            |entry: &&Entry| matches!(&entry.what, What::Sent(event) if event == "HEARTBEAT");
        let count = journal.entries().iter().filter(is_beat).count();
        (count >= 20).then_some(())
    };
    stage.master.wait_until("20 heartbeats", beats);
    let count = stage
        .master
        .inspect(|journal| journal.calls(CallType::Subscribe, 0).count());
    assert_eq!(count, 1);
}

#[test]
fn a_frozen_master_is_noticed_and_subscribed_with_again() {
    let stage = Stage::with(Heartbeats::Every(0.1), crate::stage::USUAL, "");
    let (uuid, task) = stage.run(JOB);
    stage.master.freeze();
    stage.server.submit_one(JOB);
    stage
        .master
        .wait_until("the end of a stream that says nothing", |journal| {
            let is_end = |entry: &Entry| matches!(entry.what, What::StreamEnded(true));
            journal.entries().iter().any(is_end).then_some(())
        });
    assert_eq!(stage.server.job(&uuid)["status"], "running");
    let mark = stage.master.mark();
    stage.master.thaw();
    stage.resubscribed(mark);
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn a_held_response_to_subscribe_does_not_block_the_api() {
    let master = master(Heartbeats::Usual);
    master.trouble(CallType::Subscribe, Trouble::Hold);
    let server = framework(&master.address().to_string());
    master.subscribed(1);
    let uuid = server.submit_one(JOB);
    assert_eq!(server.job(&uuid)["status"], "waiting");
    // A master that is busy with a failover may take half a minute. There is no second attempt.
    master.release();
    master.called(CallType::Revive);
    let count = master.inspect(|journal| journal.calls(CallType::Subscribe, 0).count());
    assert_eq!(count, 1);
    check(&master);
}

#[test]
fn events_may_arrive_byte_by_byte() {
    let stage = Stage::new();
    stage.master.split(Splitting::Bytes);
    let (uuid, task) = stage.run(JOB);
    let mark = stage.master.mark();
    stage.master.reset_stream();
    stage.resubscribed(mark);
    stage
        .master
        .report_end(&task, TaskState::Failed, r#"{"exit_code": 3}"#);
    let job = stage.until_status(&uuid, "failed");
    assert_eq!(job["instances"][0]["exit_code"], 3);
}

#[test]
fn an_invalid_record_length_ends_the_subscription_only() {
    let garbage: [&[u8]; 5] = [
        b"99999999999999999999\n",
        b"67108865\nx",
        b"-1\n",
        b"hello\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ];
    for bytes in garbage {
        let stage = Stage::new();
        let (uuid, task) = stage.run(JOB);
        let mark = stage.master.mark();
        stage.master.send_raw_bytes(bytes);
        stage.resubscribed(mark);
        stage.master.report(&task, TaskState::Finished);
        stage.until_status(&uuid, "success");
        let rss = memory(&stage.server);
        assert!(rss < 64 << 20, "{rss} bytes in use");
    }
}

/// The resident memory of the scheduler in bytes.
fn memory(server: &Server) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|text| text.parse::<u64>().ok())
        .expect("a number")
        << 10
}

#[test]
fn invalid_responses_to_subscribe_are_retried() {
    let master = master(Heartbeats::Usual);
    for trouble in [
        Trouble::Bytes(b"99999999999999999999\n".to_vec()),
        Trouble::Reset,
        Trouble::LoseReply,
    ] {
        master.trouble(CallType::Subscribe, trouble);
    }
    let server = framework(&master.address().to_string());
    let uuid = server.submit_one(JOB);
    master.called(CallType::Revive);
    master.offer(&[AGENT]);
    master.launched(1);
    assert_eq!(
        server.job(&uuid)["instances"].as_array().map(Vec::len),
        Some(1)
    );
    check(&master);
}

#[test]
fn unknown_and_unreadable_events_are_skipped() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    for kind in [
        EventType::InverseOffers,
        EventType::RescindInverseOffer,
        EventType::UpdateOperationStatus,
        EventType::Unknown,
    ] {
        stage.master.send(&events::of_kind(kind));
    }
    let later = cook_mesos::scheduler::Event {
        kind: Some(99),
        ..cook_mesos::scheduler::Event::default()
    };
    stage.master.send(&later);
    stage.master.send_raw_bytes(b"3\n\xff\xff\xff");
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
    let count = stage
        .master
        .inspect(|journal| journal.calls(CallType::Subscribe, 0).count());
    assert_eq!(count, 1);
}

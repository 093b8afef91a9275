//! Masters, subscriptions, and the framework's id.

use cook_mesos::scheduler::{CallType, CapabilityType, TaskState};
use cook_test_master::journal::{Called, What};
use cook_test_master::script::{Leader, Trouble};
use cook_test_master::{Heartbeats, Master, events};

use crate::server::{Folder, Server, wait_for};
use crate::stage::{AGENT, Stage, check, configuration, framework, master};

const JOB: &str = r#"{"command": "true", "max_retries": 3}"#;

fn frameworks_id(subscribe: &Called) -> Option<String> {
    let id = subscribe.call.framework_id.as_ref();
    id.map(|id| id.value.clone())
}

/// The number of calls other than SUBSCRIBE, from this entry of the journal on.
fn other_calls(master: &Master, from: usize) -> usize {
    let kinds = [
        CallType::Teardown,
        CallType::Accept,
        CallType::Decline,
        CallType::Revive,
        CallType::Kill,
        CallType::Shutdown,
        CallType::Acknowledge,
        CallType::Reconcile,
        CallType::Message,
        CallType::Suppress,
    ];
    master.inspect(|journal| {
        let count = |kind: &CallType| journal.calls(*kind, from).count();
        kinds.iter().map(count).sum()
    })
}

#[test]
fn subscribe_has_the_frameworks_name_user_timeout_and_capabilities() {
    let stage = Stage::with(
        Heartbeats::Usual,
        ":run-as-user \"nobody\" :framework-name \"Kitchen\" :failover-timeout 1000000",
        "",
    );
    let first = stage.master.subscribed(1);
    assert_eq!(frameworks_id(&first), None);
    assert_eq!(first.stream, None);
    let subscribe = first.call.subscribe.expect("its own part");
    let info = subscribe.framework_info;
    assert_eq!(info.name, "Kitchen");
    assert!(!info.user.is_empty());
    assert_eq!(info.checkpoint, Some(true));
    assert_eq!(info.failover_timeout, Some(1e6), "seconds");
    assert_eq!(
        (info.roles.as_slice(), &info.role),
        (&["*".to_owned()][..], &None)
    );
    let has = |wanted: CapabilityType| info.capabilities.iter().any(|it| it.kind() == wanted);
    for wanted in [
        CapabilityType::PartitionAware,
        CapabilityType::MultiRole,
        CapabilityType::ReservationRefinement,
        CapabilityType::TaskKillingState,
    ] {
        assert!(has(wanted), "{wanted:?}");
    }
    assert!(!has(CapabilityType::GpuResources));
}

#[test]
fn the_failover_timeout_is_a_week_by_default() {
    let stage = Stage::new();
    let subscribe = stage.master.subscribed(1).call.subscribe;
    let timeout = subscribe
        .expect("its own part")
        .framework_info
        .failover_timeout;
    assert!(
        timeout.is_some_and(|seconds| seconds >= 7.0 * 86_400.0),
        "{timeout:?}"
    );
}

#[test]
fn redirects_are_followed_with_every_form_of_location() {
    for form in [
        "//ADDRESS/api/v1/scheduler",
        "http://ADDRESS/api/v1/scheduler",
        "//ADDRESS",
        "ADDRESS",
        "ADDRESS/api/v1/scheduler",
    ] {
        let (leader, follower) = (master(Heartbeats::Usual), master(Heartbeats::Usual));
        let location = form.replace("ADDRESS", &leader.address().to_string());
        follower.set_leader(Leader::At(location));
        let server = framework(&follower.address().to_string());
        leader.called(CallType::Suppress);
        assert_eq!(other_calls(&follower, 0), 0, "{form}");
        drop(server);
        check(&leader);
        check(&follower);
    }
}

#[test]
fn masters_that_redirect_to_each_other_are_asked_with_pauses() {
    let (first, second) = (master(Heartbeats::Usual), master(Heartbeats::Usual));
    let to = |other: &Master| Leader::At(format!("//{}/api/v1/scheduler", other.address()));
    first.set_leader(to(&second));
    second.set_leader(to(&first));
    let masters = format!("{},{}", first.address(), second.address());
    let _server = framework(&masters);
    first.subscribed(3);
    first.set_leader(Leader::Us);
    first.called(CallType::Suppress);
    let times = first.inspect(|journal| journal.times(CallType::Subscribe));
    let (start, end) = (times[0], times[times.len() - 1]);
    // Fewer than ten per second.
    let most = 10 * (1 + (end - start).as_secs() as usize);
    assert!(times.len() < most, "{times:?}");
}

#[test]
fn a_redirected_call_leads_to_a_subscription_with_the_new_leader() {
    let stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    // The agent and its task have registered with the new leader already.
    let new = master(Heartbeats::Usual);
    new.with_cluster(|cluster| cluster.launch(&task));
    let location = format!("//{}/api/v1/scheduler", new.address());
    stage.master.set_leader(Leader::At(location));
    // The redirected call belongs to the old subscription, so it is not repeated.
    stage.server.submit_one(JOB);
    let subscribe = new.subscribed(1);
    assert_eq!(frameworks_id(&subscribe), stage.master.framework());
    new.called(CallType::Reconcile);
    new.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
    new.acknowledged(&task);
    check(&new);
}

#[test]
fn the_leader_is_found_among_several_masters() {
    let [gone, undecided, leader] = [0; 3].map(|_| master(Heartbeats::Usual));
    gone.go_away();
    undecided.set_leader(Leader::Nobody);
    let addresses = [&gone, &undecided, &leader].map(|master| master.address().to_string());
    let _server = framework(&addresses.join(","));
    leader.called(CallType::Suppress);
    undecided.subscribed(1);
    assert_eq!(other_calls(&undecided, 0), 0);
    check(&leader);
}

#[test]
fn a_503_is_retried_and_the_api_works_meanwhile() {
    let master = master(Heartbeats::Usual);
    master.set_leader(Leader::Nobody);
    let server = framework(&master.address().to_string());
    // The API works meanwhile.
    let uuid = server.submit_one(JOB);
    assert_eq!(server.job(&uuid)["status"], "waiting");
    master.subscribed(3);
    master.set_leader(Leader::Us);
    master.called(CallType::Revive);
}

#[test]
fn refusals_are_logged_and_retried() {
    let master = master(Heartbeats::Usual);
    master.trouble(
        CallType::Subscribe,
        Trouble::Refuse(403, "Not authorized to use role '*'"),
    );
    master.trouble(
        CallType::Subscribe,
        Trouble::Error("Framework user is not authorized"),
    );
    let server = framework(&master.address().to_string());
    master.called(CallType::Suppress);
    let log = server.log();
    assert!(log.contains("Not authorized to use role"), "{log}");
    assert!(log.contains("Framework user is not authorized"), "{log}");
}

#[test]
fn credentials_are_sent_with_every_call_and_never_logged() {
    let master = master(Heartbeats::Usual);
    master.demand_login("cook", "pepper");
    let folder = Folder::new();
    let address = master.address().to_string();
    let start = |folder, secret: &str| {
        let mesos = format!(":run-as-user \"nobody\" :principal \"cook\" :secret \"{secret}\"");
        let config = configuration(&folder, &mesos, "");
        Server::framework(folder, &["--config", &config, "--master", &address])
    };
    let wrong = start(Folder::new(), "salt");
    wait_for("a line about it", || {
        wrong.log().contains("401").then_some(())
    });
    let log = wrong.log();
    assert!(
        log.contains("Could not authenticate") && !log.contains("salt"),
        "{log}"
    );
    drop(wrong);
    let mark = master.mark();
    let server = start(folder, "pepper");
    server.submit_one(JOB);
    master.called_after(mark, CallType::Revive, |_| true);
    let subscribe = master.called_after(mark, CallType::Subscribe, |_| true);
    let info = subscribe
        .call
        .subscribe
        .expect("its own part")
        .framework_info;
    assert_eq!(info.principal.as_deref(), Some("cook"));
    let log = server.log();
    assert!(!log.contains("pepper") && !log.contains("Y29v"), "{log}");
    check(&master);
}

#[test]
fn all_calls_of_a_subscription_have_its_stream_id_and_use_one_connection() {
    let stage = Stage::new();
    let (_, task) = stage.run(JOB);
    let mark = stage.master.mark();
    stage.master.reset_stream();
    stage.resubscribed(mark);
    stage.master.report(&task, TaskState::Finished);
    stage.master.acknowledged(&task);
    let calls: Vec<_> = stage.master.inspect(|journal| {
        let entries = journal.entries().iter();
        let calls = entries.filter_map(|entry| match &entry.what {
            What::Called(called) => Some((**called).clone()),
            _ => None,
        });
        calls.collect()
    });
    let subscriptions: Vec<_> = calls
        .iter()
        .enumerate()
        .filter(|(_, called)| called.call.kind() == CallType::Subscribe)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(subscriptions.len(), 2);
    for (number, range) in [
        (1, subscriptions[0] + 1..subscriptions[1]),
        (2, subscriptions[1] + 1..calls.len()),
    ] {
        let calls = &calls[range];
        let stream = calls[0].stream.clone().expect("a stream id");
        assert!(stream.ends_with(&format!("-stream-{number}")), "{stream}");
        for called in calls {
            assert_eq!(called.stream.as_ref(), Some(&stream), "{called}");
            assert_eq!(called.connection, calls[0].connection, "{called}");
        }
    }
}

#[test]
fn a_call_refused_for_its_stream_leads_to_a_new_subscription() {
    for (status, text) in [
        (
            400,
            "The stream ID 'x' included in this request didn't match the stream ID currently associated",
        ),
        (403, "Framework is not subscribed"),
        (400, "Framework cannot be found"),
    ] {
        let stage = Stage::new();
        let mark = stage.master.mark();
        stage
            .master
            .trouble(CallType::Revive, Trouble::Refuse(status, text));
        let uuid = stage.server.submit_one(JOB);
        stage.resubscribed(mark);
        let task = stage.offer_once();
        assert!(task.name.contains("bob"), "{text}: {}", task.name);
        assert_eq!(stage.server.job(&uuid)["status"], "running");
    }
}

#[test]
fn the_framework_id_is_stored_before_the_first_accept() {
    let mut stage = Stage::new();
    stage.master.trouble(CallType::Accept, Trouble::Hold);
    let uuid = stage.server.submit_one(JOB);
    stage.master.offer(&[AGENT]);
    let [task] = stage.master.launched(1).try_into().expect("one");
    let id = stage.master.framework();
    stage.restart();
    let second = stage.master.subscribed(2);
    assert_eq!(frameworks_id(&second), id);
    let named = second.call.subscribe.expect("its own part");
    assert_eq!(named.framework_info.id.map(|id| id.value), id);
    // The task is in the store, so it is reconciled. The master does not know it.
    stage.master.called_after(0, CallType::Reconcile, |call| {
        let asked = call.reconcile.iter().flat_map(|it| &it.tasks);
        asked.into_iter().any(|it| it.task_id == task.task_id)
    });
    let job = stage.server.until(&uuid, "free again", |job| {
        job["instances"][0]["status"] == "failed"
    });
    assert_eq!(job["instances"][0]["reason_mea_culpa"], true, "{job:#}");
    let again = stage.offer_once();
    assert_ne!(again.task_id, task.task_id);
}

#[test]
fn sigterm_sends_no_call_and_the_next_start_has_the_same_id() {
    let mut stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let id = stage.master.framework();
    let mark = stage.master.mark();
    stage.server.signal("-TERM");
    assert_eq!(stage.server.wait().code(), Some(0));
    assert_eq!(other_calls(&stage.master, mark), 0);
    stage.server.restart();
    assert_eq!(frameworks_id(&stage.master.subscribed(2)), id);
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn a_removed_framework_gives_up_its_tasks_and_subscribes_anew() {
    let mut stage = Stage::new();
    let (uuid, first) = stage.run(JOB);
    let old = stage.master.framework();
    stage.master.remove_framework();
    stage.master.close_stream();
    let ended = stage.server.until(&uuid, "written off", |job| {
        job["instances"][0]["status"] == "failed"
    });
    assert_eq!(ended["instances"][0]["reason_code"], 5000, "{ended:#}");
    assert_eq!(ended["retries_remaining"], 3, "it costs nothing");
    assert_eq!(frameworks_id(&stage.master.subscribed(2)), old);
    assert_eq!(frameworks_id(&stage.master.subscribed(3)), None);
    wait_for("the new id", || {
        stage
            .master
            .framework()
            .filter(|id| Some(id) != old.as_ref())
    });
    let second = stage.offer_once();
    assert_ne!(second.task_id, first.task_id);
    stage.restart();
    assert_eq!(
        frameworks_id(&stage.master.subscribed(4)),
        stage.master.framework(),
        "the new id is the one that is kept"
    );
}

#[test]
fn a_framework_that_failed_over_exits_and_changes_nothing() {
    let mut stage = Stage::new();
    let (uuid, task) = stage.run(JOB);
    let mark = stage.master.mark();
    stage.master.send(&events::error("Framework failed over"));
    stage.master.close_stream();
    assert_eq!(stage.server.wait().code(), Some(1));
    assert!(
        stage.server.log().contains("another scheduler"),
        "{}",
        stage.server.log()
    );
    assert_eq!(
        stage
            .master
            .inspect(|journal| { journal.calls(CallType::Subscribe, mark).count() }),
        0
    );
    assert_eq!(other_calls(&stage.master, mark), 0);
    // The job is unchanged at the next start.
    stage.server.restart();
    assert_eq!(stage.server.job(&uuid)["instances"][0]["status"], "running");
    stage.master.report(&task, TaskState::Finished);
    stage.until_status(&uuid, "success");
}

#[test]
fn every_subscription_repeats_suppress_or_revive() {
    let stage = Stage::new();
    let mark = stage.master.mark();
    stage.master.reset_stream();
    stage
        .master
        .called_after(mark, CallType::Suppress, |_| true);
    let uuid = stage.server.submit_one(JOB);
    stage.master.called_after(mark, CallType::Revive, |_| true);
    let mark = stage.master.mark();
    stage.master.cut_stream();
    stage.master.called_after(mark, CallType::Revive, |_| true);
    assert_eq!(stage.server.job(&uuid)["status"], "waiting");
}

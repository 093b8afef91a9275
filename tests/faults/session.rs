//! The session with the agent: subscriptions, updates and acknowledgements with faults, and every event
//! that an agent can send.

use std::time::Duration;

use crate::support::sandbox::Sandbox;
use crate::support::{Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::{
    Event,
    TaskState::{Error, Failed, Finished, Killed, Running, Starting},
};
use cook_mesos::recordio;
use cook_test_agent::agent::Agent;
use cook_test_agent::connection::Transport;
use cook_test_agent::events;
use cook_test_agent::journal::{What, state_name};
use cook_test_agent::script::{Splitting, Trouble};
use prost::Message;
use serde_json::{Value, json};

/// A task that waits for the word `go`, and writes `done` when only the report is left.
fn waiting_job() -> Value {
    json!({"command": wait_for_word("go"), "after_commands": [hook(say("done"))]})
}

/// A run whose task is waiting, with all acknowledgements so far sent.
fn waiting_run() -> Run {
    let run = Run::start(waiting_job());
    wait_for_acknowledgements(&run, 2);
    run
}

fn wait_for_acknowledgements(run: &Run, count: usize) {
    run.wait_until(&format!("{count} acknowledgements"), |journal| {
        let sent = journal.entries().iter().filter(
            |entry| matches!(&entry.what, What::Sent(event) if event.starts_with("ACKNOWLEDGED")),
        );
        sent.count() >= count
    });
}

/// A run whose task is waiting, with unacknowledged updates.
fn unacknowledged_run() -> Run {
    let run = Setup::new().start_with(|agent| agent.hold_acknowledgements());
    run.launch(TASK, &waiting_job());
    run.wait_for(Running);
    run
}

/// The unacknowledged tasks and states in the subscription with this number.
fn listed(run: &Run, number: usize) -> (Vec<String>, Vec<&'static str>) {
    run.agent.inspect(|journal| {
        let subscription = journal.subscriptions()[number].clone();
        let updates = subscription.updates.iter();
        let states = updates.map(|status| state_name(status.state())).collect();
        (subscription.tasks, states)
    })
}

/// Lets the waiting task continue, and checks that everything about it arrives.
#[track_caller]
fn check_end(run: &Run) {
    run.say("go");
    let ended = run.finish();
    assert_eq!(
        ended.states,
        [Starting, Running, Finished],
        "{}",
        run.transcript()
    );
}

#[test]
fn the_first_subscription_lists_nothing() {
    let run = waiting_run();
    assert_eq!(listed(&run, 0), (vec![], vec![]));
    check_end(&run);
}

#[test]
fn after_a_clean_close_nothing_acknowledged_is_repeated() {
    let run = waiting_run();
    run.agent.close_stream();
    run.wait_for_subscriptions(2);
    assert_eq!(listed(&run, 1), (vec![], vec![]));
    check_end(&run);
}

#[track_caller]
fn check_everything_unacknowledged_is_listed_after(end_stream: fn(&Agent)) {
    let run = unacknowledged_run();
    end_stream(&run.agent);
    run.wait_for_subscriptions(2);
    let wanted = (vec![TASK.to_owned()], vec!["TASK_STARTING", "TASK_RUNNING"]);
    assert_eq!(listed(&run, 1), wanted);
    run.agent.release_acknowledgements();
    check_end(&run);
}

#[test]
fn after_a_clean_close_everything_unacknowledged_is_listed_in_order() {
    check_everything_unacknowledged_is_listed_after(Agent::close_stream);
}

#[test]
fn after_a_reset_everything_unacknowledged_is_listed_in_order() {
    check_everything_unacknowledged_is_listed_after(Agent::reset_stream);
}

#[test]
fn a_stream_that_ends_within_a_record_leads_to_a_new_subscription() {
    let run = waiting_run();
    run.agent.cut_stream();
    run.wait_for_subscriptions(2);
    check_end(&run);
}

#[test]
fn a_stream_that_is_not_recordio_leads_to_a_new_subscription() {
    for garbage in ["not a length\n", "-1\n", "99999999999999999999999\n", "\n"] {
        let run = waiting_run();
        run.agent.send_raw_bytes(garbage.as_bytes());
        run.wait_for_subscriptions(2);
        check_end(&run);
    }
}

#[test]
fn an_agent_that_comes_back_gets_everything_that_happened_meanwhile() {
    let run = waiting_run();
    run.agent.go_away();
    run.say("go");
    run.wait_for_word("done");
    run.agent.come_back().unwrap();
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Running, Finished]);
    // Cook gets the exit code of a command only from this message.
    let messages = run.agent.inspect(|journal| journal.messages());
    let exit_code = json!({"exit-code": 0, "task-id": TASK});
    assert!(messages.contains(&exit_code), "{}", run.transcript());
}

#[test]
fn an_agent_that_comes_back_and_is_not_ready_yet_is_asked_again() {
    let run = unacknowledged_run();
    run.agent.go_away();
    run.agent.refuse_subscribes(404, 1);
    run.agent.refuse_subscribes(503, 2);
    run.agent.refuse_calls(503, 2);
    run.agent.come_back().unwrap();
    run.wait_for_subscriptions(2);
    run.agent.release_acknowledgements();
    check_end(&run);
    assert_eq!(run.agent.inspect(|journal| journal.refused(404)), 1);
}

#[test]
fn an_agent_that_is_not_running_yet_is_waited_for() {
    let run = Setup::new().start_with(|agent| agent.go_away());
    let early = run.executor.wait(Duration::from_millis(300));
    assert_eq!(early, None, "it gave up");
    run.agent.come_back().unwrap();
    run.launch(TASK, &waiting_job());
    check_end(&run);
}

#[test]
fn updates_that_the_agent_cannot_accept_are_sent_again_in_order() {
    for status in [503, 500] {
        let run = Setup::new().start();
        run.wait_for_subscriptions(1);
        run.agent.refuse_calls(status, 2);
        run.launch(TASK, &waiting_job());
        run.wait_for(Running);
        check_end(&run);
        assert_eq!(run.agent.inspect(|journal| journal.refused(status)), 2);
    }
}

#[test]
fn an_update_whose_response_is_lost_is_sent_again_with_its_uuid() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.agent.trouble_calls(Trouble::LoseReply, 1);
    run.launch(TASK, &waiting_job());
    run.wait_for(Running);
    check_end(&run);
}

#[test]
fn a_reset_during_a_call_loses_nothing() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.agent.trouble_calls(Trouble::Reset, 1);
    run.launch(TASK, &waiting_job());
    run.wait_for(Running);
    check_end(&run);
}

#[test]
fn an_agent_that_hangs_does_not_delay_the_task() {
    let run = waiting_run();
    run.agent.hang();
    run.say("go");
    run.wait_for_word("done");
    run.agent.resume();
    assert_eq!(run.finish().state, Finished);
}

#[test]
fn a_kill_is_obeyed_while_calls_hang() {
    let run = Run::start(json!({
        "command": format!("{}; sleep 600", say("main")),
        "after_commands": [hook(say("done"))],
    }));
    run.wait_for_word("main");
    run.wait_for(Running);
    run.agent.hang();
    run.agent.kill(TASK, None);
    run.wait_for_word("done");
    run.agent.resume();
    assert_eq!(run.finish().state, Killed);
}

#[test]
fn the_executor_stays_until_the_terminal_update_is_acknowledged() {
    let run = unacknowledged_run();
    run.say("go");
    run.wait_for(Finished);
    assert_eq!(run.executor.wait(Duration::from_millis(100)), None);
    // The acknowledgement that was under way is lost with the stream.
    run.agent.close_stream();
    run.wait_for_subscriptions(2);
    let (_, states) = listed(&run, 1);
    assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(run.executor.wait(Duration::ZERO), None);
    run.agent.release_acknowledgements();
    assert_eq!(run.finish().states, [Starting, Running, Finished]);
}

#[test]
fn acknowledgements_may_be_repeated_unknown_or_early() {
    let run = Setup::new().start_with(|agent| agent.acknowledge_first());
    run.agent.launch(run.task(TASK, &waiting_job()));
    run.wait_for(Running);
    let uuids: Vec<Vec<u8>> = run.agent.inspect(|journal| {
        let updates = journal.updates();
        updates.filter_map(|status| status.uuid.clone()).collect()
    });
    for uuid in &uuids {
        run.agent.acknowledge(TASK, uuid);
        run.agent.acknowledge("another-task", uuid);
    }
    run.agent.acknowledge(TASK, &[9; 16]);
    run.agent.acknowledge(TASK, b"short");
    run.agent.acknowledge(TASK, b"");
    check_end(&run);
}

#[test]
fn records_may_arrive_byte_by_byte() {
    let run = Setup::new().start_with(|agent| agent.split(Splitting::Bytes));
    run.launch(TASK, &waiting_job());
    run.wait_for(Running);
    check_end(&run);
}

#[test]
fn many_records_may_arrive_together_including_unknown_ones() {
    let run = waiting_run();
    let later = Event {
        kind: Some(99),
        ..events::launch(run.task("task-of-the-future", &json!({})))
    };
    let records = [
        events::heartbeat().encode_to_vec(),
        // An empty record, and one that is not an event.
        Vec::new(),
        vec![0xff; 7],
        events::of_unknown_type(99).encode_to_vec(),
        later.encode_to_vec(),
        // Types without their contents.
        vec![8, 2],
        vec![8, 3],
        vec![8, 4],
        vec![8, 8],
        events::message(b"for nobody").encode_to_vec(),
        events::kill(TASK, None).encode_to_vec(),
    ];
    let bytes: Vec<u8> = records.iter().flat_map(|r| recordio::encode(r)).collect();
    run.agent.send_raw_bytes(&bytes);
    // The last one is a KILL that was understood; all others were harmless.
    assert_eq!(run.finish().states, [Starting, Running, Killed]);
    assert_eq!(
        run.agent.inspect(|journal| journal.subscriptions().len()),
        1
    );
}

#[test]
fn an_error_event_is_harmless() {
    let run = waiting_run();
    run.agent.error("something is wrong here");
    check_end(&run);
}

#[test]
fn heartbeats_and_messages_of_the_framework_are_harmless() {
    let run = waiting_run();
    run.agent.heartbeat();
    run.agent.message(b"\xff\x00 not for us");
    run.agent.heartbeat();
    check_end(&run);
}

#[test]
fn a_task_may_arrive_as_a_group_of_one_with_its_own_command() {
    let run = Setup::new().start();
    let command = format!("{}; exit 3", say("main"));
    let task = events::command_task(TASK, &run.agent.config().agent_id, &command);
    run.agent.launch_group(vec![task]);
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Running, Failed]);
    assert_eq!(ended.exit_code(), Some(3));
    assert_eq!(run.order(), ["main"]);
}

#[test]
fn an_empty_group_is_harmless() {
    let run = Setup::new().start();
    run.agent.launch_group(Vec::new());
    run.wait_for_subscriptions(1);
    run.agent.shutdown();
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_shutdown_may_be_the_only_event() {
    let run = Setup::new().start_with(|agent| agent.shutdown());
    assert_eq!(run.exit_code(), Some(0));
    assert_eq!(run.agent.inspect(|journal| journal.states()), []);
}

#[test]
fn the_token_is_sent_to_the_agent_and_appears_nowhere_else() {
    let token = "eyJhbGciOiJIUzI1NiJ9.token.of-the-executor";
    let look = "env; tr '\\0' '\\n' < /proc/self/environ; set";
    let run = Setup::new()
        .agent(|config| config.token = Some(token.to_owned()))
        .launch(json!({
            "before_commands": [hook(look)],
            "command": look,
            "after_commands": [hook(look)],
        }));
    assert_eq!(run.finish().state, Finished);
    run.agent.inspect(|journal| {
        let authorization = journal.subscriptions()[0].authorization.clone();
        assert_eq!(authorization, Some(format!("Bearer {token}")));
    });
    for file in ["stdout", "stderr", "executor.log"] {
        let text = run.sandbox.read(file);
        assert!(!text.contains(token), "the token is in {file}:\n{text}");
        assert!(!text.contains("AUTHENTICATION_TOKEN="), "{file}:\n{text}");
    }
}

#[test]
fn the_agents_domain_socket_is_preferred() {
    let folder = Sandbox::new();
    let path = folder.path().join("agent.sock");
    let run = Setup::new()
        .agent(|config| config.socket = Some(path))
        .launch(waiting_job());
    run.wait_for(Running);
    let transport = run
        .agent
        .inspect(|journal| journal.subscriptions()[0].transport);
    assert_eq!(transport, Transport::Unix);
    // A restarted agent has another socket at the same path. Its address may be available a moment earlier,
    // so both are right.
    run.agent.go_away();
    run.agent.come_back().unwrap();
    run.wait_for_subscriptions(2);
    check_end(&run);
}

#[test]
fn without_the_domain_socket_in_the_container_tcp_is_used() {
    let run = Setup::new()
        .variable("MESOS_DOMAIN_SOCKET", "/nowhere/agent.sock")
        .launch(waiting_job());
    run.wait_for(Running);
    let transport = run
        .agent
        .inspect(|journal| journal.subscriptions()[0].transport);
    assert_eq!(transport, Transport::Tcp);
    check_end(&run);
}

#[test]
fn missing_variables_are_named_in_one_line_and_the_executor_exits() {
    let names = ["MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID", "MESOS_SLAVE_PID"];
    let mut setup = Setup::new().without("MESOS_AGENT_ENDPOINT");
    for name in names {
        setup = setup.without(name);
    }
    let run = setup.start();
    assert_eq!(run.exit_code(), Some(1));
    let lines = run.lines("stderr");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for name in names {
        assert!(lines[0].contains(name), "{name} is not in {lines:?}");
    }
    assert_eq!(
        run.agent.inspect(|journal| journal.subscriptions().len()),
        0
    );
}

#[test]
fn variables_that_are_not_utf_8_are_passed_to_commands_unchanged() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let run = Setup::new()
        .variable_bytes("ODD", OsStr::from_bytes(b"caf\xe9"))
        .launch(json!({"command": "printf %s \"$ODD\" | od -An -tx1 > odd"}));
    assert_eq!(run.finish().state, Finished);
    assert_eq!(run.sandbox.read("odd").trim(), "63 61 66 e9");
}

#[test]
fn a_second_launch_is_refused_and_its_acknowledgement_does_not_end_the_first_task() {
    let run = waiting_run();
    run.launch("task-2", &json!({"command": say("second")}));
    run.wait_until("the refusal of task-2", |journal| {
        journal.states_of("task-2") == [Error]
    });
    wait_for_acknowledgements(&run, 3);
    assert_eq!(run.executor.wait(Duration::from_millis(50)), None);
    check_end(&run);
    assert_eq!(run.order(), ["go", "done"]);
}

#[test]
fn a_launch_that_is_repeated_is_not_run_twice() {
    let run = waiting_run();
    run.launch(TASK, &json!({"command": say("second")}));
    check_end(&run);
    assert_eq!(run.order(), ["go", "done"]);
}

//! Invalid and unexpected records in the event stream, in each phase of a task.

use cook_mesos::messages::{
    CommandInfo, Environment, EventType, TaskInfo,
    TaskState::{Error, Finished, Killed, Starting},
    Variable,
};
use cook_mesos::recordio;
use cook_test_agent::agent::Agent;
use cook_test_agent::events;
use cook_test_agent::script::Splitting;
use prost::Message;
use serde_json::json;

use crate::delivery;
use crate::support::{Run, Setup, TASK, say};
use crate::trial::{Fault, Phase, Trial, costs_nothing, harmless, passing, setup};

/// Records that an executor can only ignore.
fn useless_records() -> Vec<Vec<u8>> {
    let empty = |kind: EventType| events::of_kind(kind).encode_to_vec();
    // KILL of a task whose id is not UTF-8.
    let kill = [&[8, 3, 0x22, 6, 0x0a, 4][..], &[0x0a, 2, 0xff, 0xfe]].concat();
    vec![
        Vec::new(),
        vec![0xff; 7],
        vec![0; 64],
        kill,
        events::heartbeat().encode_to_vec(),
        events::of_unknown_type(99).encode_to_vec(),
        events::of_unknown_type(-1).encode_to_vec(),
        empty(EventType::Unknown),
        empty(EventType::Subscribed),
        empty(EventType::Launch),
        empty(EventType::LaunchGroup),
        empty(EventType::Kill),
        empty(EventType::Acknowledged),
        empty(EventType::Message),
        events::message(&[0xff; 100]).encode_to_vec(),
        events::launch_group(Vec::new()).encode_to_vec(),
    ]
}

mod records_without_a_meaning {
    use super::*;

    // An empty group has no task, but it is a LAUNCH: before the task it would be the only one.
    costs_nothing! {
        harmless(|agent| useless_records().iter().for_each(|record| agent.send_record(record)));
        costs_nothing_in_a_before_command: InABeforeCommand,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_in_an_after_command: InAnAfterCommand,
        costs_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

mod records_that_come_all_at_once {
    use super::*;

    costs_nothing! {
        harmless(|agent| {
            let records = useless_records();
            let bytes: Vec<u8> = records.iter().flat_map(|one| recordio::encode(one)).collect();
            agent.send_raw_bytes(&bytes);
        });
        cost_nothing_in_a_before_command: InABeforeCommand,
        cost_nothing_in_the_command: InTheCommand,
        cost_nothing_in_an_after_command: InAnAfterCommand,
        cost_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

mod records_that_come_byte_by_byte {
    use super::*;

    costs_nothing!(harmless(|agent| agent.split(Splitting::Bytes)));
}

mod a_length_that_is_not_a_number {
    use super::*;

    costs_nothing!(later passing(|agent| agent.send_raw_bytes(b"many\n")));
}

mod a_length_that_is_too_long {
    use super::*;

    costs_nothing!(later passing(|agent| agent.send_raw_bytes(b"99999999999\n")));
}

mod a_huge_record_that_never_comes {
    use super::*;

    costs_nothing!(later passing(|agent| {
        agent.send_raw_bytes(b"67000000\nonly this much of it");
        agent.close_stream();
    }));
}

mod an_error_event {
    use super::*;

    costs_nothing!(later passing(|agent| agent.error("the agent is not well")));
}

mod a_kill_of_another_task {
    use super::*;

    fn kill_another(agent: &Agent) {
        agent.kill("another-task", None);
    }

    costs_nothing!(later harmless(kill_another));
}

mod a_second_launch {
    use super::*;

    fn launch_another(agent: &Agent) {
        let job = json!({"command": "echo never >> order"}).to_string();
        let agent_id = agent.config().agent_id;
        agent.launch(events::task("task-2", &agent_id, job));
    }

    const LAUNCH: Fault = Fault {
        strike: launch_another,
        heal: |run| {
            run.wait_until("the refusal of task-2", |journal| {
                journal.states_of("task-2") == [Error]
            });
        },
        costs_a_subscription: false,
    };

    costs_nothing! { LAUNCH;
        is_refused_in_a_before_command: InABeforeCommand,
        is_refused_in_the_command: InTheCommand,
        is_refused_in_an_after_command: InAnAfterCommand,
        is_refused_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

mod a_repeated_launch {
    use super::*;

    fn launch_again(agent: &Agent) {
        let job = json!({"command": "echo never >> order"}).to_string();
        let agent_id = agent.config().agent_id;
        agent.launch(events::task(TASK, &agent_id, job));
    }

    costs_nothing! { harmless(launch_again);
        costs_nothing_in_a_before_command: InABeforeCommand,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_in_an_after_command: InAnAfterCommand,
        costs_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

/// Sends KILL for a task, and then its LAUNCH.
#[track_caller]
fn check_killed_before_its_launch(run: &Run) {
    run.launch(
        TASK,
        &json!({"command": say("never"), "after_commands": []}),
    );
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Killed]);
    assert_eq!(run.order(), [""; 0]);
    delivery::check(run);
}

#[test]
fn a_task_that_is_killed_before_its_launch_does_not_run() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.agent.kill(TASK, None);
    check_killed_before_its_launch(&run);
}

#[test]
fn a_kill_before_the_launch_is_remembered_across_subscriptions() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.agent.kill(TASK, None);
    run.agent.close_stream();
    run.wait_for_subscriptions(2);
    check_killed_before_its_launch(&run);
}

#[test]
fn a_shutdown_instead_of_a_new_subscription_ends_the_task() {
    // The gates must stay: without them the command would continue.
    let trial = Trial::with(setup().grace("1secs"), Phase::InTheCommand);
    let run = &trial.run;
    run.agent.go_away();
    run.agent.shutdown();
    run.agent.come_back().expect("the port is reserved");
    // The agent responds to every SUBSCRIBE with SHUTDOWN and the end of the stream, so nothing can be
    // reported.
    assert_eq!(run.exit_code(), Some(1));
    let was_told = run.agent.inspect(|journal| journal.terminal().is_some());
    assert!(!was_told, "{}", run.transcript());
}

#[test]
fn text_that_is_not_utf_8_is_passed_on_unchanged() {
    let run = Setup::new().start();
    let odd = b"caf\xe9 \xff".to_vec();
    let job = json!({"command": "printf %s \"$ODD\" | od -An -tx1 > odd"}).to_string();
    let environment = Environment {
        variables: vec![Variable {
            name: b"ODD".to_vec(),
            value: Some(odd.clone()),
            kind: None,
        }],
    };
    run.agent.launch(TaskInfo {
        name: odd,
        command: Some(CommandInfo {
            environment: Some(environment),
            ..CommandInfo::default()
        }),
        ..events::task(TASK, &run.agent.config().agent_id, job)
    });
    assert_eq!(run.finish().state, Finished);
    assert_eq!(run.sandbox.read("odd").trim(), "63 61 66 e9 20 ff");
}

#[test]
fn a_launch_of_several_megabytes_arrives() {
    let run = Setup::new().start();
    run.launch(
        TASK,
        &json!({"command": say("main"), "padding": "x".repeat(4 << 20)}),
    );
    assert_eq!(run.finish().state, Finished);
    assert_eq!(run.order(), ["main"]);
}

//! Calls that are refused, lost or never answered, while a task goes from one phase to the next: each is a
//! message or an update.

use std::time::Instant;

use cook_mesos::messages::TaskState::{Running, Starting};
use cook_test_agent::agent::Agent;
use cook_test_agent::journal::What;
use cook_test_agent::script::Trouble;

use crate::support::Run;
use crate::trial::{Phase, Trial, costs_nothing, harmless, passing, setup};

macro_rules! costs_nothing_on_the_way {
    ($fault:expr) => {
        costs_nothing! { $fault;
            costs_nothing_in_a_before_command: InABeforeCommand,
            costs_nothing_in_the_command: InTheCommand,
            costs_nothing_in_an_after_command: InAnAfterCommand,
        }
    };
}

/// The UUIDs of the updates so far.
fn uuids(run: &Run) -> Vec<Vec<u8>> {
    run.agent.inspect(|journal| {
        let updates = journal.updates();
        updates.filter_map(|status| status.uuid.clone()).collect()
    })
}

mod calls_that_a_recovering_agent_refuses {
    use super::*;

    costs_nothing_on_the_way!(harmless(|agent| agent.refuse_calls(503, 3)));
}

mod calls_to_an_api_that_is_not_there_yet {
    use super::*;

    costs_nothing_on_the_way!(harmless(|agent| agent.refuse_calls(404, 2)));
}

mod calls_whose_handler_fails {
    use super::*;

    costs_nothing_on_the_way!(harmless(|agent| agent.refuse_calls(500, 2)));
}

mod calls_that_are_reset {
    use super::*;

    costs_nothing_on_the_way!(harmless(|agent| agent.trouble_calls(Trouble::Reset, 3)));
}

mod calls_whose_responses_are_lost {
    use super::*;

    costs_nothing_on_the_way!(harmless(|agent| agent.trouble_calls(Trouble::LoseReply, 3)));
}

mod calls_with_a_token_that_is_not_accepted_for_a_moment {
    use super::*;

    costs_nothing_on_the_way!(passing(|agent| agent.refuse_calls(401, 1)));
}

mod calls_with_claims_that_are_not_accepted_for_a_moment {
    use super::*;

    costs_nothing_on_the_way!(passing(|agent| agent.refuse_calls(403, 1)));
}

mod calls_of_an_executor_that_is_not_known_for_a_moment {
    use super::*;

    costs_nothing_on_the_way!(passing(|agent| {
        agent.trouble_calls(Trouble::Refusal(400, "Executor cannot be found"), 1);
    }));
}

mod acknowledgements_that_come_twice_and_for_nothing {
    use super::*;

    fn acknowledge_too_much(agent: &Agent) {
        let known: Vec<_> = agent.inspect(|journal| {
            let known = journal.updates();
            // Not the last one of its phase, which would be a real acknowledgement.
            let known = known.filter(|status| matches!(status.state(), Starting | Running));
            known.filter_map(|status| status.uuid.clone()).collect()
        });
        for uuid in known.iter().chain(&known) {
            agent.acknowledge("task-1", uuid);
        }
        for uuid in [&[9; 16][..], b"short", b""] {
            agent.acknowledge("task-1", uuid);
            agent.acknowledge("another-task", uuid);
        }
    }

    costs_nothing!(later harmless(acknowledge_too_much));
}

mod acknowledgements_before_the_response_to_their_update {
    use super::*;

    costs_nothing!(harmless(Agent::acknowledge_first));
}

#[test]
fn acknowledgements_may_come_before_the_subscription_is_confirmed() {
    let phase = Phase::BeforeTheLastAcknowledgement;
    let trial = Trial::at(phase);
    let agent = &trial.run.agent;
    agent.acknowledge_first();
    agent.go_away();
    agent.release_acknowledgements();
    agent.come_back().expect("the port is reserved");
    trial.check_end();
    agent.inspect(|journal| {
        let entries = journal.entries();
        let came_back = entries
            .iter()
            .rposition(|entry| matches!(entry.what, What::Subscribed(_)));
        let next = entries.iter().skip(came_back.unwrap_or_default());
        let mut sent = next.filter_map(|entry| match &entry.what {
            What::Sent(event) => Some(event.as_str()),
            _ => None,
        });
        let first = sent.next().unwrap_or_default();
        assert!(first.starts_with("ACKNOWLEDGED"), "{journal}");
    });
}

#[test]
fn acknowledgements_may_come_in_any_order() {
    let trial = Trial::start_with(setup(), |agent| agent.hold_acknowledgements());
    trial.reach(Phase::BeforeTheLastAcknowledgement);
    let uuids = uuids(&trial.run);
    assert_eq!(uuids.len(), 3);
    for at in [1, 2, 0] {
        trial.run.agent.acknowledge("task-1", &uuids[at]);
    }
    trial.check_end();
}

#[test]
fn an_update_that_was_refused_is_sent_with_the_next_subscription() {
    for status in [400, 405, 406, 415, 501] {
        let trial = Trial::at(Phase::InAnAfterCommand);
        let agent = &trial.run.agent;
        let refusals = |run: &Run| run.agent.inspect(|journal| journal.refused(status));
        agent.refuse_calls(status, 100);
        trial.pass("after");
        trial
            .run
            .wait_until("the refusal of the update", |journal| {
                let is_update = |what: &What| matches!(what, What::Refused { call: "UPDATE", .. });
                journal.entries().iter().any(|entry| is_update(&entry.what))
            });
        // The executor does not repeat a call that the agent will never accept.
        let asked = refusals(&trial.run);
        assert!(asked <= 4, "{asked} calls\n{}", trial.run.transcript());
        agent.accept_all();
        agent.close_stream();
        trial.check_end();
    }
}

#[test]
fn a_call_without_a_response_is_repeated_on_another_connection() {
    let trial = Trial::at(Phase::InAnAfterCommand);
    trial.run.agent.hang();
    trial.pass("after");
    trial
        .run
        .wait_until("a second call without an answer", |journal| {
            journal.unanswered() > 1
        });
    trial.run.agent.resume();
    trial.check_end();
}

#[test]
fn a_task_starts_although_the_agent_hangs() {
    let trial = Trial::at(Phase::BeforeTheTask);
    trial.run.agent.hang();
    trial.launch();
    trial.wait_for_word("before");
    trial.pass("before");
    trial.wait_for_word("main");
    trial.run.agent.resume();
    trial.finish_from(Phase::InABeforeCommand);
}

#[test]
fn an_executor_whose_agent_hangs_exits_within_the_grace_period_of_its_shutdown() {
    let trial = Trial::with(setup().grace("1secs"), Phase::InTheCommand);
    trial.run.agent.hang();
    let began = Instant::now();
    trial.run.agent.shutdown();
    assert_eq!(trial.run.exit_code(), Some(1));
    // The after command waits at its gate, and the agent is never told.
    assert!(began.elapsed().as_secs() < 5, "{}", trial.run.transcript());
    assert_eq!(trial.order(), ["before", "main", "after"]);
    trial.run.agent.resume();
}

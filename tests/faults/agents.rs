//! Agents that go away, hang, or are not ready yet, in each phase of a task.

use std::time::Duration;

use cook_test_agent::agent::Agent;
use cook_test_agent::journal::What;
use cook_test_agent::script::Trouble;

use crate::support::{Run, Setup};
use crate::trial::{Fault, Phase, Trial, costs_nothing, passing};

/// Waits, and fails if the executor ends meanwhile.
#[track_caller]
fn stays_for(run: &Run, time: Duration) {
    assert_eq!(run.executor.wait(time), None, "{}", run.transcript());
}

fn come_back(run: &Run) {
    run.agent.come_back().expect("the port is reserved");
}

/// A restart whose first responses to SUBSCRIBE are faults.
fn restart_into(agent: &Agent, trouble: Trouble, count: usize) {
    agent.go_away();
    agent.trouble_subscribes(trouble, count);
    agent.come_back().expect("the port is reserved");
}

mod an_agent_that_is_killed_and_back_at_once {
    use super::*;

    costs_nothing!(passing(|agent| {
        agent.go_away();
        agent.come_back().expect("the port is reserved");
    }));
}

mod an_agent_that_is_killed_and_back_after_a_tenth_of_a_second {
    use super::*;

    costs_nothing!(Fault {
        strike: Agent::go_away,
        heal: |run| {
            stays_for(run, Duration::from_millis(100));
            come_back(run);
        },
        costs_a_subscription: true,
    });
}

mod an_agent_that_is_killed_and_back_after_a_second {
    use super::*;

    const AWAY: Fault = Fault {
        strike: Agent::go_away,
        heal: |run| {
            stays_for(run, Duration::from_secs(1));
            come_back(run);
        },
        costs_a_subscription: true,
    };

    costs_nothing! { AWAY;
        costs_nothing_before_the_first_subscription: BeforeTheFirstSubscription,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

mod a_stream_that_is_reset {
    use super::*;

    costs_nothing!(later passing(Agent::reset_stream));
}

mod a_stream_that_is_closed {
    use super::*;

    costs_nothing!(later passing(Agent::close_stream));
}

mod a_stream_that_is_cut_within_a_record {
    use super::*;

    costs_nothing!(later passing(Agent::cut_stream));
}

mod an_agent_that_accepts_and_does_not_answer {
    use super::*;

    costs_nothing!(Fault {
        strike: |agent| {
            agent.hang();
            agent.close_stream();
        },
        heal: |run| {
            run.wait_until("a call without an answer", |journal| {
                journal.unanswered() > 0
            });
            run.agent.resume();
        },
        costs_a_subscription: true,
    });
}

mod an_agent_that_hangs_and_keeps_the_stream {
    use super::*;

    const HANGING: Fault = Fault {
        strike: Agent::hang,
        heal: |run| {
            run.wait_until("a call without an answer", |journal| {
                journal.unanswered() > 0
            });
            run.agent.resume();
        },
        costs_a_subscription: false,
    };

    costs_nothing! { HANGING;
        costs_nothing_in_a_before_command: InABeforeCommand,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_in_an_after_command: InAnAfterCommand,
    }
}

mod an_agent_without_the_api_yet {
    use super::*;

    costs_nothing!(passing(|agent| restart_into(
        agent,
        Trouble::Status(404),
        3
    )));
}

mod an_agent_that_is_recovering {
    use super::*;

    costs_nothing!(passing(|agent| {
        let text = "Agent has not finished recovery";
        restart_into(agent, Trouble::Refusal(503, text), 3);
        agent.refuse_calls(503, 2);
    }));
}

mod an_agent_whose_handler_fails {
    use super::*;

    costs_nothing!(passing(|agent| restart_into(
        agent,
        Trouble::Status(500),
        3
    )));
}

mod an_agent_that_does_not_know_the_framework_for_a_moment {
    use super::*;

    costs_nothing!(passing(|agent| {
        let text = "Framework cannot be found";
        restart_into(agent, Trouble::Refusal(400, text), 3);
    }));
}

mod an_agent_that_resets_the_first_subscriptions {
    use super::*;

    costs_nothing!(passing(|agent| restart_into(agent, Trouble::Reset, 3)));
}

mod a_token_that_is_not_accepted_for_a_moment {
    use super::*;

    costs_nothing! { passing(|agent| restart_into(agent, Trouble::Status(401), 1));
        costs_nothing_before_the_first_subscription: BeforeTheFirstSubscription,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

mod claims_that_are_not_accepted_for_a_moment {
    use super::*;

    costs_nothing! { passing(|agent| restart_into(agent, Trouble::Status(403), 1));
        costs_nothing_before_the_first_subscription: BeforeTheFirstSubscription,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
    }
}

mod a_subscription_that_the_agent_has_forgotten {
    use super::*;

    costs_nothing! { passing(Agent::forget_subscription);
        costs_nothing_in_a_before_command: InABeforeCommand,
        costs_nothing_in_the_command: InTheCommand,
        costs_nothing_in_an_after_command: InAnAfterCommand,
    }
}

#[test]
fn a_recovering_agent_is_asked_several_times_a_second() {
    let run = Setup::new().start_with(|agent| agent.refuse_subscribes(503, 12));
    run.wait_for_subscriptions(1);
    let mut waits: Vec<Duration> = run.agent.inspect(|journal| {
        let refusals = journal.entries().iter();
        let refusals = refusals.filter(|entry| matches!(entry.what, What::Refused { .. }));
        let times: Vec<Duration> = refusals.map(|entry| entry.at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    });
    waits.sort();
    // The median, because a loaded machine may delay some of them.
    let usual = waits[waits.len() / 2];
    assert!(usual < Duration::from_millis(250), "{waits:?}");
    run.agent.shutdown();
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_subscription_without_a_response_is_repeated_on_another_connection() {
    let trial = Trial::at(Phase::InTheCommand);
    trial.run.agent.hang();
    trial.run.agent.close_stream();
    trial
        .run
        .wait_until("a second call without an answer", |journal| {
            journal.unanswered() > 1
        });
    trial.pass("main");
    trial.wait_for_word("after");
    trial.run.agent.resume();
    trial.run.wait_for_subscriptions(2);
    trial.finish_from(Phase::InTheCommand);
}

//! Agents that never come back, or not for this executor: the task is stopped, everything that can be
//! reported is reported, and the executor's exit status tells whether that succeeded.

use cook_mesos::messages::TaskState::{Finished, Killed, Running, Starting};
use cook_test_agent::agent::Agent;

use crate::support::Setup;
use crate::trial::{Phase, Trial, setup};

/// An executor with a short recovery timeout and a short grace period.
fn impatient() -> Setup {
    setup()
        .variable("MESOS_RECOVERY_TIMEOUT", "300ms")
        .grace("1secs")
}

/// An executor of a framework without checkpointing.
fn without_checkpoint() -> Setup {
    setup()
        .variable("MESOS_CHECKPOINT", "0")
        .without("MESOS_RECOVERY_TIMEOUT")
        .grace("1secs")
}

/// The agent goes away for ever in a phase: the executor stops the task and exits.
#[track_caller]
fn leaves_without_its_agent(setup: Setup, phase: Phase, order: &[&str]) {
    if phase == Phase::BeforeTheFirstSubscription {
        let trial = Trial::start_with(setup, Agent::go_away);
        return assert_eq!(trial.run.exit_code(), Some(1));
    }
    let trial = Trial::with(setup, phase);
    trial.run.agent.go_away();
    assert_eq!(trial.run.exit_code(), Some(1));
    assert_eq!(trial.order(), order);
}

mod an_agent_that_never_comes_back_within_the_recovery_timeout {
    use super::*;

    #[test]
    fn ends_an_executor_that_never_subscribed() {
        leaves_without_its_agent(impatient(), Phase::BeforeTheFirstSubscription, &[]);
    }

    #[test]
    fn ends_an_executor_without_a_task() {
        leaves_without_its_agent(impatient(), Phase::BeforeTheTask, &[]);
    }

    #[test]
    fn ends_the_task_in_a_before_command() {
        let order = ["before", "after"];
        leaves_without_its_agent(impatient(), Phase::InABeforeCommand, &order);
    }

    #[test]
    fn ends_the_task_in_the_command() {
        let order = ["before", "main", "after"];
        leaves_without_its_agent(impatient(), Phase::InTheCommand, &order);
    }

    #[test]
    fn ends_the_task_in_an_after_command() {
        let order = ["before", "main", "after"];
        leaves_without_its_agent(impatient(), Phase::InAnAfterCommand, &order);
    }

    #[test]
    fn ends_the_wait_for_the_last_acknowledgement() {
        let order = ["before", "main", "after"];
        leaves_without_its_agent(impatient(), Phase::BeforeTheLastAcknowledgement, &order);
    }
}

mod without_a_checkpoint_an_agent_that_is_killed {
    use super::*;

    #[test]
    fn ends_an_executor_without_a_task() {
        leaves_without_its_agent(without_checkpoint(), Phase::BeforeTheTask, &[]);
    }

    #[test]
    fn ends_the_task_in_a_before_command() {
        let order = ["before", "after"];
        leaves_without_its_agent(without_checkpoint(), Phase::InABeforeCommand, &order);
    }

    #[test]
    fn ends_the_task_in_the_command() {
        let order = ["before", "main", "after"];
        leaves_without_its_agent(without_checkpoint(), Phase::InTheCommand, &order);
    }

    #[test]
    fn ends_the_task_in_an_after_command() {
        let order = ["before", "main", "after"];
        leaves_without_its_agent(without_checkpoint(), Phase::InAnAfterCommand, &order);
    }

    #[test]
    fn ends_the_wait_for_the_last_acknowledgement() {
        let order = ["before", "main", "after"];
        let phase = Phase::BeforeTheLastAcknowledgement;
        leaves_without_its_agent(without_checkpoint(), phase, &order);
    }
}

/// Without a checkpoint: the stream ends, but the agent is available and accepts the remaining calls.
#[track_caller]
fn is_stopped_and_reported(phase: Phase) {
    let setup = setup().variable("MESOS_CHECKPOINT", "0");
    let trial = Trial::with(setup, phase);
    trial.run.agent.close_stream();
    if phase < Phase::BeforeTheLastAcknowledgement {
        trial.wait_for_word("after");
        trial.pass("after");
    }
    trial.run.wait_for_subscriptions(2);
    trial.finish_stopped_in(phase);
}

#[test]
fn without_a_checkpoint_the_end_of_the_stream_stops_a_before_command_and_is_reported() {
    is_stopped_and_reported(Phase::InABeforeCommand);
}

#[test]
fn without_a_checkpoint_the_end_of_the_stream_stops_the_command_and_is_reported() {
    is_stopped_and_reported(Phase::InTheCommand);
}

#[test]
fn without_a_checkpoint_the_end_of_the_stream_stops_an_after_command_and_is_reported() {
    is_stopped_and_reported(Phase::InAnAfterCommand);
}

#[test]
fn without_a_checkpoint_the_end_of_the_stream_does_not_lose_the_last_update() {
    is_stopped_and_reported(Phase::BeforeTheLastAcknowledgement);
}

#[test]
fn without_a_checkpoint_the_first_subscription_is_still_waited_for() {
    let setup = setup().variable("MESOS_CHECKPOINT", "0");
    let trial = Trial::start_with(setup, |agent| {
        agent.refuse_subscribes(503, 5);
    });
    trial.finish_from(Phase::BeforeTheFirstSubscription);
}

#[test]
fn an_agent_that_comes_back_while_the_task_is_being_stopped_gets_the_terminal_update() {
    let setup = setup().variable("MESOS_RECOVERY_TIMEOUT", "300ms");
    let trial = Trial::with(setup, Phase::InTheCommand);
    trial.run.agent.go_away();
    trial.wait_for_word("after");
    trial.run.agent.come_back().expect("the port is reserved");
    trial.run.wait_for_subscriptions(2);
    trial.pass("after");
    let ended = trial.run.finish();
    assert_eq!(ended.states, [Starting, Running, Killed]);
    assert_eq!(ended.exit_code(), Some(-15));
    trial.check_told(&ended);
}

#[test]
fn a_token_that_is_never_accepted_ends_the_executor_after_the_recovery_timeout() {
    for status in [401, 403] {
        let trial = Trial::start_with(impatient(), |agent| agent.refuse_subscribes(status, 100));
        assert_eq!(trial.run.exit_code(), Some(1));
        let asked = trial.run.agent.inspect(|journal| journal.refused(status));
        assert!((1..=2).contains(&asked), "asked {asked} times");
        let log = trial.run.sandbox.read("executor.log");
        assert!(log.contains("authentication token"), "{log}");
    }
}

#[test]
fn a_task_whose_token_is_no_longer_accepted_is_stopped() {
    let trial = Trial::with(impatient(), Phase::InTheCommand);
    trial.run.agent.refuse_subscribes(401, 100);
    trial.run.agent.close_stream();
    assert_eq!(trial.run.exit_code(), Some(1));
    assert_eq!(trial.order(), ["before", "main", "after"]);
}

#[test]
fn an_agent_that_never_acknowledges_does_not_delay_the_exit_after_a_shutdown() {
    let setup = setup().grace("1secs");
    let trial = Trial::with(setup, Phase::BeforeTheLastAcknowledgement);
    trial.run.agent.shutdown();
    assert_eq!(trial.run.exit_code(), Some(1));
    let states = trial.run.agent.inspect(|journal| journal.states());
    assert_eq!(states, [Starting, Running, Finished]);
}

//! What the agent, the network and the machine can do to an executor, in every phase of a task: no
//! update is lost, none is doubled, and the executor leaves with success only when all is told.
//!
//! A module is a kind of fault. A fault that can strike in any phase is a module of its own, with one
//! test for each phase, so that a failing test is a sentence:
//! `an_agent_that_is_killed::costs_nothing_while_the_command_runs`.

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod calls;
mod delivery;
mod endings;
mod events;
mod impostor;
mod machine;
mod reconnects;
mod session;
mod trial;

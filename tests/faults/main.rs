//! What the agent, the network and the machine can do to an executor in every phase of a task: no update is
//! lost or doubled, and the executor exits with success only when everything was reported.
//!
//! Each module is a kind of fault. A fault that is possible in any phase has its own module with one test
//! for each phase, so that the name of a failing test is a sentence:
//! `an_agent_that_is_killed_and_back_at_once::costs_nothing_in_the_command`.

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

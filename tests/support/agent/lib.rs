//! A Mesos agent for tests of executors. It serves the executor API on loopback, injects faults, records
//! everything that happens, and checks every call against the protocol.
//!
//! A test starts an [`agent::Agent`], starts the executor with [`launch::Launch`], sends events, and
//! inspects the [`journal::Journal`]. [`script`] has the faults; [`census`] finds processes that were left
//! behind.
//!
//! It uses threads and blocking sockets on purpose: it shares only the protobuf messages and RecordIO with
//! the executor, so that the executor's HTTP is checked by independent code.
//!
//! ```no_run
//! use cook_mesos::messages::TaskState;
//! use cook_test_agent::agent::{Agent, AgentConfig};
//! use cook_test_agent::events;
//! use cook_test_agent::launch::Launch;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = Agent::start(AgentConfig::default())?;
//! let launch = Launch::new("target/tested/cook-executor", "/tmp/sandbox", &agent);
//! let _executor = launch.start(agent.exit_recorder())?;
//! let agent_id = agent.config().agent_id;
//! agent.launch(events::task("task-1", &agent_id, r#"{"command": "exit 3"}"#));
//! agent.wait_for_state(TaskState::Failed)?;
//! assert!(agent.inspect(|journal| journal.violations().is_empty()));
//! # Ok(())
//! # }
//! ```

pub mod agent;
pub mod census;
pub mod connection;
pub mod events;
pub mod http;
pub mod journal;
pub mod launch;
pub mod script;
mod server;
pub mod session;
pub mod shared;
pub mod stream;
pub mod validate;

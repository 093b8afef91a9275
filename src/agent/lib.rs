//! A small Mesos agent for one machine. It starts executors, serves the v1 executor API to them on a unix
//! domain socket, and finds them again after a restart of its own process.
//!
//! It is a library; the program that uses it plays the framework. The program starts an [`agent::Agent`]
//! with a [`agent::Config`], launches a [`spec::Spec`], and receives [`notice::Notice`]s from a channel.
//! Everything runs on the program's own thread.
//!
//! | module | what it has |
//! |---|---|
//! | [`core`] | every decision: one function from (state, event, now) to (state, effects); pure |
//! | [`spec`] | what to start |
//! | [`notice`] | what the agent reports to the program |
//! | [`record`] | what is on disk about each container, for the next process of the agent |
//! | [`server`] | the executor API, and which process may call it for which executor |
//! | [`launch`], [`helper`], [`environment`], [`limits`] | the start of an executor |
//! | [`fetch`] | files for the sandbox |
//! | [`process`], [`sweep`], [`cgroup`] | identifying processes, and ending all processes of a container |
//! | [`agent`] | the shell around the core |
//!
//! # What survives what
//!
//! | event | what happens to an executor and its task |
//! |---|---|
//! | the agent's process ends in any way | They continue. The next process reads the record, and the executor subscribes again, with all unacknowledged updates. |
//! | the executor is killed | All processes that it leaves behind are ended. Only then is the task reported as lost. |
//! | both, in any order | As above: the record says which processes to end. |
//! | the machine restarts | The record has another boot id: nothing is signalled, and the task is reported as lost. |
//!
//! Records are not synced to the disk: a power failure that damages them also ends the executors.
//!
//! # Example
//!
//! ```no_run
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! use cook_agent::agent::{Agent, Config};
//! use cook_agent::core::Identity;
//! use cook_agent::notice::What;
//! use cook_agent::spec::{ContainerId, Program, Spec};
//! use cook_mesos::messages::TaskInfo;
//! use smol::LocalExecutor;
//!
//! # fn main() -> std::io::Result<()> {
//! // In a helper process, this becomes the executor and does not return.
//! cook_agent::helper::run_if_asked();
//!
//! let executor = Rc::new(LocalExecutor::new());
//! let config = Config {
//!     identity: Identity {
//!         framework_id: "framework".into(),
//!         agent_id: "agent".into(),
//!         hostname: "localhost".into(),
//!         capabilities: Vec::new(),
//!     },
//!     folder: "/tmp/agent".into(),
//!     files: ".".into(),
//!     cgroups: None,
//! };
//! let (agent, notices) = Agent::start(config, executor.clone())?;
//! agent.launch(Spec {
//!     executor_id: "executor-1".into(),
//!     container: ContainerId::random()?,
//!     task: TaskInfo {
//!         task_id: "task-1".into(),
//!         data: Some(br#"{"command": "echo hello"}"#.to_vec()),
//!         ..TaskInfo::default()
//!     },
//!     program: Program::Direct(vec!["/usr/local/bin/cook-executor".into()]),
//!     executor_data: None,
//!     environment: Vec::new(),
//!     files: Vec::new(),
//!     sandbox: "/tmp/sandbox".into(),
//!     shutdown_grace: Duration::from_secs(5),
//!     memory: None,
//!     cpu: None,
//!     tag: Vec::new(),
//!     recovery_timeout: None,
//! });
//! async_io::block_on(executor.run(async {
//!     while let Ok(notice) = notices.recv().await {
//!         match notice.what {
//!             What::Updated(status) => {
//!                 println!("{}: {:?}", notice.executor_id, status.state());
//!                 agent.acknowledge(&notice.executor_id, status.uuid.as_deref().unwrap_or_default());
//!             }
//!             What::Lost { uuid, .. } => agent.acknowledge(&notice.executor_id, &uuid),
//!             What::Forgotten => break,
//!             _ => {}
//!         }
//!     }
//! }));
//! # Ok(())
//! # }
//! ```

pub mod agent;
pub mod cgroup;
pub mod core;
pub mod environment;
pub mod fetch;
pub mod helper;
pub mod launch;
pub mod limits;
pub mod notice;
pub mod process;
pub mod record;
pub mod server;
pub mod spec;
pub mod sweep;

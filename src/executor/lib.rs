//! cook-executor: a Mesos executor in one small static file. This library has everything except the `main`
//! function of the program.
//!
//! It consists of a pure core with a thin shell around it. All decisions are made by one function from
//! state, event and time to effects ([`core::executor::Executor::step`]). The other layers turn what
//! happens to sockets, processes and clocks into events ([`core::event::Event`]), and perform effects
//! ([`core::effect::Effect`]). Each folder is a layer, and uses only itself and the layers above it in this
//! table; `tests/layers.rs` enforces that:
//!
//! | layer | what it has | crates that it may use |
//! |---|---|---|
//! | [`words`] | identifiers, points in time, outcomes | none |
//! | [`core`] | every decision | none |
//! | [`codec`] | bytes to the core's types and back | cook-http, cook-mesos, serde, regex-lite, memchr |
//! | [`world`] | sockets, processes, files, clocks | smol, async-io, async-process, rustix |
//! | [`shell`] | the configuration, and the only loop | all of these |
//!
//! The layers can be used on their own. This reads a job as the executor does, and shows what it would run:
//!
//! ```
//! use cook_executor::codec::mesos::job::{HookVariables, Sources, read_plan};
//!
//! let job = br#"{"command": "sleep 1", "before_commands": [{"value": "./lock.sh", "guard": true}]}"#;
//! let sources = Sources {
//!     command: None,
//!     data: Some(job),
//!     arguments: &[],
//!     executor_data: None,
//!     variables: &HookVariables::default(),
//! };
//! let plan = read_plan(sources, &mut |remark| println!("{remark}")).expect("a valid job");
//! let names: Vec<_> = plan.iter().map(|(_, command)| command.description.as_str()).collect();
//! assert_eq!(names, [r#"before command 1 ("./lock.sh")"#, r#"the command ("sleep 1")"#]);
//! ```

pub mod codec;
pub mod core;
pub mod shell;
pub mod words;
pub mod world;

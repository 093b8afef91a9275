//! cook-scheduler accepts jobs with before and after commands over HTTP, stores them durably, and runs
//! them on this machine or on a Mesos cluster. The program is `main.rs`; this library has its parts, so
//! that tests can use each of them alone.
//!
//! All decisions are made by [`core::Scheduler`], a state machine without any input or output:
//! [`step`](core::Scheduler::step) takes an [`Event`](core::event::Event) and returns
//! [`Effect`](core::effect::Effect)s. The other modules turn the outside world into events, and effects
//! into actions:
//!
//! | module | content | main type |
//! |---|---|---|
//! | [`core`] | all decisions | [`core::Scheduler`] |
//! | [`codec`] | the configuration, requests and replies as text | [`codec::config::Configuration`] |
//! | [`api`] | the HTTP API: permissions, routes, responses | [`api::Api`] |
//! | [`store`] | the store on disk | [`store::Store`] |
//! | [`backend`] | the embedded agent, or a Mesos master | [`backend::Backend`] |
//! | [`shell`] | the event loop, HTTP server, signals, the log | [`shell::driver::Driver`] |
//!
//! # Example
//!
//! A job is submitted to the core. The reply is held back until the job is on disk.
//!
//! ```
//! use cook_scheduler::codec::job::{self, Endpoint};
//! use cook_scheduler::core::effect::Effect;
//! use cook_scheduler::core::event::Event;
//! use cook_scheduler::core::request::{ApiRequest, Reply, RequestId, Submission};
//! use cook_scheduler::core::settings::Settings;
//! use cook_scheduler::core::words::{Moment, UserName};
//! use cook_scheduler::core::{Scheduler, Start};
//!
//! let mut scheduler = Scheduler::new(Settings::embedded([0; 16]), Start::default());
//! let batch = job::read(Endpoint::Jobs, br#"{"command": "echo hello"}"#).unwrap();
//! let submission = Submission {
//!     user: UserName::new("bob").unwrap(),
//!     jobs: batch.jobs,
//!     groups: batch.groups,
//!     group_rule: batch.group_rule,
//! };
//! let request = Event::Request(RequestId(1), ApiRequest::Submit(submission));
//!
//! let effects = scheduler.step(request, Moment::default());
//! let [Effect::Store(batch)] = &effects[..] else {
//!     panic!("the job is stored first: {effects:?}")
//! };
//!
//! let effects = scheduler.step(Event::Stored(batch.number), Moment::default());
//! let replies = |effect: &Effect| matches!(effect, Effect::Reply(_, Reply::Submitted { .. }));
//! assert!(effects.iter().any(replies), "then the client gets a reply");
//! ```

/// Unit tests share files with other programs' tests, which name this library by its name.
#[cfg(test)]
extern crate self as cook_scheduler;

pub mod api;
pub mod backend;
pub mod codec;
pub mod core;
pub mod shell;
pub mod store;

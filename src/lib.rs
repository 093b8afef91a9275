//! cook-executor: a Mesos executor in one small static file.
//!
//! A pure core, a dumb shell, one loop. All decisions are one function from state, event and time to
//! effects ([`core`]); sockets, processes and clocks live around it and only carry events in and
//! effects out. Each layer uses only those above it, which `tests/layers.rs` holds:
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | words | [`units`], [`outcome`] | the standard library |
//! | core | [`core`] | words |
//! | codecs | [`http`], `api::{json, request, response}`, `mesos::{messages, recordio, event, call, job, cook}`, `tracking::{lines, pattern}` | serde, prost, http-types, async-h1, regex-lite, memchr |
//! | world | `api::server`, `mesos::agent`, [`process`], [`tracking`], [`log`], [`memory`], [`inbox`], [`alarm`], [`stream`], [`client`] | smol, async-io, async-process, rustix |
//! | shell | [`config`], [`runtime`] | everything above |
//! | entry | `main` | everything above |
//!
//! `local` is the developer's side: an agent to run jobs and tests with. Nothing here uses it.

pub mod alarm;
pub mod api;
pub mod client;
pub mod config;
pub mod core;
pub mod http;
pub mod inbox;
pub mod local;
pub mod log;
pub mod memory;
pub mod mesos;
pub mod outcome;
pub mod process;
pub mod runtime;
pub mod stream;
pub mod tracking;
pub mod units;

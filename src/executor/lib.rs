//! cook-executor: a Mesos executor in one small static file.
//!
//! A pure core, a dumb shell, one loop. All decisions are one function from state, event and time to
//! effects ([`core`]); sockets, processes and clocks live around it and only carry events in and
//! effects out. The folder is the layer, and each layer uses only those above it, which
//! `tests/layers.rs` holds:
//!
//! | layer | what lives there | crates that it may name |
//! |---|---|---|
//! | [`words`] | identifiers, points in time, outcomes | none |
//! | [`core`] | every decision | none |
//! | [`codec`] | bytes to the core's words and back | cook-http, cook-mesos, serde, regex-lite, memchr |
//! | [`world`] | sockets, processes, files, clocks | smol, async-io, async-process, rustix |
//! | [`shell`] | settings and the one loop | all of these |

pub mod codec;
pub mod core;
pub mod shell;
pub mod words;
pub mod world;

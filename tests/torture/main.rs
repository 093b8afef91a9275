//! Tests that take minutes, or the whole machine: random hostile tasks, and hostile users of the host.
//! `cargo test` runs a small part, `make torture` all of it.

#[path = "../support/mod.rs"]
mod support;

mod floods;
mod guesses;
mod tasks;

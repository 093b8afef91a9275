//! What takes minutes, or the whole machine: hostile tasks by chance, and hostile users of the host.
//! `cargo test` runs a little of it, `make torture` all.

#[path = "../support/mod.rs"]
mod support;

mod floods;
mod guesses;
mod tasks;

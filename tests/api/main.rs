//! The task API of the real program: curl in real commands, raw bytes, other users, and many clients.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod bodies;
mod flood;
mod hostile;
mod owner;
mod places;
mod requests;
mod storm;
mod texts;

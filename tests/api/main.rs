//! The task API of the real binary: by real curl from real commands, by raw bytes, by strangers, by many at once.

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

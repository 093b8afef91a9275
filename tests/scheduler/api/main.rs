//! `cook-scheduler` as its users see it: the built program, asked by a plain HTTP client, with the built executor.

#![allow(clippy::disallowed_methods, reason = "tests may wait")]

mod access;
mod document;
mod durable;
mod files;
mod input;
mod server;
mod start;

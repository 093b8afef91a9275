//! `cook-scheduler` as its users see it: the built program and the built executor, used through a plain
//! HTTP client.

#![allow(clippy::disallowed_methods, reason = "tests may sleep")]

mod access;
mod document;
mod durable;
mod files;
mod input;
mod retry;
mod server;
mod start;

//! The task API: what a command reaches at `$EXECUTOR_ENDPOINT`.
//!
//! `json`, `patch`, `request`, `refusal` and `response` turn bytes into the core's words and back; `server`,
//! `peer`, `connection` and `seats` carry the bytes.

mod connection;
pub mod json;
pub mod patch;
mod peer;
pub mod refusal;
pub mod request;
pub mod response;
mod seats;
pub mod server;
#[cfg(test)]
mod tests;

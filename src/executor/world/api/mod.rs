//! The task API's sockets: what a command reaches at `$EXECUTOR_ENDPOINT`.

mod connection;
mod peer;
mod seats;
pub mod server;
#[cfg(test)]
mod tests;

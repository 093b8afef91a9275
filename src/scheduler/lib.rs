//! cook-scheduler: a durable little job scheduler with before and after commands.

pub mod api;
pub mod backend;
pub mod codec;
pub mod core;
pub mod shell;
pub mod store;

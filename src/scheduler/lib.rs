//! cook-scheduler: a durable little job scheduler with before and after commands.

pub mod core;

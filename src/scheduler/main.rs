//! `cook-scheduler`: serves the Scheduler HTTP API.

fn main() {}

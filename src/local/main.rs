//! `cook-local`: runs a job file without Mesos.

fn main() {}

//! The rules of the scheduler, tested on its core: the order of jobs, attempts, time limits, retention,
//! what readers see. In these tests the disk is fast and never fails.

#[path = "../jobs.rs"]
mod jobs;

mod attempts;
mod harness;
mod limits;
mod order;
mod purity;
mod reading;
mod requests;
mod scale;
mod subscription;

//! The rules of the scheduler, one by one, on its core: who is next, what counts as an attempt, what ends
//! when, what is kept, what readers see. The disk of these tests is fast and never fails.

#[path = "../jobs.rs"]
mod jobs;

mod attempts;
mod desk;
mod limits;
mod order;
mod purity;
mod reading;
mod requests;
mod scale;
mod subscription;

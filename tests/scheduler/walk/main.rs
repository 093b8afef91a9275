//! The core of the scheduler, walked through: every reachable state of small plans, with every event that
//! can come in it, against the promises that must hold in all of them; and long random walks of larger plans.
//!
//! The world of the model is as hostile as the real one. The scheduler is killed at any moment, and what was not
//! stored is gone; commits fail, with or without having written; launches get lost, updates come twice
//! or never, agents vanish, tasks end as they like. Time passes only when nothing else is left to happen.

#[path = "../jobs.rs"]
mod jobs;

mod exhaustive;
mod promises;
mod random;
mod steps;
mod world;

//! A model of the scheduler's core and its environment. It visits every reachable state of small plans,
//! with every event that can occur there, and takes long random walks through larger plans. In each
//! state it checks the promises that must always hold.
//!
//! The environment is as hostile as a real one. The scheduler is killed at any moment and loses what
//! was not stored. Commits fail, with or without having written. Launches get lost, updates arrive
//! twice or never, agents vanish, tasks end in any way. Time passes only when nothing else can happen.

#[path = "../jobs.rs"]
mod jobs;

mod exhaustive;
mod promises;
mod random;
mod steps;
mod world;

//! The core: everything that is decided, and nothing that waits.
//!
//! `words` are checked values, `job` what is known of jobs, `face` what a backend and the core say to each
//! other, `request` what clients ask for, `event` and `effect` everything that comes in and goes out.

pub mod face;
pub mod job;
pub mod request;
pub mod words;

//! The core: everything that is decided, and nothing that waits.
//!
//! `words` are checked values, `job` what is known of jobs, `face` what a backend and the core say to each
//! other, `request` what clients ask for, `event` and `effect` everything that comes in and goes out.
//! [`Scheduler`] makes effects of events, and [`view`] shows what is known.

pub mod effect;
pub mod event;
pub mod face;
pub mod job;
pub mod request;
mod scheduler;
pub mod settings;
pub mod words;

pub use scheduler::{Archived, Found, Scheduler, Start, view};

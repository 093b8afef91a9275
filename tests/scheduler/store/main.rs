//! The store on a real disk: everything reported as stored survives whatever happens, and unusable
//! files are refused with an error text.

#[path = "../jobs.rs"]
mod jobs;

mod disks;
mod faults;
mod folders;
mod kills;
mod script;
mod writers;

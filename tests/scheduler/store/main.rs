//! The store on a real disk: what was reported as stored is there, whatever happened since; and what cannot
//! be used is refused with a text.

#[path = "../jobs.rs"]
mod jobs;

mod disks;
mod faults;
mod folders;
mod kills;
mod script;
mod writers;

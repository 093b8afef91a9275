//! What the integration tests share: runs of the real executor with the test agent, each in its own
//! sandbox, which end with a search for remaining processes.
//!
//! Commands record what they do by appending words to the file `order` in the sandbox. Tests wait for words
//! and states, never for a fixed time.

#![allow(dead_code, reason = "each test program uses another part")]

pub mod executor;
pub mod flood;
pub mod hostile;
pub mod progress;
pub mod raw;
pub mod sandbox;
pub mod text;
pub mod users;

#[allow(unused_imports, reason = "each test program uses another part")]
pub use self::{
    executor::{Ended, Run, Setup, TASK},
    raw::{Answer, Talk, Target},
    text::{hook, say, wait_for_word},
};

//! What the integration tests share: a run of the real binary under the scripted agent, in a sandbox
//! of its own, that ends in a census.
//!
//! Commands tell what they do by appending words to the file `order` in the sandbox; tests wait for
//! words and states, never for time.

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

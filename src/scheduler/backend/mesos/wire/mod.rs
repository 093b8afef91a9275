//! Between the master's messages and the words of the core. Pure.
//!
//! | module | what it is |
//! |---|---|
//! | `read` | events, as they come on the stream |
//! | `offer` | an offer as room on an agent |
//! | `pool` | what is left of an offer, split by role |
//! | `launch` | a task of the core as TaskInfo and ExecutorInfo |
//! | `call` | what the core asks for as a call |

pub mod call;
pub mod launch;
pub mod offer;
pub mod pool;
mod read;

pub use read::{News, StatusOf, read};

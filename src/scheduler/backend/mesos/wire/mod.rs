//! Translation between the messages of Mesos and the types of the core. Pure.
//!
//! | module | translates |
//! |---|---|
//! | `read` | records of the event stream to events |
//! | `offer` | an offer to the core's offer |
//! | `pool` | the resources of an offer to those of its tasks, split by role |
//! | `launch` | a task of the core to TaskInfo and ExecutorInfo |
//! | `call` | requests of the core to calls |

pub mod call;
pub mod launch;
pub mod offer;
pub mod pool;
mod read;
#[cfg(test)]
mod tests;

pub use read::{ForeignUpdate, Notice, StatusUpdate, read};

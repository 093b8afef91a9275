//! Starting tasks on the thread's executor.

use std::future::Future;

use smol::future::FutureExt;
use smol::{LocalExecutor, Task};

/// Starts a task. The future is boxed, because each type of future costs half a kilobyte of code for its task, and most
/// tasks run for so long that an allocation does not matter.
pub fn spawn(
    executor: &LocalExecutor<'static>,
    future: impl Future<Output = ()> + 'static,
) -> Task<()> {
    executor.spawn(future.boxed_local())
}

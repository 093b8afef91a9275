//! The backends that run jobs: this machine, or a Mesos master. Both implement [the same
//! interface](crate::core::backend).

pub mod embedded;
pub mod mesos;

use crate::core::backend::Call;

/// Executes the core's calls. It reports [`BackendEvent`](crate::core::backend::BackendEvent)s through a
/// channel that it gets when it is created.
pub trait Backend {
    /// Makes a call. Calls are made in order, and without waiting.
    fn call(&self, call: Call);

    /// Whether all tasks have ended and all executors have exited.
    fn is_empty(&self) -> bool;
}

impl<B: Backend> Backend for std::rc::Rc<B> {
    fn call(&self, call: Call) {
        (**self).call(call);
    }

    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }
}

//! What runs the jobs: this machine, or a Mesos master. Both fill [one face](crate::core::face).

pub mod embedded;

use crate::core::face::Call;

/// Takes what the core asks for. What it has to tell comes as
/// [`BackendEvent`](crate::core::face::BackendEvent)s, through the channel that it was made with.
pub trait Backend {
    /// Does this, in the order of the calls, without waiting for anything.
    fn call(&self, call: Call);

    /// Whether everything that ran under this program has ended and knows that it is over.
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

//! A store in memory, for tests: it keeps everything that was committed, and can be told to fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Archive, CommitError, Image, OpenError, ReadError, Store};
use crate::core::Start;
use crate::core::effect::{Batch, BatchNumber};
use crate::core::event::StoreFault;
use crate::core::job::{Job, JobKey};
use crate::core::words::Anchor;

/// A store in memory. Clones share one content.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    image: Image,
    anchor: Option<Anchor>,
    next: Option<Fault>,
    has_failed: bool,
    opens: bool,
}

/// How the next commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and writes nothing.
    Lost(StoreFault),
    /// It reports a failure but has written everything.
    Written(StoreFault),
}

impl Memory {
    /// The content.
    pub fn image(&self) -> Image {
        self.state().image.clone()
    }

    /// The content for a start of the scheduler.
    pub fn start(&self) -> (Start, Option<Anchor>) {
        let state = self.state();
        (state.image.start(), state.anchor)
    }

    /// Lets the next commit fail. If `opens` is false, the store also fails to open again.
    pub fn fail(&self, fault: Fault, opens: bool) {
        let mut state = self.state();
        state.next = Some(fault);
        state.opens = opens;
    }

    /// Lets the store open again.
    pub fn heal(&self) {
        self.state().opens = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn commit(&mut self, batches: &[Batch], anchor: &Anchor) -> Result<(), CommitError> {
        let mut state = self.state();
        if state.has_failed {
            return Err(CommitError(
                StoreFault::Failed,
                "the store has failed before".to_owned(),
            ));
        }
        let fault = state.next.take();
        if !matches!(fault, Some(Fault::Lost(_))) {
            for batch in batches {
                state.image.apply(batch);
            }
            state.anchor = Some(*anchor);
        }
        match fault {
            None => Ok(()),
            Some(Fault::Lost(fault) | Fault::Written(fault)) => {
                state.has_failed = true;
                Err(CommitError(fault, "a test let it fail".to_owned()))
            }
        }
    }

    fn reopen(&mut self) -> Result<BatchNumber, OpenError> {
        let mut state = self.state();
        if !state.opens {
            return Err(OpenError::Damaged {
                path: "memory".into(),
                how: "a test damaged it".to_owned(),
            });
        }
        state.has_failed = false;
        Ok(state.image.last())
    }

    fn claim(&mut self, _bytes: u64) {}

    fn unused(&self) -> u64 {
        0
    }

    fn unclaim(&mut self) {}

    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.clone())
    }
}

impl Archive for Memory {
    fn job(&self, key: JobKey) -> Result<Option<Job>, ReadError> {
        Ok(self.state().image.job(key).map(|job| Job::clone(job)))
    }
}

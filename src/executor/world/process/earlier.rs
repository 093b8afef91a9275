//! Processes that existed before the task: our children before the first command, such as a tunnel that an
//! operator's executor command has started, and their descendants. They are left alone.

use std::cell::{Cell, RefCell};

use rustix::process::Pid;
use tracing::{info, warn};

use super::descendants::{self, Descendant};

/// The processes that existed before the first command, and their descendants.
#[derive(Default)]
pub(super) struct EarlierProcesses {
    has_looked: Cell<bool>,
    /// Those that were alive at the last look, by [`Descendant::identity`]. If the parent of one has ended,
    /// it is our child, and only this identifies it.
    known: RefCell<Vec<(Pid, u64)>>,
}

/// A process that ends while the kernel lists our children can hide another one, so the list is read
/// several times.
const LOOKS: usize = 3;

// === impl EarlierProcesses ===

impl EarlierProcesses {
    /// Must be called before each command is started. The first call finds the processes, further calls
    /// find what they have started meanwhile. If there are none, which is usual, this costs one system call
    /// in total.
    pub(super) fn look(&self) {
        if !self.has_looked.replace(true) {
            if descendants::is_alone() {
                return;
            }
            match descendants::find() {
                Ok(family) => {
                    let mut known = self.known.borrow_mut();
                    known.extend(family.iter().map(Descendant::identity));
                    info!(
                        "{} processes existed before the first command and are left alone",
                        known.len()
                    );
                }
                Err(error) => {
                    warn!("failed to look for processes that existed before the task: {error}")
                }
            }
        } else if self.are_there()
            && let Ok(mut family) = descendants::find()
        {
            self.leave_out(&mut family);
        }
    }

    /// Whether there are any.
    fn are_there(&self) -> bool {
        !self.known.borrow().is_empty()
    }

    /// Removes them from a list in which parents come before their children.
    pub(super) fn leave_out(&self, family: &mut Vec<Descendant>) {
        if !self.are_there() {
            return;
        }
        let mut known = self.known.borrow_mut();
        let mut seen: Vec<(Pid, u64)> = Vec::new();
        family.retain(|one| {
            let is_theirs = seen.iter().any(|(pid, _)| *pid == one.parent);
            let is_earlier = is_theirs || known.contains(&one.identity());
            if is_earlier {
                seen.push(one.identity());
            }
            !is_earlier
        });
        // One that was not seen may be below a child that is not in this list.
        known.retain(|(pid, started)| {
            let is_seen = seen.contains(&(*pid, *started));
            !is_seen && descendants::is_alive(*pid, *started)
        });
        known.append(&mut seen);
    }

    /// Whether all our children are such processes. Then no process of the task is left, because a process
    /// that loses its parent becomes our child.
    pub(super) fn are_all(&self) -> bool {
        self.are_there()
            && (0..LOOKS).all(|_| {
                descendants::find_children().is_ok_and(|mut children| {
                    self.leave_out(&mut children);
                    children.is_empty()
                })
            })
    }
}

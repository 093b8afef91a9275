//! Processes below us that are not the task's: our children before the first command, such as a tunnel that
//! an operator's executor command has started before us, and what these start. They are left alone.

use std::cell::{Cell, RefCell};

use rustix::process::Pid;
use tracing::{info, warn};

use super::descendants::{self, Descendant};

/// Who was here before the first command, and who descends from them.
#[derive(Default)]
pub(super) struct Strangers {
    has_looked: Cell<bool>,
    /// Those seen alive last, by [`Descendant::identity`]. One whose parent has ended is our child then, and
    /// known only by this.
    known: RefCell<Vec<(Pid, u64)>>,
}

/// A process that ends while the kernel lists our children can hide its neighbour, so one look at the list is
/// not enough.
const LOOKS: usize = 3;

// === impl Strangers ===

impl Strangers {
    /// To be called before each command starts: the first time it finds them, later it sees what they have
    /// started meanwhile. Without any, which is the usual case, it costs one system call in all.
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
                        "{} processes were here before the first command and are left alone",
                        known.len()
                    );
                }
                Err(error) => warn!("failed to look for what was here before: {error}"),
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

    /// Takes them out of a family, in which parents come before their children.
    pub(super) fn leave_out(&self, family: &mut Vec<Descendant>) {
        if !self.are_there() {
            return;
        }
        let mut known = self.known.borrow_mut();
        let mut seen: Vec<(Pid, u64)> = Vec::new();
        family.retain(|one| {
            let is_theirs = seen.iter().any(|(pid, _)| *pid == one.parent);
            let is_stranger = is_theirs || known.contains(&one.identity());
            if is_stranger {
                seen.push(one.identity());
            }
            !is_stranger
        });
        // Who was not seen now may be below a child that this family does not show.
        known.retain(|(pid, started)| {
            let is_seen = seen.contains(&(*pid, *started));
            !is_seen && descendants::is_alive(*pid, *started)
        });
        known.append(&mut seen);
    }

    /// Whether all our children are strangers: then nothing of the task's is left, since whatever loses its
    /// parent becomes our child.
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

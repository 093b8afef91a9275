//! Failing disks: each operation of a commit fails, one after the other, in every way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cook_scheduler::core::effect::BatchNumber;
use cook_scheduler::core::event::StoreFault;
use cook_scheduler::store::{Hook, Operation, Redb, Store as _};

use crate::script::{anchor, assert_same, batches, folder, image};

/// After `left` operations, lets all operations fail until it is healed.
#[derive(Clone, Default)]
struct Bad {
    left: Arc<AtomicUsize>,
    full: bool,
}

const NEVER: usize = usize::MAX;

impl Bad {
    fn hook(&self) -> Hook {
        let bad = self.clone();
        Hook(Arc::new(move |operation| bad.ask(operation)))
    }

    fn ask(&self, operation: Operation) -> io::Result<()> {
        if operation == Operation::Read || self.left.load(Ordering::SeqCst) == NEVER {
            return Ok(());
        }
        if self.left.load(Ordering::SeqCst) > 0 {
            self.left.fetch_sub(1, Ordering::SeqCst);
            return Ok(());
        }
        let errno = if self.full {
            rustix::io::Errno::NOSPC
        } else {
            rustix::io::Errno::IO
        };
        Err(errno.into())
    }

    fn fail_after(&self, count: usize) {
        self.left.store(count, Ordering::SeqCst);
    }
}

/// Fails at every operation of a commit, one after the other. Returns the number of operations.
fn fail_everywhere(name: &str, full: bool) -> usize {
    let batches = batches(3, 60);
    let (first, second, third) = (&batches[..30], &batches[30..40], &batches[40..]);
    for place in 0.. {
        let bad = Bad {
            full,
            ..Bad::default()
        };
        bad.fail_after(NEVER);
        let path = folder(name).join("store.redb");
        let (mut store, _, _) = Redb::open(&path, Some(bad.hook())).expect("it opens");
        store
            .commit(first, &anchor(&first[29]))
            .expect("it is written");
        bad.fail_after(place);
        let result = store.commit(second, &anchor(&second[9]));
        let was_reached = result.is_err();
        if let Err(error) = result {
            let fault = if full {
                StoreFault::DiskFull
            } else {
                StoreFault::Failed
            };
            assert_eq!(error.0, fault, "{error}");
            // While the disk fails, the store may open or not, but must not accept a batch.
            assert!(store.reopen().is_err() || store.commit(second, &anchor(&second[9])).is_err());
        }
        bad.fail_after(NEVER);
        let last = store.reopen().expect("it opens on a working disk");
        assert!(
            [BatchNumber(30), BatchNumber(40)].contains(&last),
            "all or nothing: {last:?}"
        );
        let written = last.0 as usize;
        assert_same(&image(&batches[..written]), &*store.archive());
        if written == 30 {
            store
                .commit(second, &anchor(&second[9]))
                .expect("now it is written");
        }
        store
            .commit(third, &anchor(&third[19]))
            .expect("and what comes after");
        drop(store);
        let (_, start, _) = Redb::open(&path, None).expect("it opens");
        assert_eq!(start, image(&batches).start());
        if !was_reached {
            return place;
        }
    }
    unreachable!("a commit has fewer operations");
}

#[test]
fn a_commit_is_atomic_when_an_operation_fails() {
    assert!(
        fail_everywhere("eio", false) > 3,
        "several operations failed"
    );
}

#[test]
fn a_commit_is_atomic_on_a_full_disk() {
    assert!(
        fail_everywhere("enospc", true) > 3,
        "several operations failed"
    );
}

#[test]
fn a_commit_needs_one_sync() {
    let batches = batches(3, 60);
    let syncs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&syncs);
    let hook = Hook(Arc::new(move |operation| {
        count.fetch_add(usize::from(operation == Operation::Sync), Ordering::SeqCst);
        Ok(())
    }));
    let path = folder("syncs").join("store.redb");
    let (mut store, _, _) = Redb::open(&path, Some(hook)).expect("it opens");
    store
        .commit(&batches[..30], &anchor(&batches[29]))
        .expect("it is written");
    let before = syncs.load(Ordering::SeqCst);
    for batch in &batches[30..] {
        store
            .commit(std::slice::from_ref(batch), &anchor(batch))
            .expect("it is written");
    }
    // A change of the file's length now and then needs one more.
    let synced = syncs.load(Ordering::SeqCst) - before;
    assert!((30..=33).contains(&synced), "{synced} for 30 commits");
}

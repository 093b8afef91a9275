//! What is written is what is read.

use cook_scheduler::core::effect::BatchNumber;
use cook_scheduler::store::{Redb, Store as _};

use crate::script::{anchor, assert_same, batches, folder, image};

#[test]
fn a_start_finds_what_was_written_in_any_grouping() {
    let batches = batches(1, 400);
    let path = folder("groupings").join("store.redb");
    let mut done = 0;
    // One at a time, then many together, each time with a new start.
    for count in [1, 2, 7, 50, 340] {
        let (mut store, _, _) = Redb::open(&path, None).expect("it opens");
        let some = &batches[done..done + count];
        store
            .commit(some, &anchor(&some[count - 1]))
            .expect("it is written");
        done += count;
        let image = image(&batches[..done]);
        assert_same(&image, &*store.archive());
        drop(store);
        let (store, start, last) = Redb::open(&path, None).expect("it opens again");
        assert_eq!(start, image.start());
        assert_eq!(last, Some(anchor(&batches[done - 1])));
        assert_same(&image, &*store.archive());
    }
    assert!(
        image(&batches).start().archived.len() > 10,
        "there is something in the archive"
    );
}

#[test]
fn a_new_store_is_empty() {
    let path = folder("new").join("store.redb");
    let (_, start, anchor) = Redb::open(&path, None).expect("it is made");
    assert_eq!(start.last, BatchNumber(0));
    assert!(start.jobs.is_empty() && start.archived.is_empty() && anchor.is_none());
}

#[test]
fn a_store_that_was_dropped_from_does_not_grow() {
    let batches = batches(2, 3000);
    let path = folder("grow").join("store.redb");
    let (mut store, _, _) = Redb::open(&path, None).expect("it opens");
    let mut sizes = Vec::new();
    for some in batches.chunks(100) {
        store
            .commit(some, &anchor(&some[99]))
            .expect("it is written");
        sizes.push(std::fs::metadata(&path).expect("it is there").len());
    }
    assert!(
        sizes[29] <= sizes[9] * 2,
        "few completed jobs are kept: {sizes:?}"
    );
}

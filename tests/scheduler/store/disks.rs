//! Everything that is written is read back.

use cook_scheduler::core::effect::BatchNumber;
use cook_scheduler::store::{Redb, Store as _};

use crate::script::{anchor, assert_same, batches, folder, image};

#[test]
fn a_start_finds_all_batches_however_they_were_grouped() {
    let batches = batches(1, 400);
    let path = folder("groupings").join("store.redb");
    let mut done = 0;
    // The first commit has one batch, and each further commit has more. The store is reopened before each.
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
        "there are archived jobs"
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
fn a_store_reuses_the_space_of_removed_jobs() {
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

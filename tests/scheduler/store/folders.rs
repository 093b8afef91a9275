//! Unusable folders and files are refused with an error text, and never treated as empty.

use std::fs;
use std::path::Path;
use std::process::Command;

use cook_scheduler::core::event::DiskSpace;
use cook_scheduler::store::{Folder, OpenError, RESERVE, Redb, Store as _};
use redb::{Database, TableDefinition};

use crate::script::{anchor, batches, folder, image};

fn refusal(path: &Path) -> String {
    match Redb::open(path, None) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

/// A store with some content.
fn filled(name: &str) -> std::path::PathBuf {
    let path = folder(name).join("store.redb");
    let (mut store, _, _) = Redb::open(&path, None).expect("it opens");
    let batches = batches(5, 100);
    store
        .commit(&batches, &anchor(&batches[99]))
        .expect("it is written");
    path
}

#[test]
fn two_schedulers_cannot_share_a_folder() {
    let path = folder("shared");
    let first = Folder::open(&path).expect("it is free");
    let text = Folder::open(&path).expect_err("it is taken").to_string();
    let pid = std::process::id();
    assert!(
        text.starts_with(&format!("another cook-scheduler (process {pid}) uses ")),
        "{text}"
    );
    drop(first);
    Folder::open(&path).expect("it is free again");
}

#[test]
fn a_folder_is_private_and_has_a_reserve() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder("mode").join("data");
    let mut taken = Folder::open(&path).expect("it is made");
    let mode = fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(taken.disk_space(), DiskSpace::Ample);
    assert_eq!(
        fs::metadata(path.join("reserve"))
            .expect("it is there")
            .len(),
        RESERVE
    );
    taken.release_reserve(|_| ());
    assert_eq!(taken.disk_space(), DiskSpace::ReserveOnly);
    assert!(!path.join("reserve").exists());
    taken.make_reserve(0);
    assert_eq!(taken.disk_space(), DiskSpace::Ample);
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let path = filled("newer");
    let database = Database::open(&path).expect("it opens");
    let write = database.begin_write().expect("it can be written");
    let meta = TableDefinition::<&str, &[u8]>::new("meta");
    {
        let mut meta = write.open_table(meta).expect("it is there");
        meta.insert("format", 99_u32.to_le_bytes().as_slice())
            .expect("it is written");
        meta.insert("program", b"7.0.0".as_slice())
            .expect("it is written");
    }
    write.commit().expect("it is written");
    drop(database);
    let text = refusal(&path);
    assert!(
        text.contains("has format 99, written by cook-scheduler 7.0.0"),
        "{text}"
    );
    assert!(text.contains("use that version or a newer one"), "{text}");
}

#[test]
fn other_files_are_refused() {
    let folder = folder("no store");
    let garbage = folder.join("garbage");
    fs::write(
        &garbage,
        b"this is no database at all, but it is a file of some length",
    )
    .expect("a file");
    assert!(
        refusal(&garbage).contains("is damaged or is not a store"),
        "{}",
        refusal(&garbage)
    );
    let place = folder.join("folder");
    fs::create_dir(&place).expect("a folder");
    assert!(
        refusal(&place).starts_with("cannot open "),
        "{}",
        refusal(&place)
    );
    let nowhere = folder.join("not/there/store.redb");
    assert!(
        refusal(&nowhere).contains("No such file"),
        "{}",
        refusal(&nowhere)
    );
}

#[test]
fn a_truncated_or_changed_store_is_refused_or_unaffected() {
    let path = filled("damaged");
    let good = fs::read(&path).expect("it can be read");
    let (_, start, _) = Redb::open(&path, None).expect("it opens");
    for cut in [1, 100, 320, 4096, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..cut]).expect("it can be cut");
        let text = refusal(&path);
        assert!(text.contains("damaged"), "cut to {cut}: {text}");
    }
    let mut refused = 0;
    for at in (0..good.len()).step_by(good.len() / 100) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        fs::write(&path, &bad).expect("it can be changed");
        // A change in unused space has no effect.
        match Redb::open(&path, None) {
            Ok((_, found, _)) => assert_eq!(found, start, "byte {at}"),
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(OpenError::Newer { .. }) => panic!("byte {at} is not part of the format"),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > 0, "some changes are detected");
    eprintln!("{refused} of 100 changed bytes were found");
}

#[test]
fn the_reserve_allows_ends_and_kills_on_a_full_disk() {
    let path = folder("tmpfs");
    match SmallDisk::mount(&path) {
        Some(_mount) => fill_and_free(&path),
        None => eprintln!("SKIPPED: needs root, to mount a small file system"),
    }
}

/// A file system of 40 MB that is mounted until this is dropped.
pub struct SmallDisk<'p>(&'p Path);

impl<'p> SmallDisk<'p> {
    /// `None` if mounting is not permitted.
    pub fn mount(path: &'p Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=40m,mode=700", "tmpfs"])
            .arg(path)
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn fill_and_free(path: &Path) {
    let batches = batches(6, 300);
    let mut folder = Folder::open(path).expect("it opens");
    assert_eq!(folder.disk_space(), DiskSpace::Ample);
    let (mut store, _, _) = cook_scheduler::store::open(&mut folder).expect("it opens");
    store
        .commit(&batches[..100], &anchor(&batches[99]))
        .expect("it is written");
    // A job fills the disk.
    let big = path.join("big");
    let mut filler = fs::File::create(&big).expect("it can be made");
    while std::io::Write::write_all(&mut filler, &[1; 4096]).is_ok() {}
    let mut done = 100;
    let error = loop {
        match store.commit(&batches[done..=done], &anchor(&batches[done])) {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 300, "the disk is full");
    };
    assert!(error.to_string().contains("No space left"), "{error}");
    folder.release_reserve(|_| ());
    assert_eq!(store.reopen().expect("there is space now").0, done as u64);
    for batch in &batches[done..] {
        store
            .commit(std::slice::from_ref(batch), &anchor(batch))
            .expect("there is space now");
    }
    folder.make_reserve(0);
    assert_eq!(
        folder.disk_space(),
        DiskSpace::ReserveOnly,
        "the disk is full still"
    );
    // Starts on a full disk.
    drop(store);
    let (store, start, _) =
        cook_scheduler::store::open(&mut folder).expect("it opens on a full disk");
    assert_eq!(start.disk_space, DiskSpace::ReserveOnly);
    assert_eq!(start.jobs, image(&batches).start().jobs);
    drop(filler);
    fs::remove_file(&big).expect("it can be removed");
    folder.make_reserve(0);
    assert_eq!(
        folder.disk_space(),
        DiskSpace::Ample,
        "there is space again"
    );
    drop(store);
}

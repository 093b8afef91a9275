//! Records as a damaged disk may return them: the scheduler's store and the agent's records are opened, or refused with
//! a text. The input is split into records by the bytes 0xff 0xff.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cook_agent::record::Records;
use cook_scheduler::core::Scheduler;
use cook_scheduler::core::settings::Settings;
use cook_scheduler::store::{Redb, Store};
use libfuzzer_sys::fuzz_target;
use redb::{Database, TableDefinition};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const HEADS: TableDefinition<u64, &[u8]> = TableDefinition::new("heads");
const SPECS: TableDefinition<u64, &[u8]> = TableDefinition::new("specs");
const INSTANCES: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("instances");
const GROUPS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("groups");

/// A folder in memory; each process of the fuzzer has its own.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/cook-fuzz-{}", std::process::id()));
    fs::create_dir_all(folder.join("records")).expect("a folder");
    folder
});

/// A store without jobs.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = FOLDER.join("empty");
    drop(Redb::open(&path, None).expect("a new store"));
    fs::read(path).expect("its bytes")
});

fuzz_target!(|input: &[u8]| {
    let records = FOLDER.join("records");
    fs::write(records.join("0"), input).expect("written");
    let (_, found) = Records::open(&records).expect("the folder can be read");
    assert!(found.len() <= 1);

    let path = FOLDER.join("store");
    fs::write(&path, &*EMPTY).expect("written");
    if fill(&path, input).is_none() {
        return;
    }
    match Redb::open(&path, None) {
        Ok((store, start, _)) => {
            let keys: Vec<_> = start.archived.iter().map(|archived| archived.key).collect();
            let archive = store.archive();
            for key in keys {
                // A record may be readable as a head, and not as a job.
                let _ = archive.job(key);
            }
            let scheduler = Scheduler::new(Settings::embedded([7; 16]), start);
            let _ = scheduler.next_deadline();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

/// Fills all tables with pieces of the input.
fn fill(path: &Path, input: &[u8]) -> Option<()> {
    let mut pieces = Vec::new();
    let mut rest = input;
    while let Some(end) = rest.windows(2).position(|two| two == [0xff, 0xff]) {
        pieces.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    pieces.push(rest);
    let mut pieces = pieces.into_iter();
    let database = Database::open(path).ok()?;
    let write = database.begin_write().ok()?;
    {
        let mut heads = write.open_table(HEADS).ok()?;
        let mut specs = write.open_table(SPECS).ok()?;
        let mut instances = write.open_table(INSTANCES).ok()?;
        let mut groups = write.open_table(GROUPS).ok()?;
        let mut meta = write.open_table(META).ok()?;
        heads.insert(1, pieces.next()?).ok()?;
        if let Some(spec) = pieces.next() {
            specs.insert(1, spec).ok()?;
        }
        if let Some(group) = pieces.next() {
            groups.insert([7; 16], group).ok()?;
        }
        if let Some(anchor) = pieces.next() {
            meta.insert("anchor", anchor).ok()?;
        }
        for (number, instance) in (0..).zip(pieces) {
            instances.insert((1, number), instance).ok()?;
        }
    }
    write.commit().ok()
}

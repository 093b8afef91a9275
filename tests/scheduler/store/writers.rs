//! The writing thread: how it groups batches, and what it does on failures.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use cook_scheduler::core::effect::BatchNumber;
use cook_scheduler::core::event::{DiskSpace, Event, StoreFault};
use cook_scheduler::core::words::{BootId, Clock, Uptime, Wall};
use cook_scheduler::store::{Fault, Folder, Memory, Writer};

use crate::folders::SmallDisk;
use crate::script::{batches, folder, image};

fn start(store: &Memory) -> (Writer, Receiver<Event>) {
    let (tell, events) = channel();
    let clock = Clock::resume(None, BootId([1; 16]), Uptime(Duration::ZERO), Wall(0));
    let report = move |event, _text| {
        let _ = tell.send(event);
    };
    (
        Writer::start(store.clone(), None, clock, report).expect("a thread"),
        events,
    )
}

fn next(events: &Receiver<Event>) -> Event {
    events
        .recv_timeout(Duration::from_secs(20))
        .expect("the writer reports something")
}

#[test]
fn dropping_the_writer_waits_until_everything_is_written() {
    let batches = batches(1, 500);
    let store = Memory::default();
    let (writer, events) = start(&store);
    for batch in &batches {
        writer.store(batch.clone());
    }
    drop(writer);
    let last = events.iter().last().expect("something was stored");
    assert_eq!(last, Event::Stored(batches[499].number));
    assert_eq!(store.image(), image(&batches));
}

#[test]
fn after_a_failure_batches_are_lost_until_the_store_is_reopened() {
    for (fault, written) in [
        (Fault::Lost(StoreFault::Failed), 10),
        (Fault::Written(StoreFault::DiskFull), 11),
    ] {
        let batches = batches(1, 20);
        let store = Memory::default();
        let (writer, events) = start(&store);
        for batch in &batches[..10] {
            writer.store(batch.clone());
        }
        while next(&events) != Event::Stored(batches[9].number) {}
        store.fail(fault, false);
        writer.store(batches[10].clone());
        let Event::StoreFailed(_) = next(&events) else {
            panic!("it was events to fail")
        };
        // Arrives after the failure, so it is lost.
        writer.store(batches[11].clone());
        writer.reopen();
        let Event::StoreFailed(StoreFault::Failed) = next(&events) else {
            panic!("it does not open")
        };
        store.heal();
        writer.reopen();
        let last = batches[written - 1].number;
        assert_eq!(
            next(&events),
            Event::StoreReopened {
                last,
                disk_space: DiskSpace::Ample
            }
        );
        assert_eq!(store.image(), image(&batches[..written]));
        writer.store(batches[written].clone());
        assert_eq!(next(&events), Event::Stored(batches[written].number));
    }
}

#[test]
fn a_full_disk_and_free_space_are_reported() {
    fill_and_free(FillMode::Once);
}

#[test]
fn a_full_disk_and_free_space_are_reported_while_a_job_takes_all_free_space() {
    fill_and_free(FillMode::Endless);
}

fn fill_and_free(mode: FillMode) {
    let path = folder(match mode {
        FillMode::Once => "writer tmpfs",
        FillMode::Endless => "writer tmpfs, endless",
    });
    let Some(mount) = SmallDisk::mount(&path) else {
        eprintln!("SKIPPED: needs root, to mount a small file system");
        return;
    };
    let batches = batches(6, 2000);
    let mut folder = Folder::open(&path).expect("it opens");
    let (store, _, _) = cook_scheduler::store::open(&mut folder).expect("it opens");
    let (tell, events) = channel();
    let clock = Clock::resume(None, BootId([1; 16]), Uptime(Duration::ZERO), Wall(0));
    let report = move |event, _text| {
        let _ = tell.send(event);
    };
    let writer = Writer::start(store, Some(folder), clock, report).expect("a thread");
    let big = path.join("big");
    let filler = Filler::start(&big, mode);
    let mut done = 0;
    while done < batches.len() {
        writer.store(batches[done].clone());
        match next(&events) {
            Event::Stored(_) => done += 1,
            Event::StoreFailed(StoreFault::DiskFull) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(done < batches.len(), "the disk is full");
    writer.reopen();
    let last = BatchNumber(done as u64);
    assert_eq!(
        next(&events),
        Event::StoreReopened {
            last,
            disk_space: DiskSpace::ReserveOnly
        }
    );
    for batch in &batches[done..done + 500] {
        writer.store(batch.clone());
        assert_eq!(
            next(&events),
            Event::Stored(batch.number),
            "the reserve is in use"
        );
    }
    drop(filler);
    std::fs::remove_file(&big).expect("it can be removed");
    assert_eq!(next(&events), Event::DiskSpaceChanged(DiskSpace::Ample));
    drop(writer);
    drop(mount);
}

/// How much disk space a job takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FillMode {
    /// The space that is free now.
    Once,
    /// Also the space that becomes free later.
    Endless,
}

/// A job that fills the disk until it is dropped.
struct Filler {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Filler {
    /// Returns when the disk is full.
    fn start(path: &std::path::Path, mode: FillMode) -> Self {
        let stop = Arc::new(AtomicBool::new(mode == FillMode::Once));
        let mut file = std::fs::File::create(path).expect("it can be made");
        while file.write_all(&[1; 4096]).is_ok() {}
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                if file.write_all(&[1; 4096]).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

//! kill -9 at any moment. The test program starts itself again as the process to kill.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use cook_scheduler::store::{Redb, Store as _};

use crate::script::{anchor, assert_same, batches, folder, image};

const VICTIM: &str = "COOK_STORE_VICTIM";
const BATCHES: usize = 1000;

/// Not a test of its own: writes batches and reports which are stored, until it is killed.
#[test]
fn victim() {
    let Ok(path) = std::env::var(VICTIM) else {
        return;
    };
    let batches = batches(8, BATCHES);
    let (mut store, start, _) = Redb::open(path.as_ref(), None).expect("it opens");
    let mut done = start.last.0 as usize;
    while done < BATCHES {
        let count = (1 + done % 5).min(BATCHES - done);
        let some = &batches[done..done + count];
        store
            .commit(some, &anchor(&some[count - 1]))
            .expect("it is written");
        done += count;
        println!("stored {done}");
    }
}

#[test]
fn what_was_stored_survives_kill_9() {
    let batches = batches(8, BATCHES);
    let path = folder("kills").join("store.redb");
    let program = std::env::current_exe().expect("this program");
    let mut kills = 0;
    loop {
        let mut child = Command::new(&program)
            .args(["--exact", "kills::victim", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        // It is killed after this number of commits, usually during the next one.
        let enough = 3 + kills * 7 % 40;
        let mut reported = 0;
        let mut is_done = true;
        for (count, line) in output
            .lines()
            .map_while(Result::ok)
            .filter(|line| line.starts_with("stored"))
            .enumerate()
        {
            reported = line[7..].parse::<usize>().expect("a number");
            if count == enough {
                child.kill().expect("it can be killed");
                is_done = false;
            }
        }
        child.wait().expect("it ends");
        let (store, start, _) = Redb::open(&path, None).expect("it opens after a kill");
        let last = start.last.0 as usize;
        assert!(
            last >= reported,
            "{reported} were reported, and {last} are there"
        );
        let image = image(&batches[..last]);
        assert_eq!(start, image.start());
        assert_same(&image, &*store.archive());
        if is_done {
            break;
        }
        kills += 1;
    }
    eprintln!("{kills} kills, nothing lost");
    assert!(kills >= 5);
}

//! The progress that a task writes to its progress file, stderr and stdout, as users of Cook do.
//!
//! The files are read directly. There is no pipe between a task and its output, so reading never slows a
//! task down. A look reads everything new and sends the latest value; then nothing happens until a file
//! changes. After the last process has ended, there is one more look, which begins at the end of each file.
//! It is limited in bytes here, and in time by the core.

pub mod file;
pub mod watch;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Timer;
use cook_http::task;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{or, yield_now};
use tracing::debug;

use crate::codec::tracking::pattern::Pattern;
use crate::core::event::{Event, TaskEvent};
use crate::core::progress::Reading;
use crate::world::inbox::Incoming;
use crate::world::tracking::file::{CHUNK, Followed, Step};
use crate::world::tracking::watch::Watch;

/// The minimum time between two looks: a task that writes all the time wakes us twenty times a second.
const PAUSE: Duration = Duration::from_millis(50);

/// An unfinished line is read after this time: a progress bar may end each line only when the next one
/// begins.
const SETTLING: Duration = Duration::from_secs(1);

/// A step usually takes a few hundredths of a millisecond. A pattern that takes longer has no literal to
/// search for. It gets only half of the time, so that commands, kills and the API do not wait for it.
const LONG_STEP: Duration = Duration::from_millis(1);

/// Output that was not read before the task's end is read in blocks, the last one first, because only the
/// latest progress counts and time is short.
const BLOCK: u64 = 8 << 20;

/// Maximum number of bytes in the last look, if nothing is found earlier.
const LAST_LOOK: u64 = 1 << 30;

/// How to read output.
pub struct Rules {
    /// The pattern of progress; `None` if tracking is turned off.
    pub pattern: Option<Pattern>,
    /// See [`Lines::new`](crate::codec::tracking::lines::Lines::new).
    pub line_limit: usize,
    /// The folder of the task's `stdout` and `stderr`.
    pub sandbox: PathBuf,
}

/// Follows the files of one task.
pub struct Tracker {
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    rules: Rules,
    /// Closed to request the last look.
    running: Option<Sender<()>>,
}

/// The state of the task that reads the files.
struct Tracking {
    files: Vec<Followed>,
    pattern: Pattern,
    watch: Watch,
    inbox: Sender<Incoming>,
}

// === impl Tracker ===

impl Tracker {
    /// Progress goes to `inbox`.
    pub fn new(
        rules: Rules,
        executor: Rc<LocalExecutor<'static>>,
        inbox: Sender<Incoming>,
    ) -> Self {
        Self {
            executor,
            inbox,
            rules,
            running: None,
        }
    }

    /// Follows `progress_file`, stderr and stdout from now on, unless tracking is turned off.
    pub fn start(&mut self, progress_file: &Path) {
        let Some(pattern) = self.rules.pattern.take() else {
            return;
        };
        let (running, finished) = bounded(1);
        self.running = Some(running);
        let sandbox = &self.rules.sandbox;
        let paths = [
            progress_file.to_owned(),
            sandbox.join("stderr"),
            sandbox.join("stdout"),
        ];
        let limit = self.rules.line_limit;
        let mut files = paths.map(|path| Followed::new(path, limit));
        // Only a progress file may be rewritten with the same contents.
        let [progress_file, _, _] = &mut files;
        progress_file.notice_the_same();
        let tracking = Tracking {
            files: files.into(),
            pattern,
            watch: Watch::open(),
            inbox: self.inbox.clone(),
        };
        task::spawn(&self.executor, tracking.run(finished)).detach();
    }

    /// Requests the last look. [`TaskEvent::TrackingEnded`] follows, or is returned if nothing was
    /// followed.
    pub fn finish(&mut self) -> Option<Event> {
        match self.running.take() {
            Some(_) => None,
            None => Some(Event::Task(TaskEvent::TrackingEnded)),
        }
    }
}

// === impl Tracking ===

impl Tracking {
    async fn run(mut self, finished: Receiver<()>) {
        // Nothing is ever sent; the channel is only closed.
        let is_over = async || {
            let _ = finished.recv().await;
        };
        let pause = async || {
            Timer::after(PAUSE).await;
        };
        while !finished.is_closed() {
            self.look(&finished).await;
            or(self.changed(), is_over()).await;
            or(pause(), is_over()).await;
        }
        for at in 0..self.files.len() {
            let reading = self.look_back(at).await;
            self.send(reading).await;
        }
        self.send_event(Event::Task(TaskEvent::TrackingEnded)).await;
        for file in &self.files {
            debug!("read {}: {} bytes", file.path().display(), file.read);
        }
        self.watch.leave();
    }

    /// Reads everything new and watches for more, until the last look is requested. A file that grows
    /// faster than it can be read does not hide the others.
    async fn look(&mut self, finished: &Receiver<()>) {
        let mut buffer = Vec::new();
        self.watch.begin();
        for file in &mut self.files {
            file.begin(&mut self.watch);
        }
        let mut is_new = true;
        while std::mem::take(&mut is_new) {
            for at in 0..self.files.len() {
                if self.is_another_ones(at) {
                    continue;
                }
                let begin = Instant::now();
                let watch = Some(&mut self.watch);
                let step = self.files[at].step(&self.pattern, &mut buffer, watch);
                if let Step::More { reading, length } = step {
                    is_new = true;
                    self.send(reading).await;
                    let_others(begin, length).await;
                }
                if finished.is_closed() {
                    return;
                }
            }
        }
    }

    /// The latest progress in the unread part of a file, after the last process has ended.
    async fn look_back(&mut self, at: usize) -> Option<Reading> {
        let mut buffer = Vec::new();
        // Usually there is little to read, or nothing.
        let few = self.files[at].offset() + CHUNK as u64;
        let (before, is_all) = self.read_until(at, Some(few), &mut buffer).await;
        if is_all {
            return before;
        }
        let rest = self.files[at].rest();
        let oldest = rest.start.max(rest.end.saturating_sub(LAST_LOOK));
        let mut end = rest.end;
        loop {
            let start = oldest.max(end.saturating_sub(BLOCK));
            self.files[at].go_to(start);
            let until = (end < rest.end).then_some(end);
            let (newest, _) = self.read_until(at, until, &mut buffer).await;
            if newest.is_some() || start <= oldest {
                return newest.or(before);
            }
            end = start;
        }
    }

    /// Reads on in the file with this index, up to the offset `place` or to the end of the file. Returns the last
    /// progress found, and whether the end of the file was reached.
    async fn read_until(
        &mut self,
        at: usize,
        place: Option<u64>,
        buffer: &mut Vec<u8>,
    ) -> (Option<Reading>, bool) {
        let mut newest = None;
        let mut is_all = self.is_another_ones(at);
        while !is_all && place.is_none_or(|place| self.files[at].offset() < place) {
            let begin = Instant::now();
            match self.files[at].step(&self.pattern, buffer, None) {
                Step::More { reading, length } => {
                    newest = reading.or(newest);
                    let_others(begin, length).await;
                    is_all = self.is_another_ones(at);
                }
                Step::Done => is_all = true,
            }
        }
        (self.files[at].lines().end(&self.pattern).or(newest), is_all)
    }

    /// Waits until something has changed. Meanwhile, unfinished lines are read.
    async fn changed(&mut self) {
        let mut files = self.files.iter_mut();
        if files.any(|file| file.lines().is_unsettled()) {
            let changed = async {
                self.watch.changed().await;
                true
            };
            let settled = async {
                Timer::after(SETTLING).await;
                false
            };
            if or(changed, settled).await {
                return;
            }
            for at in 0..self.files.len() {
                let reading = self.files[at].lines().settle(&self.pattern);
                self.send(reading).await;
            }
        }
        self.watch.changed().await;
    }

    /// Whether an earlier path leads to the same file.
    fn is_another_ones(&self, at: usize) -> bool {
        let identity = self.files[at].identity();
        let mut earlier = self.files[..at].iter();
        identity.is_some() && earlier.any(|file| file.identity() == identity)
    }

    async fn send(&self, reading: Option<Reading>) {
        if let Some(reading) = reading {
            self.send_event(Event::Task(TaskEvent::Tracked(reading)))
                .await;
        }
    }

    async fn send_event(&self, event: Event) {
        // The receiver lives as long as the runtime.
        let _ = self.inbox.send(Incoming::Event(event)).await;
    }
}

/// Gives other tasks a turn after a step that has read this many bytes.
async fn let_others(begin: Instant, length: usize) {
    let taken = begin.elapsed();
    // A step that takes long with few bytes was interrupted by other programs.
    if length == CHUNK && taken > LONG_STEP {
        Timer::after(taken).await;
    } else {
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;

    use super::*;

    /// The progress found in a file of this size that is empty except for these texts, and that was not
    /// read before its task ended.
    fn found(name: &str, size: u64, texts: &[(u64, &str)]) -> Vec<f64> {
        let folder = std::env::temp_dir().join(format!("tracking-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder of ours");
        let (inbox, events) = bounded(8);
        let executor = Rc::new(LocalExecutor::new());
        let rules = Rules {
            pattern: Pattern::new("progress: ([0-9]+), (.*)").ok(),
            line_limit: 64,
            sandbox: folder.clone(),
        };
        let mut tracker = Tracker::new(rules, Rc::clone(&executor), inbox);
        tracker.start(&folder.join("progress"));
        let file = File::create(folder.join("stdout")).expect("a file of ours");
        file.set_len(size).expect("a sparse file");
        for (place, text) in texts {
            file.write_all_at(text.as_bytes(), *place)
                .expect("there is room");
        }
        assert_eq!(tracker.finish(), None);
        let mut found = Vec::new();
        smol::block_on(executor.run(async {
            loop {
                match events.recv().await {
                    Ok(Incoming::Event(Event::Task(TaskEvent::Tracked(reading)))) => {
                        found.push(reading.percent.get());
                    }
                    Ok(Incoming::Event(Event::Task(TaskEvent::TrackingEnded))) => break,
                    other => panic!("{other:?}"),
                }
            }
        }));
        fs::remove_dir_all(&folder).expect("ours");
        found
    }

    #[test]
    fn only_the_end_of_a_large_file_is_read_if_there_is_progress_in_it() {
        let texts = [
            (0, "progress: 1, a\n"),
            (5 * BLOCK - 20, "progress: 2, b\n"),
        ];
        assert_eq!(found("end", 5 * BLOCK, &texts), [2.0]);
    }

    #[test]
    fn progress_far_before_the_end_is_found_too() {
        let texts = [(0, "progress: 1, a\n"), (30, "progress: 2, b\n")];
        assert_eq!(found("far", 5 * BLOCK, &texts), [2.0]);
        assert!(found("none", 5 * BLOCK, &[]).is_empty());
    }

    #[test]
    fn progress_is_found_where_two_blocks_meet() {
        for before in [0, 1, 5, 14, 15] {
            let texts = [(2 * BLOCK - before, "progress: 2, b\n")];
            let name = format!("meet-{before}");
            assert_eq!(found(&name, 3 * BLOCK, &texts), [2.0], "{before}");
        }
    }

    #[test]
    fn nothing_is_followed_without_a_pattern() {
        let (inbox, _events) = bounded(1);
        let rules = Rules {
            pattern: None,
            line_limit: 64,
            sandbox: PathBuf::new(),
        };
        let mut tracker = Tracker::new(rules, Rc::new(LocalExecutor::new()), inbox);
        tracker.start(Path::new("progress"));
        assert_eq!(
            tracker.finish(),
            Some(Event::Task(TaskEvent::TrackingEnded))
        );
    }
}

//! The progress that a task writes into its progress file, its stderr and its stdout, as Cook's users do.
//!
//! The files are read where they lie: no pipe stands between a task and its output, and a task is never
//! slower for being read. A look reads everything that is new, and sends on the newest value; then
//! nothing happens until a file changes. After the last process has ended comes one more look, bounded,
//! which always sees the end of each file.

pub mod file;
pub mod lines;
pub mod pattern;
pub mod watch;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{or, yield_now};
use tracing::{debug, warn};

use crate::core::event::Event;
use crate::core::progress::Reading;
use crate::inbox::Incoming;
use crate::tracking::file::{Followed, Step};
use crate::tracking::pattern::Pattern;
use crate::tracking::watch::Watch;

/// Between two looks: a task that writes all the time wakes us twenty times a second.
const PAUSE: Duration = Duration::from_millis(50);

/// A line that has not ended for so long is read as it is: a progress bar may end its lines when the
/// next one begins.
const SETTLING: Duration = Duration::from_secs(1);

/// So many steps are taken before others have their turn: well below a millisecond.
const STEPS: usize = 4;

/// Of what a task wrote faster than it was read, so many last bytes are read after its end: about 1.5
/// million lines, in a few hundredths of a second.
const LAST_LOOK: u64 = 32 << 20;

/// How output is read.
pub struct Rules {
    /// What progress looks like; absent if nobody wants to know.
    pub pattern: Option<Pattern>,
    /// See [`lines::Lines::new`].
    pub line_limit: usize,
    /// Where the task's `stdout` and `stderr` are.
    pub sandbox: PathBuf,
}

/// Follows the files of one task.
pub struct Tracker {
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    rules: Rules,
    /// Closed when the last look is to be taken.
    running: Option<Sender<()>>,
}

/// What the task around the files knows.
struct Tracking {
    files: Vec<Followed>,
    pattern: Pattern,
    watch: Watch,
    inbox: Sender<Incoming>,
}

// === impl Tracker ===

impl Tracker {
    /// What is read goes to `inbox`.
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

    /// Follows `progress_file`, stderr and stdout from now on, if anybody wants to know.
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
        let tracking = Tracking {
            files: paths.map(|path| Followed::new(path, limit)).into(),
            pattern,
            watch: Watch::open(),
            inbox: self.inbox.clone(),
        };
        self.executor.spawn(tracking.run(finished)).detach();
    }

    /// Asks for the last look; [`Event::TrackingEnded`] follows, at once if nothing was followed.
    pub fn finish(&mut self) -> Option<Event> {
        match self.running.take() {
            Some(_) => None,
            None => Some(Event::TrackingEnded),
        }
    }
}

// === impl Tracking ===

impl Tracking {
    async fn run(mut self, finished: Receiver<()>) {
        // Nobody sends anything: it ends when it is closed.
        let is_over = async || {
            let _ = finished.recv().await;
        };
        let pause = async || {
            Timer::after(PAUSE).await;
        };
        while !finished.is_closed() {
            self.look(Some(&finished)).await;
            or(self.changed(), is_over()).await;
            or(pause(), is_over()).await;
        }
        for at in 0..self.files.len() {
            let reading = self.files[at].skip_to_last(&self.pattern, LAST_LOOK);
            self.send(reading).await;
        }
        self.look(None).await;
        for at in 0..self.files.len() {
            let reading = self.files[at].lines().end(&self.pattern);
            self.send(reading).await;
        }
        self.tell(Event::TrackingEnded).await;
        for file in &self.files {
            let (path, read, skipped) = (file.path().display(), file.read, file.skipped);
            debug!("read {path}: {read} bytes");
            if skipped > 0 {
                warn!("left out {skipped} bytes of {path} before its end, read {read}");
            }
        }
    }

    /// Reads everything that is new. Unless it is the last one, it ends early when that is wanted, and
    /// watches what it has read.
    async fn look(&mut self, finished: Option<&Receiver<()>>) {
        let mut buffer = Vec::new();
        let mut newest = None;
        let mut steps = 0;
        self.watch.begin();
        for at in 0..self.files.len() {
            if finished.is_some() {
                self.files[at].begin(&mut self.watch);
            }
            loop {
                if self.is_another_ones(at) {
                    break;
                }
                let watch = finished.map(|_| &mut self.watch);
                let Step::More(reading) = self.files[at].step(&self.pattern, &mut buffer, watch)
                else {
                    break;
                };
                newest = reading.or(newest);
                steps += 1;
                if steps % STEPS == 0 {
                    self.send(newest.take()).await;
                    yield_now().await;
                    if finished.is_some_and(Receiver::is_closed) {
                        return;
                    }
                }
            }
        }
        self.send(newest).await;
    }

    /// Waits until something has changed; meanwhile, a line that has not ended is read as it is.
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

    /// Whether a file is one that an earlier path means, too.
    fn is_another_ones(&self, at: usize) -> bool {
        let identity = self.files[at].identity();
        let mut earlier = self.files[..at].iter();
        identity.is_some() && earlier.any(|file| file.identity() == identity)
    }

    async fn send(&self, reading: Option<Reading>) {
        if let Some(reading) = reading {
            self.tell(Event::Tracked(reading)).await;
        }
    }

    async fn tell(&self, event: Event) {
        // The loop reads as long as it runs.
        let _ = self.inbox.send(Incoming::Event(event)).await;
    }
}

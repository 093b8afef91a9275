//! Waits until something happens to a file, without looking at it again and again: inotify.
//!
//! Every watch fires once and is set again by the next look. So a task that writes a million lines pays
//! for one of them, and nothing is left to be undone when a file goes away. Where watches cannot be had
//! (each user has a limited number), time takes their place.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use smol::future::{or, pending};
use tracing::warn;

/// Looks without watches: as often as progress is reported at most, unless the operator says otherwise.
const BLIND_LOOK: Duration = Duration::from_secs(1);

/// A file was written to, truncated, renamed or removed.
const FILE: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONESHOT);

/// Something came into a folder, or may be read now, or the folder itself goes away.
const FOLDER: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONESHOT);

/// Room for what a few watches can tell before they are set again; names are up to 255 bytes long.
const EVENTS: usize = 2048;

/// The watches set since the last look.
pub struct Watch {
    inotify: Option<Async<OwnedFd>>,
    /// Something is not watched: only time tells.
    is_blind: bool,
    has_warned: bool,
}

// === impl Watch ===

impl Watch {
    /// Nothing is watched yet.
    pub fn open() -> Self {
        let mut watch = Self {
            inotify: None,
            is_blind: false,
            has_warned: false,
        };
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(std::io::Error::from)
            .and_then(Async::new_nonblocking);
        match inotify {
            Ok(inotify) => watch.inotify = Some(inotify),
            Err(error) => watch.warn(&error),
        }
        watch
    }

    /// Leaves the watches to the end of the process: to close an inotify takes some 15 ms, in which
    /// nothing else would happen here, and the end of the task has not been told yet.
    pub fn leave(self) {
        std::mem::forget(self.inotify);
    }

    /// Forgets that something could not be watched: everything is about to be watched again.
    pub fn begin(&mut self) {
        self.is_blind = self.inotify.is_none();
    }

    /// Wakes up when this file changes.
    pub fn file(&mut self, file: BorrowedFd<'_>) {
        // By its path it might be another file by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Err(error) = self.add(Path::new(&path), FILE) {
            self.give_up(error);
        }
    }

    /// Wakes up when something appears at `path`, or on the way to it.
    ///
    /// What appeared just before is for the caller to find: by looking again after this.
    pub fn absent(&mut self, path: &Path) {
        let mut watched = None;
        // Until a watch was set before it was seen that nothing nearer exists.
        loop {
            match self.nearest_folder(path) {
                Ok(nearest) if nearest == 1 || watched == Some(nearest) => return,
                Ok(nearest) => watched = Some(nearest),
                Err(error) => return self.give_up(error),
            }
        }
    }

    /// Watches the nearest folder above `path` that exists; says how far above it is.
    fn nearest_folder(&self, path: &Path) -> Result<usize, Errno> {
        let mut result = Err(Errno::NOENT);
        for (distance, folder) in path.ancestors().enumerate().skip(1) {
            let is_here = folder.as_os_str().is_empty();
            let folder = if is_here { Path::new(".") } else { folder };
            result = self.add(folder, FOLDER).map(|()| distance);
            if !matches!(result, Err(Errno::NOENT | Errno::NOTDIR)) {
                break;
            }
        }
        result
    }

    /// Waits until something that is watched has changed, or it is time to look.
    pub async fn changed(&self) {
        let told = async {
            match &self.inotify {
                // What cannot be waited for is looked at from time to time.
                Some(inotify) if inotify.readable().await.is_ok() => {}
                Some(_) | None => pending().await,
            }
        };
        let timed = async {
            match self.is_blind {
                true => drop(Timer::after(BLIND_LOOK).await),
                false => pending().await,
            }
        };
        or(told, timed).await;
        if let Some(inotify) = &self.inotify {
            // What has happened is of no interest: the look that follows sees it all.
            let _ = rustix::io::read(inotify, &mut [0; EVENTS]);
        }
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> Result<(), Errno> {
        match &self.inotify {
            Some(inotify) => add_watch(inotify, path, flags).map(drop),
            None => Ok(()),
        }
    }

    fn give_up(&mut self, error: Errno) {
        self.is_blind = true;
        self.warn(&error.into());
    }

    fn warn(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            warn!("failed to watch the task's output, looking every {BLIND_LOOK:?}: {error}");
        }
    }
}

/// Whether one file was written to since a moment, even if what was written is what had been there.
pub struct Changes {
    /// Never closed, as in [`Watch::leave`].
    inotify: ManuallyDrop<OwnedFd>,
}

// === impl Changes ===

impl Changes {
    /// From now on; nothing where that cannot be had.
    pub fn watch(path: &Path) -> Option<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        add_watch(&inotify, path, WatchFlags::MODIFY | WatchFlags::ONESHOT).ok()?;
        Some(Self {
            inotify: ManuallyDrop::new(inotify),
        })
    }

    /// True once, after the first of them.
    pub fn have_come(&self) -> bool {
        rustix::io::read(&*self.inotify, &mut [0; EVENTS]).is_ok()
    }
}

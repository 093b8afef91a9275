//! Waits for changes of files with inotify instead of polling.
//!
//! Every watch fires once, and is set again by the next look. So a task that writes a million lines causes
//! one event, and nothing must be undone when a file disappears. Without inotify (each user has a limited
//! number of watches) the files are polled.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use smol::future::{or, pending};
use tracing::warn;

/// The interval of polling. It is the default interval of progress messages.
const BLIND_LOOK: Duration = Duration::from_secs(1);

/// A file was written to, truncated, renamed or removed.
const FILE: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONESHOT);

/// A file appeared in a folder or became readable, or the folder itself disappeared.
const FOLDER: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONESHOT);

/// Space for the events of a few watches before they are set again; a name has up to 255 bytes.
const EVENTS: usize = 2048;

/// The watches that were set since the last look.
pub struct Watch {
    inotify: Option<Async<OwnedFd>>,
    /// Something could not be watched, so files are polled.
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

    /// Leaves the watches until the process exits. Closing an inotify descriptor takes some 15 ms, and the
    /// end of the task has not been reported yet.
    pub fn leave(self) {
        std::mem::forget(self.inotify);
    }

    /// Begins a look, in which everything is watched again.
    pub fn begin(&mut self) {
        self.is_blind = self.inotify.is_none();
    }

    /// Wakes up when this file changes.
    pub fn file(&mut self, file: BorrowedFd<'_>) {
        // The path of the file may belong to another file by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Err(error) = self.add(Path::new(&path), FILE) {
            self.give_up(error);
        }
    }

    /// Wakes up when something appears at `path`, or when one of its folders appears.
    ///
    /// The caller must look again after this call, because the file may have appeared just before.
    pub fn absent(&mut self, path: &Path) {
        let mut watched = None;
        // Repeated until the nearest folder is the same before and after a watch was set.
        loop {
            match self.nearest_folder(path) {
                Ok(nearest) if nearest == 1 || watched == Some(nearest) => return,
                Ok(nearest) => watched = Some(nearest),
                Err(error) => return self.give_up(error),
            }
        }
    }

    /// Watches the nearest existing folder above `path`. Returns how far above it is.
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

    /// Waits until something that is watched has changed, or the interval of polling is over.
    pub async fn changed(&self) {
        let changed = async {
            match &self.inotify {
                // If waiting fails, the files are polled.
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
        or(changed, timed).await;
        if let Some(inotify) = &self.inotify {
            // The events themselves are not needed: the next look sees all changes.
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
            warn!("failed to watch the task's output; polling every {BLIND_LOOK:?}: {error}");
        }
    }
}

/// Whether a file was written to since a certain time, even if its contents are the same.
pub struct Changes {
    /// Never closed, for the same reason as in [`Watch::leave`].
    inotify: ManuallyDrop<OwnedFd>,
}

// === impl Changes ===

impl Changes {
    /// Watches from now on; `None` if that is not possible.
    pub fn watch(path: &Path) -> Option<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        add_watch(&inotify, path, WatchFlags::MODIFY | WatchFlags::ONESHOT).ok()?;
        Some(Self {
            inotify: ManuallyDrop::new(inotify),
        })
    }

    /// True once, after the first write.
    pub fn have_come(&self) -> bool {
        rustix::io::read(&*self.inotify, &mut [0; EVENTS]).is_ok()
    }
}

//! A file to which a task may write progress. It may appear late, be truncated, moved, replaced, or never
//! exist. A file that is not regular or not readable counts as missing. What was in a file before the task
//! started is ignored.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use crate::codec::tracking::lines::Lines;
use crate::codec::tracking::pattern::Pattern;
use crate::core::progress::Reading;
use crate::world::regular;
use crate::world::tracking::watch::{Changes, Watch};

/// Maximum size of one read: as much as stays in a core's cache.
pub const CHUNK: usize = 64 << 10;

/// How many of the bytes read last are remembered, to detect a file that was rewritten. Files that are
/// rewritten each time are usually shorter.
const MARK: usize = 1 << 10;

/// A file, and how far it was read.
pub struct Followed {
    path: PathBuf,
    /// The contents before the task; `None` once the task has overwritten them.
    before: Option<Before>,
    open: Option<Open>,
    lines: Lines,
    /// Whether its folder is watched since this look began.
    is_awaited: bool,
    /// The number of bytes read from all files at this path.
    pub read: u64,
}

/// A file that was not empty before the task started.
struct Before {
    identity: Identity,
    size: u64,
    /// Its last bytes, as in [`Open::mark`].
    mark: Vec<u8>,
    /// Whether it was written to since then; `None` if that does not matter or cannot be found out.
    changes: Option<Changes>,
}

struct Open {
    file: File,
    identity: Identity,
    /// Where the task's output begins.
    begin: u64,
    /// Where to continue reading.
    offset: u64,
    /// The bytes before `offset`. If they change, the file was rewritten.
    mark: Vec<u8>,
}

/// Identifies a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// The result of one step of a look.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more to read.
    More {
        /// The latest progress in what was read.
        reading: Option<Reading>,
        /// The number of bytes that were read.
        length: usize,
    },
    /// There is nothing to read at the moment.
    Done,
}

// === impl Followed ===

impl Followed {
    /// Must be called before the task starts: only later output is the task's. For the limit see
    /// [`Lines::new`].
    pub fn new(path: PathBuf, line_limit: usize) -> Self {
        Self {
            before: Before::look(&path),
            path,
            open: None,
            lines: Lines::new(line_limit),
            is_awaited: false,
            read: 0,
        }
    }

    /// From now on, writing the same contents again counts as well.
    pub fn notice_the_same(&mut self) {
        if let Some(before) = &mut self.before {
            before.changes = Changes::watch(&self.path);
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, if it exists.
    pub fn identity(&self) -> Option<Identity> {
        self.open.as_ref().map(|open| open.identity)
    }

    /// Begins a look. Changes from here on wake the watch.
    pub fn begin(&mut self, watch: &mut Watch) {
        self.is_awaited = false;
        if let Some(open) = &self.open {
            watch.file(open.file.as_fd());
        }
    }

    /// Reads on, or follows the path to another file. `watch` is `None` in the last look.
    pub fn step(
        &mut self,
        pattern: &Pattern,
        buffer: &mut Vec<u8>,
        watch: Option<&mut Watch>,
    ) -> Step {
        let found = rustix::fs::stat(&self.path).ok().filter(is_regular);
        let Some(open) = &mut self.open else {
            return match found.map(|_| Open::new(&self.path)) {
                Some(Ok(open)) => self.follow(open.behind(self.before.as_ref()), watch),
                Some(Err(_)) | None => self.wait(watch),
            };
        };
        let is_same = found.map(|stat| Identity::of(&stat) == open.identity);
        let size = found
            .filter(|_| is_same == Some(true))
            .map(|stat| stat_size(&stat));
        let is_anew = |stat: &Stat| {
            let before = self.before.as_ref();
            let is_same_again = before.is_some_and(|before| before.is_written_again(stat));
            stat_size(stat) < open.offset || is_same_again || open.is_rewritten()
        };
        if is_same == Some(true) && found.as_ref().is_some_and(is_anew) {
            // The task has truncated and rewritten it, so nothing in it is from before the task.
            self.before = None;
            open.begin = 0;
            open.go_to(0);
            return Step::turned(self.lines.end(pattern));
        }
        if size == Some(open.offset) {
            return Step::Done;
        }
        let length = open.read(buffer, size);
        if length > 0 {
            self.read += length as u64;
            let reading = self.lines.take(pattern, &buffer[..length]);
            return Step::More { reading, length };
        }
        match is_same {
            Some(true) => Step::Done,
            // It was replaced, and has been read to its end.
            Some(false) => {
                self.open = None;
                Step::turned(self.lines.end(pattern))
            }
            // It was moved or removed; the task may still have it open.
            None => self.wait(watch),
        }
    }

    /// Where to continue reading.
    pub fn offset(&self) -> u64 {
        let before = self.before.as_ref().map_or(0, |before| before.size);
        self.open.as_ref().map_or(before, |open| open.offset)
    }

    /// The part that was not read yet, up to the present end.
    pub fn rest(&self) -> Range<u64> {
        let Some(open) = &self.open else { return 0..0 };
        let size = open.file.metadata().map_or(0, |metadata| metadata.len());
        open.offset..size.max(open.offset)
    }

    /// Continues at another place, or rather as far before it as a match may begin.
    pub fn go_to(&mut self, place: u64) {
        let Some(open) = &mut self.open else { return };
        let place = place.saturating_sub(self.lines.overlap());
        open.go_to(place.max(open.begin));
        self.lines.clear();
    }

    /// See [`Lines`].
    pub fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    fn follow(&mut self, open: Open, watch: Option<&mut Watch>) -> Step {
        if let Some(watch) = watch {
            watch.file(open.file.as_fd());
        }
        self.open = Some(open);
        // It may have been replaced before the watch was set.
        Step::turned(None)
    }

    /// Waits for the file. One more step checks whether it has appeared meanwhile.
    fn wait(&mut self, watch: Option<&mut Watch>) -> Step {
        match watch {
            Some(watch) if !self.is_awaited => {
                self.is_awaited = true;
                watch.absent(&self.path);
                Step::turned(None)
            }
            Some(_) | None => Step::Done,
        }
    }
}

// === impl Step ===

impl Step {
    /// Nothing was read, but the next step may find something.
    fn turned(reading: Option<Reading>) -> Self {
        Self::More { reading, length: 0 }
    }
}

// === impl Open ===

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let (file, stat) = regular::read(path)?;
        Ok(Self {
            file: File::from(file),
            identity: Identity::of(&stat),
            begin: 0,
            offset: 0,
            mark: Vec::new(),
        })
    }

    /// Skips the contents from before the task, if it is the same file.
    fn behind(self, before: Option<&Before>) -> Self {
        match before {
            Some(before) if before.identity == self.identity => Self {
                begin: before.size,
                offset: before.size,
                mark: before.mark.clone(),
                ..self
            },
            Some(_) | None => self,
        }
    }

    fn go_to(&mut self, offset: u64) {
        self.offset = offset;
        self.mark.clear();
    }

    /// Whether what was read has been overwritten: the file was truncated, and has as many bytes again at
    /// the next look.
    fn is_rewritten(&self) -> bool {
        let mut now = [0; MARK];
        let now = &mut now[..self.mark.len()];
        let start = self.offset - self.mark.len() as u64;
        // If it cannot be read, it is not read again from the beginning.
        self.file.read_exact_at(now, start).is_ok() && now != self.mark
    }

    /// Reads on; an unreadable file has nothing more. `size` is its size, if known.
    fn read(&mut self, buffer: &mut Vec<u8>, size: Option<u64>) -> usize {
        let rest = size.and_then(|size| usize::try_from(size - self.offset).ok());
        let most = rest.map_or(CHUNK, |rest| rest.min(CHUNK));
        if buffer.len() < most {
            *buffer = vec![0; most];
        }
        let length = self.file.read_at(buffer, self.offset).unwrap_or(0);
        self.offset += length as u64;
        let text = &buffer[..length];
        self.mark.extend(&text[length.saturating_sub(MARK)..]);
        self.mark.drain(..self.mark.len().saturating_sub(MARK));
        length
    }
}

// === impl Before ===

impl Before {
    /// The file that is at this path now; `None` if it is not a regular file or is empty.
    fn look(path: &Path) -> Option<Self> {
        let stat = rustix::fs::stat(path).ok()?;
        if !is_regular(&stat) || stat_size(&stat) == 0 {
            return None;
        }
        // A file that is not readable now may become readable later.
        let opened = Open::new(path).ok();
        let opened = opened.filter(|open| open.identity == Identity::of(&stat));
        let size = stat_size(&stat);
        let length = size.min(MARK as u64);
        let mut mark = vec![0; MARK.min(length as usize)];
        let is_read = opened.is_some_and(|open| {
            let read = open.file.read_exact_at(&mut mark, size - length);
            read.is_ok()
        });
        if !is_read {
            mark.clear();
        }
        Some(Self {
            identity: Identity::of(&stat),
            size,
            mark,
            changes: None,
        })
    }

    /// Whether the task has written the same contents again. Modification times cannot show it, because
    /// touch(1) changes them, too.
    fn is_written_again(&self, stat: &Stat) -> bool {
        let is_as_before = Identity::of(stat) == self.identity && stat_size(stat) == self.size;
        is_as_before && self.changes.as_ref().is_some_and(Changes::have_come)
    }
}

// === impl Identity ===

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn stat_size(stat: &Stat) -> u64 {
    stat.st_size.unsigned_abs()
}

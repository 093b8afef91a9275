//! Opens files in folders where others can create names: only regular files, and without blocking.
//!
//! The sandbox belongs to the task, and a framework's `uris` are fetched into it before we start. A name
//! there may be a FIFO, whose opening waits for the other end, a device, whose opening may have an effect,
//! or a link to a file of somebody else. So the type is checked before the file is opened, and again on the
//! open descriptor; opening never blocks.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, open, statat};
use rustix::io::Errno;

/// Opens a file for reading. Links are followed: the task may use links to its own files.
///
/// # Errors
///
/// It is not a regular file, or cannot be read.
pub fn read(path: &Path) -> io::Result<(OwnedFd, Stat)> {
    check(&statat(CWD, path, AtFlags::empty())?)?;
    opened(open(path, OFlags::RDONLY | SAFE, Mode::empty())?)
}

/// Opens a file for appending, and creates it if necessary. Links are not followed, and a file with several
/// names (hard links) is refused, because it may also be somebody else's file.
///
/// # Errors
///
/// It is not a regular file with a single name, or cannot be written.
pub fn append(path: &Path) -> io::Result<OwnedFd> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => check(&stat)?,
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | SAFE;
    let (file, stat) = opened(open(path, flags, Mode::from(0o644))?)?;
    if stat.st_nlink > 1 {
        return Err(io::Error::other("it has another name too (a hard link)"));
    }
    Ok(file)
}

/// Opening a FIFO does not block, a terminal does not become our controlling terminal, and commands do not
/// inherit it.
const SAFE: OFlags = OFlags::NONBLOCK
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The name may belong to another file by now. Only the descriptor shows what was opened.
fn opened(file: OwnedFd) -> io::Result<(OwnedFd, Stat)> {
    let stat = fstat(&file)?;
    check(&stat)?;
    Ok((file, stat))
}

fn check(stat: &Stat) -> io::Result<()> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown type",
    };
    Err(io::Error::other(format!(
        "it is {kind}, not a regular file"
    )))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("regular-{}-{name}", std::process::id()));
            fs::create_dir(&path).expect("a folder of ours");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_blocks() {
        let folder = Folder::new("types");
        let at = |name: &str| folder.0.join(name);
        rustix::fs::mkfifoat(CWD, at("fifo"), Mode::from(0o600)).expect("a FIFO");
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        fs::create_dir(at("directory")).expect("a folder");
        symlink("/dev/null", at("device")).expect("a link");
        symlink("nowhere", at("dangling")).expect("a link");
        for name in ["fifo", "socket", "directory", "device", "dangling"] {
            assert!(read(&at(name)).is_err(), "{name}");
            assert!(append(&at(name)).is_err(), "{name}");
        }
        // With a reader, opening the FIFO would succeed immediately.
        let both = OFlags::RDWR | OFlags::CLOEXEC;
        let _reader = open(at("fifo"), both, Mode::empty()).expect("a FIFO");
        assert!(append(&at("fifo")).is_err());
        assert!(append(Path::new("/dev/null")).is_err());
        assert!(!at("nowhere").exists());
    }

    #[test]
    fn links_are_followed_for_reading_only() {
        let folder = Folder::new("links");
        let (file, link, name) = (
            folder.0.join("file"),
            folder.0.join("link"),
            folder.0.join("name"),
        );
        fs::write(&file, "text").expect("a file");
        symlink(&file, &link).expect("a link");
        assert!(append(&file).is_ok());
        assert!(read(&link).is_ok() && append(&link).is_err());
        fs::hard_link(&file, &name).expect("another name");
        assert!(read(&name).is_ok() && append(&name).is_err());
        assert!(append(&folder.0.join("new")).is_ok());
    }
}

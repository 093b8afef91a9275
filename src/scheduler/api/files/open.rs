//! Opens files below a sandbox and nothing else, whatever links and names a job has created there.
//!
//! The kernel resolves the path (`openat2` with `RESOLVE_BENEATH`): neither a link nor `..` can lead
//! out of the sandbox, and nothing can be exchanged between a check and its use. Without `openat2`, the
//! path is resolved component by component, without following links. The type of a file is checked
//! through an `O_PATH` descriptor before the file is opened for reading: opening a FIFO would wake its
//! writer, and opening a device can have any effect.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, open, openat, openat2};
use rustix::io::Errno;

/// How often a path is resolved while files are renamed. A job that renames all the time must not keep the thread busy.
const ATTEMPTS: usize = 64;

/// Something below a sandbox.
#[derive(Debug)]
pub enum Opened {
    /// A regular file, open for reading.
    File(File),
    /// A folder; files in it can be opened through this descriptor.
    Folder(OwnedFd),
}

/// Opens `path` below `sandbox`.
///
/// # Errors
///
/// `NotFound` if it does not exist, lies outside the sandbox, or is neither a regular file nor a
/// folder.
pub fn below(sandbox: &Path, path: &Path) -> io::Result<Opened> {
    let path = relative(path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let root = open(sandbox, flags, Mode::empty())?;
    let found = match resolve(root.as_fd(), &path) {
        Err(Errno::NOSYS | Errno::PERM) => walk(root.as_fd(), &path),
        other => other,
    };
    let found = found.map_err(|errno| match errno {
        // A link that leads out, a loop of links, a file where a folder should be, or an impossible name.
        Errno::XDEV
        | Errno::LOOP
        | Errno::NOTDIR
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::AGAIN => hidden(),
        other => other.into(),
    })?;
    let kind = rustix::fs::FileType::from_raw_mode(fstat(&found)?.st_mode);
    if kind.is_dir() {
        return Ok(Opened::Folder(found));
    }
    if !kind.is_file() {
        return Err(hidden());
    }
    Ok(Opened::File(readable(&found)?.into()))
}

/// Opens what an `O_PATH` descriptor refers to for reading.
pub fn readable(found: &OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let name = format!("/proc/self/fd/{}", found.as_raw_fd());
    // These flags avoid waiting for the holder of a lease, and becoming the terminal of a session.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(open(name, flags, Mode::empty())?)
}

fn hidden() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// The path as a relative one. `..` is kept; the kernel checks it.
fn relative(path: &Path) -> io::Result<std::path::PathBuf> {
    let mut plain = std::path::PathBuf::from(".");
    for component in path.components() {
        match component {
            Component::Normal(_) | Component::ParentDir => plain.push(component),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(hidden()),
        }
    }
    Ok(plain)
}

fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    for _ in 1..ATTEMPTS {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // Something was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    openat2(root, path, flags, Mode::empty(), resolve)
}

/// Resolves a path component by component, without following links.
fn walk(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut depth = vec![openat(root, ".", flags | OFlags::DIRECTORY, Mode::empty())?];
    for component in path.components() {
        match component {
            Component::ParentDir if depth.len() > 1 => {
                depth.pop();
            }
            Component::ParentDir => return Err(Errno::XDEV),
            Component::Normal(name) => {
                let here = depth.last().ok_or(Errno::XDEV)?;
                let found = openat(here, name, flags, Mode::empty())?;
                let kind = rustix::fs::FileType::from_raw_mode(fstat(&found)?.st_mode);
                if kind.is_symlink() {
                    return Err(Errno::XDEV);
                }
                depth.push(found);
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    depth.pop().ok_or(Errno::XDEV)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A sandbox, and a secret file outside it.
    fn scratch(name: &str) -> (Scratch, PathBuf) {
        let top = std::env::temp_dir().join(format!("cook-open-{name}-{}", std::process::id()));
        let sandbox = top.join("sandbox");
        fs::create_dir_all(sandbox.join("sub/deep")).expect("made");
        fs::write(top.join("secret"), "secret").expect("written");
        fs::write(sandbox.join("stdout"), "hello").expect("written");
        fs::write(sandbox.join("sub/deep/file"), "deep").expect("written");
        (Scratch(top), sandbox)
    }

    fn read(sandbox: &Path, path: &str) -> Option<String> {
        match below(sandbox, Path::new(path)) {
            Ok(Opened::File(mut file)) => {
                let mut text = String::new();
                file.read_to_string(&mut text).expect("text");
                Some(text)
            }
            Ok(Opened::Folder(_)) => Some("folder".to_owned()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}: {error}");
                None
            }
        }
    }

    #[test]
    fn files_below_the_sandbox_are_opened() {
        let (_scratch, sandbox) = scratch("below");
        symlink("sub/deep/file", sandbox.join("link")).expect("made");
        for (path, wanted) in [
            ("stdout", "hello"),
            ("./stdout", "hello"),
            ("sub//deep/file", "deep"),
            ("sub/../stdout", "hello"),
            ("link", "deep"),
            ("", "folder"),
            ("sub/", "folder"),
        ] {
            assert_eq!(read(&sandbox, path).as_deref(), Some(wanted), "{path}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_sandbox() {
        let (scratch, sandbox) = scratch("out");
        symlink("../secret", sandbox.join("up")).expect("made");
        symlink(scratch.0.join("secret"), sandbox.join("absolute")).expect("made");
        symlink("..", sandbox.join("parent")).expect("made");
        symlink("loop", sandbox.join("loop")).expect("made");
        symlink("/proc/self/root", sandbox.join("root")).expect("made");
        for path in [
            "../secret",
            "sub/../../secret",
            "/etc/passwd",
            "up",
            "absolute",
            "parent/secret",
            "loop",
            "root/etc/passwd",
            "stdout/x",
            "nothing",
            "stdout\0",
            &"x".repeat(5000),
        ] {
            assert_eq!(read(&sandbox, path), None, "{path}");
        }
    }

    #[test]
    fn fifos_and_sockets_are_not_opened() {
        use rustix::fs::{CWD, FileType, mknodat};
        let (_scratch, sandbox) = scratch("kinds");
        let fifo = sandbox.join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("made");
        std::os::unix::net::UnixListener::bind(sandbox.join("socket")).expect("bound");
        for path in ["fifo", "socket"] {
            assert_eq!(read(&sandbox, path), None, "{path}");
        }
    }

    #[test]
    fn without_openat2_no_path_leads_out_either() {
        let (_scratch, sandbox) = scratch("hand");
        symlink("../secret", sandbox.join("up")).expect("made");
        symlink("..", sandbox.join("parent")).expect("made");
        let root = open(&sandbox, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("there");
        let found = |path: &str| walk(root.as_fd(), Path::new(path)).is_ok();
        assert!(found("stdout") && found("sub/deep/file") && found("sub/../stdout") && found("."));
        for path in [
            "../secret",
            "sub/../../secret",
            "up",
            "parent/secret",
            "stdout/x",
        ] {
            assert!(!found(path), "{path}");
        }
    }
}

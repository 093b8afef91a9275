//! Reading files of `/proc`.

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;

/// Reads a file of `/proc` as text. Its length is not known in advance, so the standard library would read
/// it in pieces of 32 bytes.
///
/// # Errors
///
/// It does not exist, or no descriptor is free.
pub fn read_text(path: &str) -> io::Result<String> {
    let content = read(path)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Reads a file of `/proc` as bytes.
///
/// # Errors
///
/// See [`read_text`].
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let (mut content, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match retry_on_intr(|| rustix::io::read(&file, &mut chunk))? {
            0 => return Ok(content),
            length => content.extend_from_slice(&chunk[..length]),
        }
    }
}

//! Sixteen random bytes, even without `getrandom`: in old kernels, and with strict seccomp filters.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{Mode, OFlags};
use rustix::rand::GetRandomFlags;

/// Random bytes that make this executor unique. They are not secret.
///
/// # Errors
///
/// Neither the system call nor `/dev/urandom` works. In that case the standard library's hash maps, which
/// some dependencies use, would abort the program.
pub fn seed() -> io::Result<[u8; 16]> {
    by_call().or_else(|_| by_device())
}

fn by_call() -> io::Result<[u8; 16]> {
    let mut seed = [0; 16];
    let length = rustix::rand::getrandom(&mut seed, GetRandomFlags::empty())?;
    match length == seed.len() {
        true => Ok(seed),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn by_device() -> io::Result<[u8; 16]> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let device = rustix::fs::open("/dev/urandom", flags, Mode::empty())?;
    let mut seed = [0; 16];
    File::from(device).read_exact(&mut seed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_gives_random_bytes() {
        for way in [by_call, by_device] {
            let (one, other) = (way().expect("random"), way().expect("random"));
            assert!(one != other && one != [0; 16]);
        }
    }
}

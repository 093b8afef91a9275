//! Sixteen random bytes, wherever they come from: old kernels and strict seccomp filters have no
//! `getrandom`.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};
use rustix::rand::GetRandomFlags;

/// The type of the entry in `/proc/self/auxv` that points to sixteen random bytes (getauxval(3)).
const AT_RANDOM: usize = 25;

/// Random bytes, which tell this executor from all others. They are no secret.
///
/// # Errors
///
/// The kernel gives none in any of three ways.
pub fn seed() -> io::Result<[u8; 16]> {
    by_call()
        .or_else(|_| by_device())
        .or_else(|_| by_auxiliary_vector())
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

/// What the kernel gives to each program that it starts. The C library uses some of these bytes for secrets
/// of its own: only a hash of them is passed on.
fn by_auxiliary_vector() -> io::Result<[u8; 16]> {
    const WORD: usize = size_of::<usize>();
    let vector = std::fs::read("/proc/self/auxv")?;
    let (words, _) = vector.as_chunks::<WORD>();
    let (entries, _) = words.as_chunks::<2>();
    let random = entries
        .iter()
        .map(|entry| entry.map(usize::from_ne_bytes))
        .find(|[kind, _]| *kind == AT_RANDOM);
    let [_, address] = random.ok_or(io::ErrorKind::NotFound)?;
    let mut bytes = [0; 16];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, address as u64)?;
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        hasher.write_u8(salt);
        u128::from(hasher.finish())
    };
    Ok((half(1) << 64 | half(2)).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_gives_random_bytes() {
        for way in [by_call, by_device] {
            let (one, other) = (way().expect("random"), way().expect("random"));
            assert!(one != other && one != [0; 16]);
        }
        // The same for the whole life of a program.
        let seed = by_auxiliary_vector().expect("random");
        assert_eq!(Some(seed), by_auxiliary_vector().ok());
        assert_ne!(seed[..8], seed[8..]);
    }
}

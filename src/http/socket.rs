//! Connected sockets of both families: how to get one, who is at its other end, and reading from it
//! without a buffer that waits.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_io::Async;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

/// A connected socket of either family. As a file it reads and writes the same way.
pub type Socket = Async<File>;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP socket. Whose it is, [`super::owner`] finds out if both ends are on this host.
    Tcp {
        /// The client's end.
        client: SocketAddr,
        /// Our own end.
        server: SocketAddr,
    },
    /// A process that has connected to a unix domain socket, as the kernel saw it then.
    Unix {
        /// Its id.
        process: i32,
        /// Its effective user.
        user: u32,
        /// Its effective group.
        group: u32,
    },
    /// The kernel does not say.
    Unknown,
}

/// How much is read at once; a request, an answer and an event hardly ever have more.
pub(super) const READ_SIZE: usize = 4 << 10;

/// A connection that the network has forgotten is noticed after about a minute (MESOS-7057). The
/// kernel does the asking: it wakes nobody while the other end answers.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;

/// Begins a connection by TCP. It may still be on its way then: the first write waits for it, and fails
/// if it does.
///
/// # Errors
///
/// There is no socket to be had, or no way to the address.
pub fn connect_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = open(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })?;
    // A request is one write: nothing is gained by waiting for more of it.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_COUNT)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Async::new_nonblocking(File::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Connects to a unix domain socket, whose path may have any length.
///
/// # Errors
///
/// Nobody listens there, or nobody who has room for another connection.
pub fn connect_unix(path: &Path) -> io::Result<Socket> {
    let (path, _folder) = short_enough(path);
    let socket = open(AddressFamily::UNIX)?;
    connect(&socket, &SocketAddrUnix::new(&path)?)?;
    Async::new_nonblocking(File::from(socket))
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// A path of 108 bytes or more is no address (unix(7)); its folder then has a shorter name while it is
/// held open.
pub(super) fn short_enough(path: &Path) -> (PathBuf, Option<OwnedFd>) {
    const MAX_PATH: usize = 107;
    if path.as_os_str().len() > MAX_PATH
        && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        && let Ok(held) = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    {
        let short = format!("/proc/self/fd/{}", held.as_raw_fd());
        return (Path::new(&short).join(name), Some(held));
    }
    (path.to_owned(), None)
}

/// Appends what there is to `buffer`, and waits while there is nothing. 0 is the end.
///
/// # Errors
///
/// The connection is broken.
pub async fn read_some<T>(stream: &Async<T>, buffer: &mut Vec<u8>) -> io::Result<usize>
where
    for<'a> &'a T: Read,
{
    // Nothing is held meanwhile: a buffer would be a page for each connection.
    let read = stream.read_with(|mut stream| {
        let mut chunk = [0; READ_SIZE];
        let length = stream.read(&mut chunk)?;
        buffer.extend_from_slice(&chunk[..length]);
        Ok(length)
    });
    read.await
}

/// Ends the writing side, so that the other end sees that there is no more to come.
pub(super) fn end_writing(socket: &Socket) {
    // It fails only if the other end is gone, which the next read will find too.
    let _ = rustix::net::shutdown(socket.get_ref(), rustix::net::Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_socket_may_have_a_path_of_any_length() {
        let mut folder = std::env::temp_dir();
        folder.push(format!("cook-{}-{}", std::process::id(), "x".repeat(150)));
        std::fs::create_dir(&folder).expect("a folder");
        let path = folder.join("agent.sock");
        let (short, held) = short_enough(&path);
        assert!(held.is_some() && short.as_os_str().len() < 108);
        let listener = std::os::unix::net::UnixListener::bind(&short).expect("a socket");
        assert!(connect_unix(&path).is_ok());
        drop(listener);
        std::fs::remove_dir_all(&folder).expect("ours");
    }
}

//! Connected sockets, TCP and unix domain: how to connect, who is at the other end, and reading without
//! holding a buffer.

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

/// A connected socket. It is used as a file, so that both families read and write the same way.
pub type Socket = Async<File>;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP socket. If both ends are on this host, [`super::owner`] can find out its user.
    Tcp {
        /// The client's end.
        client: SocketAddr,
        /// Our own end.
        server: SocketAddr,
    },
    /// A process that connected to a unix domain socket, as the kernel recorded it at that time.
    Unix {
        /// Its process id.
        process: i32,
        /// Its effective user id.
        user: u32,
        /// Its effective group id.
        group: u32,
    },
    /// The kernel reports nothing.
    Unknown,
}

/// How much is read at once. Requests, responses and events are hardly ever longer.
pub(super) const READ_SIZE: usize = 4 << 10;

/// With these values, a connection that the network has dropped is noticed after about a minute
/// (MESOS-7057). The kernel sends the probes, and wakes the program only if the other end does not answer.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;

/// Starts a TCP connection. It may not be established yet: the first write waits for that, and reports a
/// failure.
///
/// # Errors
///
/// No descriptor is free, or there is no route to the address.
pub fn connect_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = open(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })?;
    // A request is one write, so delaying it gains nothing.
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

/// Connects to a unix domain socket. Its path may have any length.
///
/// # Errors
///
/// No process listens there, or its queue is full.
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

/// A path of 108 bytes or more does not fit into a socket address (unix(7)). In that case the folder is
/// opened, and the path through its descriptor is short while it stays open.
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

/// Appends to `buffer` what has arrived, and waits until there is something. 0 means the end.
///
/// # Errors
///
/// The connection failed.
pub async fn read_some<T>(stream: &Async<T>, buffer: &mut Vec<u8>) -> io::Result<usize>
where
    for<'a> &'a T: Read,
{
    // No buffer is held while waiting: it would be a page of memory for each connection.
    let read = stream.read_with(|mut stream| {
        let mut chunk = [0; READ_SIZE];
        let length = stream.read(&mut chunk)?;
        buffer.extend_from_slice(&chunk[..length]);
        Ok(length)
    });
    read.await
}

/// Shuts down the writing side, so that the other end sees the end of the data.
pub(super) fn end_writing(socket: &Socket) {
    // This fails only if the other end has disconnected, which the next read reports too.
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

//! Where a server listens, and how fast it accepts connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, bind,
    getsockname, listen, socket_with, sockopt,
};
use rustix::time::{ClockId, clock_gettime};

use crate::socket::{Peer, short_enough};

/// Maximum number of connections that wait to be accepted; the kernel limits it to `net.core.somaxconn`.
/// The kernel drops any further connection, and its client tries again only after a second. While a flood
/// fits into the queue, it delays other clients by milliseconds instead of seconds.
const BACKLOG: i32 = 4096;

/// How many connections are accepted before other tasks have a turn.
pub(super) const BATCH: usize = 16;

/// In each window, at most `SHARE` of processor time is spent on accepting. The rest belongs to the
/// accepted connections and to the rest of the program.
const WINDOW: Duration = Duration::from_millis(10);
const SHARE: Duration = Duration::from_millis(5);

/// How long to wait after a failed accept. Without free descriptors, the connection stays in the queue and
/// the listener stays readable, so trying again at once would be a busy loop.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening TCP or unix domain socket.
#[derive(Debug)]
pub struct Listener {
    socket: Async<OwnedFd>,
    address: Option<SocketAddr>,
}

/// Limits the processor time that is spent on accepting.
pub(super) struct Pace {
    window: Instant,
    spent: Duration,
}

// === impl Listener ===

impl Listener {
    /// Listens at a TCP address; port 0 selects a free port.
    ///
    /// # Errors
    ///
    /// The address is in use or not of this host, or no descriptor is free.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = open(match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        })?;
        // Connections of an earlier server at this address may still be in TIME_WAIT.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        let address = SocketAddr::try_from(getsockname(&socket)?)?;
        let socket = Async::new_nonblocking(socket)?;
        let address = Some(address);
        Ok(Self { socket, address })
    }

    /// Listens at a new unix domain socket. Its path may have any length.
    ///
    /// # Errors
    ///
    /// The path exists, or is not writable.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let (path, _folder) = short_enough(path);
        let socket = open(AddressFamily::UNIX)?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        listen(&socket, BACKLOG)?;
        let socket = Async::new_nonblocking(socket)?;
        let address = None;
        Ok(Self { socket, address })
    }

    /// The TCP address; `None` for a unix domain socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits until a connection can be accepted.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Accepts a connection; `None` if none is waiting.
    pub(super) fn accept(&self) -> io::Result<Option<(OwnedFd, Peer)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match acceptfrom_with(self.socket.get_ref(), flags) {
            Ok((socket, from)) => {
                let peer = self.peer(&socket, from);
                Ok(Some((socket, peer)))
            }
            Err(error) if error == rustix::io::Errno::AGAIN => Ok(None),
            // The client closed the connection before it was accepted.
            Err(error) if error == rustix::io::Errno::CONNABORTED => Ok(None),
            Err(error) if error == rustix::io::Errno::INTR => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn peer(&self, socket: &OwnedFd, from: Option<SocketAddrAny>) -> Peer {
        let Some(server) = self.address else {
            return sockopt::socket_peercred(socket).map_or(Peer::Unknown, |peer| Peer::Unix {
                process: peer.pid.as_raw_pid(),
                user: peer.uid.as_raw(),
                group: peer.gid.as_raw(),
            });
        };
        let client = from.and_then(|from| SocketAddr::try_from(from).ok());
        // If the listener has a wildcard address, ask the connection for its local address.
        let server = match server.ip().is_unspecified() {
            true => getsockname(socket)
                .ok()
                .and_then(|name| SocketAddr::try_from(name).ok()),
            false => Some(server),
        };
        match client.zip(server) {
            Some((client, server)) => Peer::Tcp { client, server },
            None => Peer::Unknown,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

// === impl Pace ===

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            window: Instant::now(),
            spent: Duration::ZERO,
        }
    }

    /// The processor time of this thread. Unlike the time of day, it does not count what other programs do.
    pub(super) fn clock() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap_or_default()
    }

    /// Counts the time of a batch that began at `start`, and waits for the next window if too much was
    /// used.
    pub(super) async fn after_batch(&mut self, start: Duration) {
        let now = Instant::now();
        if now.duration_since(self.window) >= WINDOW {
            *self = Self::new();
        }
        self.spent += Self::clock().saturating_sub(start);
        if self.spent >= SHARE {
            Timer::at(self.window + WINDOW).await;
            *self = Self::new();
        }
    }
}

//! Where a server listens, and how fast it takes what comes there.

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

/// How many connections may wait to be accepted. The kernel cuts it to `net.core.somaxconn`. It drops
/// what finds no room, and the client's kernel tries again after a second only: a flood that fits costs
/// a friend milliseconds, one that does not costs seconds.
const BACKLOG: i32 = 4096;

/// How many connections are accepted in one go, before everybody else has a turn.
pub(super) const BATCH: usize = 16;

/// Of each window, at most this much of a processor is spent on accepting, whatever comes: the rest
/// belongs to those who are served, and to the rest of the program.
const WINDOW: Duration = Duration::from_millis(10);
const SHARE: Duration = Duration::from_millis(5);

/// How long to wait after a failed accept. Out of descriptors, the connection stays where it is and
/// the listener readable: trying again at once would be a busy loop.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket of either family.
#[derive(Debug)]
pub struct Listener {
    socket: Async<OwnedFd>,
    address: Option<SocketAddr>,
}

/// How much time accepting has taken of the current window.
pub(super) struct Pace {
    window: Instant,
    spent: Duration,
}

// === impl Listener ===

impl Listener {
    /// Listens at a TCP address; port 0 is any port that is free.
    ///
    /// # Errors
    ///
    /// The address is in use or not ours, or there is no descriptor.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = open(match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        })?;
        // Connections of a server that was here before may still be in TIME_WAIT.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        let address = SocketAddr::try_from(getsockname(&socket)?)?;
        let socket = Async::new_nonblocking(socket)?;
        let address = Some(address);
        Ok(Self { socket, address })
    }

    /// Listens at a new unix domain socket, whose path may have any length.
    ///
    /// # Errors
    ///
    /// There is something at the path, or no right to write there.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let (path, _folder) = short_enough(path);
        let socket = open(AddressFamily::UNIX)?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        listen(&socket, BACKLOG)?;
        let socket = Async::new_nonblocking(socket)?;
        let address = None;
        Ok(Self { socket, address })
    }

    /// The TCP address; `None` of a unix domain socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits until a connection can be accepted.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes a connection; `None` if none waits.
    pub(super) fn accept(&self) -> io::Result<Option<(OwnedFd, Peer)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match acceptfrom_with(self.socket.get_ref(), flags) {
            Ok((socket, from)) => {
                let peer = self.peer(&socket, from);
                Ok(Some((socket, peer)))
            }
            Err(error) if error == rustix::io::Errno::AGAIN => Ok(None),
            // It was given up by its client before it was accepted, which concerns nobody here.
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
        // Of a listener at any address, the connection knows which one it came to.
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

    /// The clock that accepting is measured by: what the thread has worked, so that a machine that does
    /// other things meanwhile slows nobody down twice.
    pub(super) fn clock() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap_or_default()
    }

    /// Notes what a batch took that began at `start`, and waits for the next window if it was too much.
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

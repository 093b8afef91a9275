//! Sockets for the agent: a TCP port that can stop listening and come back, a listening unix socket,
//! and a connection of either kind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, sockopt};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A peer that reads nothing for this long counts as gone; the agent must never hang with it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a connection reached the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The address in `MESOS_AGENT_ENDPOINT`.
    Tcp,
    /// The path in `MESOS_DOMAIN_SOCKET`.
    Unix,
}

/// A listening socket. Clones share it.
#[derive(Clone, Debug)]
pub struct Listener {
    socket: Arc<OwnedFd>,
    transport: Transport,
}

/// A TCP port on 127.0.0.1 that stays ours while nobody listens on it, so that an agent that is
/// away refuses connections, and comes back where it was.
#[derive(Debug)]
pub struct Port {
    socket: Arc<OwnedFd>,
    address: SocketAddr,
}

/// One accepted connection. Clones share the socket; the last one to go closes it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<File>);

// === impl Port ===

impl Port {
    /// Reserves a free port without listening on it yet.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn reserve() -> io::Result<Self> {
        // The kernel gives a port that it chose itself away at shutdown(2), but keeps one that was
        // asked for by number: so one socket finds the number and a second one asks for it.
        let finder = bind(0)?;
        let address = SocketAddr::try_from(net::getsockname(&finder)?)?;
        Ok(Self {
            socket: Arc::new(bind(address.port())?),
            address,
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts listening, at first or again.
    ///
    /// # Errors
    ///
    /// Those of listen(2).
    pub fn listen(&self) -> io::Result<Listener> {
        net::listen(&self.socket, BACKLOG)?;
        Ok(Listener {
            socket: self.socket.clone(),
            transport: Transport::Tcp,
        })
    }
}

/// A TCP socket bound to `port` on loopback that does not listen.
fn bind(port: u16) -> io::Result<OwnedFd> {
    let socket = net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

// === impl Listener ===

impl Listener {
    /// Listens on a unix socket at `path`, in the place of one left there by a former agent.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn unix(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            socket: Arc::new(OwnedFd::from(UnixListener::bind(path)?)),
            transport: Transport::Unix,
        })
    }

    /// How the connections of this listener arrive.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// After [`Listener::close`], always.
    pub fn accept(&self) -> io::Result<Connection> {
        let socket = net::accept_with(&self.socket, SocketFlags::CLOEXEC)?;
        if self.transport == Transport::Tcp {
            sockopt::set_tcp_nodelay(&socket, true)?;
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(WRITE_TIMEOUT))?;
        Ok(Connection(Arc::new(File::from(socket))))
    }

    /// Refuses connections from now on and wakes the thread in [`Listener::accept`].
    pub fn close(&self) {
        // Fails only if it was closed before.
        let _ = net::shutdown(&self.socket, Shutdown::Both);
    }
}

// === impl Connection ===

impl Connection {
    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// The peer is gone, or has read nothing for ten seconds.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.0).write_all(bytes)
    }

    /// Ends the connection in order: the peer reads everything that was sent, then end of file.
    pub fn close(&self) {
        let _ = net::shutdown(&*self.0, Shutdown::Both);
    }

    /// Ends the connection by a reset, as a machine that lost power does. It goes out when the last
    /// clone is dropped, which the thread that reads from it is woken up for. (A unix socket has no
    /// resets: there it is an end of file in the middle of things.)
    pub fn reset(&self) {
        let _ = sockopt::set_socket_linger(&*self.0, Some(Duration::ZERO));
        let _ = net::shutdown(&*self.0, Shutdown::Read);
    }

    /// Whether the peer still holds its end open and has sent nothing that waits to be read.
    pub fn is_open(&self) -> bool {
        let mut byte = [0];
        let peeked = net::recv(
            &*self.0,
            &mut byte[..],
            RecvFlags::PEEK | RecvFlags::DONTWAIT,
        );
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

/// A unix socket's path, unlinked when the agent is done with it.
#[derive(Debug)]
pub struct SocketPath(pub PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_port_refuses_and_comes_back_where_it_was() {
        let port = Port::reserve().unwrap();
        for _ in 0..3 {
            let refused = TcpStream::connect(port.address()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let listener = port.listen().unwrap();
            let client = TcpStream::connect(port.address()).unwrap();
            let connection = listener.accept().unwrap();
            assert!(connection.is_open());
            drop(client);
            assert!(!connection.is_open());
            listener.close();
            assert!(listener.accept().is_err());
        }
    }

    #[test]
    fn a_reset_is_seen_as_one_by_the_peer() {
        let port = Port::reserve().unwrap();
        let listener = port.listen().unwrap();
        let mut client = TcpStream::connect(port.address()).unwrap();
        let connection = listener.accept().unwrap();
        connection.reset();
        drop(connection);
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

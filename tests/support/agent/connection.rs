//! Sockets for the agent: a TCP port that can stop listening and listen again, a listening unix domain
//! socket, and connections of both kinds.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, sockopt};

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a write may wait for the peer to read. After this time the peer counts as gone, so that no peer can
/// block the agent for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a connection has reached the agent.
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

/// A port on 127.0.0.1 that stays reserved while nobody listens on it. So an agent that is away refuses
/// connections, and listens again at the same address.
#[derive(Debug)]
pub struct Port {
    socket: Arc<OwnedFd>,
    address: SocketAddr,
}

/// An accepted connection. Clones share the socket, and the last one closes it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<File>);

// === impl Port ===

impl Port {
    /// Reserves a free port without listening on it yet.
    ///
    /// # Errors
    ///
    /// A system call failed.
    pub fn reserve() -> io::Result<Self> {
        // A port that the kernel has chosen is freed by shutdown(2), but one that was requested by number
        // is kept. So one socket finds a number, and a second one requests it.
        let finder = bind(0)?;
        let address = SocketAddr::try_from(net::getsockname(&finder)?)?;
        Ok(Self {
            socket: Arc::new(bind(address.port())?),
            address,
        })
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts listening, for the first time or again.
    ///
    /// # Errors
    ///
    /// listen(2) failed.
    pub fn listen(&self) -> io::Result<Listener> {
        net::listen(&self.socket, BACKLOG)?;
        Ok(Listener {
            socket: self.socket.clone(),
            transport: Transport::Tcp,
        })
    }
}

/// A TCP socket that is bound to `port` on loopback and does not listen.
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
    /// Listens on a unix domain socket at `path`, and replaces the socket of an earlier agent.
    ///
    /// # Errors
    ///
    /// A system call failed.
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

    /// How connections reach this listener.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The listener was closed.
    pub fn accept(&self) -> io::Result<Connection> {
        let socket = net::accept_with(&self.socket, SocketFlags::CLOEXEC)?;
        if self.transport == Transport::Tcp {
            sockopt::set_tcp_nodelay(&socket, true)?;
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(WRITE_TIMEOUT))?;
        Ok(Connection(Arc::new(File::from(socket))))
    }

    /// Refuses connections from now on, and wakes the thread in [`Listener::accept`].
    pub fn close(&self) {
        // This fails only if it is already closed.
        let _ = net::shutdown(&self.socket, Shutdown::Both);
    }
}

// === impl Connection ===

impl Connection {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// The peer is gone, or has read nothing for ten seconds.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.0).write_all(bytes)
    }

    /// Closes the connection in an orderly way: the peer reads everything that was sent, then end of file.
    pub fn close(&self) {
        let _ = net::shutdown(&*self.0, Shutdown::Both);
    }

    /// Resets the connection, like a machine that lost power. The reset is sent when the last clone is
    /// dropped; the thread that reads from the connection is woken for that. (Unix domain sockets have no
    /// reset: the peer gets an unexpected end of file.)
    pub fn reset(&self) {
        let _ = sockopt::set_socket_linger(&*self.0, Some(Duration::ZERO));
        let _ = net::shutdown(&*self.0, Shutdown::Read);
    }

    /// Whether the peer has its end open, and there is nothing to read from it.
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

/// The path of a unix domain socket, removed when dropped.
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
    fn a_port_refuses_connections_and_then_accepts_them_again() {
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
    fn the_peer_sees_a_reset() {
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

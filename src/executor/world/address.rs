//! Where the agent listens, and how to get there.

use std::fs::File;
use std::io;
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
use tracing::debug;

/// A connected socket of either family. As a file it reads and writes the same way.
pub type Socket = Async<File>;

/// Where the agent's executor API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `MESOS_DOMAIN_SOCKET`: tried first. In a container with an image of its own it does not exist.
    pub socket: Option<PathBuf>,
    /// The TCP address, IPv4 in all Mesos versions so far.
    pub tcp: SocketAddr,
    /// The agent's libprocess id, normally `slave(1)`. The domain socket serves no other path.
    pub agent: String,
}

/// A connection that the network has forgotten is noticed after about a minute (MESOS-7057). The
/// kernel does the asking: it wakes nobody while the agent answers.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;

// === impl Address ===

impl Address {
    /// Takes `MESOS_SLAVE_PID`, such as `slave(1)@10.0.0.1:5051`, and `MESOS_AGENT_ENDPOINT`, such as
    /// `10.0.0.1:5051`; either is enough. `None` if neither can be read.
    pub fn new(pid: Option<&str>, endpoint: Option<&str>, socket: Option<PathBuf>) -> Option<Self> {
        let (agent, address) = match pid.and_then(|pid| pid.rsplit_once('@')) {
            Some((agent, address)) => (agent, Some(address)),
            // The agent's main program names its process so.
            None => ("slave(1)", None),
        };
        let tcp = address.and_then(|address| address.parse().ok());
        Some(Self {
            socket,
            tcp: tcp.or_else(|| endpoint?.parse().ok())?,
            agent: agent.to_owned(),
        })
    }

    /// The URL of the executor API.
    pub fn url(&self) -> String {
        format!("http://{}/{}/api/v1/executor", self.tcp, self.agent)
    }

    /// Connects to the domain socket, or else by TCP. That may still be on its way then: the first
    /// write waits for it, and fails if it does.
    ///
    /// # Errors
    ///
    /// The reason why TCP failed; the domain socket's is only logged.
    pub fn connect(&self) -> io::Result<Socket> {
        let socket = match self.socket.as_deref().map(connect_to_file) {
            Some(Ok(socket)) => socket,
            Some(Err(error)) => {
                debug!("failed to connect to the domain socket: {error}");
                connect_by_tcp(self.tcp)?
            }
            None => connect_by_tcp(self.tcp)?,
        };
        Async::new_nonblocking(File::from(socket))
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

fn connect_by_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })?;
    // A call is one write: nothing is gained by waiting for more of it.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_COUNT)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

fn connect_to_file(path: &Path) -> io::Result<OwnedFd> {
    let (path, _folder) = short_enough(path);
    let socket = open(AddressFamily::UNIX)?;
    connect(&socket, &SocketAddrUnix::new(&path)?)?;
    Ok(socket)
}

/// A path of 108 bytes or more is no address (unix(7)); its folder then has a shorter name while it is
/// held open.
fn short_enough(path: &Path) -> (PathBuf, Option<OwnedFd>) {
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
        let address = Address {
            socket: Some(path),
            tcp: ([127, 0, 0, 1], 1).into(),
            agent: String::new(),
        };
        assert!(address.connect().is_ok());
        drop(listener);
        std::fs::remove_dir_all(&folder).expect("ours");
    }

    #[test]
    fn an_address_is_read_from_what_the_agent_sets() {
        let url = |pid, endpoint| Address::new(pid, endpoint, None).map(|address| address.url());
        let wanted = |agent| Some(format!("http://10.0.0.1:5051/{agent}/api/v1/executor"));
        assert_eq!(
            url(Some("slave(1)@10.0.0.1:5051"), None),
            wanted("slave(1)")
        );
        assert_eq!(
            url(Some("slave(7)@10.0.0.1:5051"), Some("10.0.0.2:1")),
            wanted("slave(7)")
        );
        assert_eq!(url(None, Some("10.0.0.1:5051")), wanted("slave(1)"));
        assert_eq!(
            url(Some("nonsense"), Some("10.0.0.1:5051")),
            wanted("slave(1)")
        );
        assert_eq!(url(Some("slave(1)@host:x"), Some("host")), None);
        assert_eq!(url(None, None), None);
    }
}

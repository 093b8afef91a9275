//! Where the agent listens, and how to get there.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt;
use smol::Async;
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

    /// Connects to the domain socket, or else by TCP.
    ///
    /// # Errors
    ///
    /// The reason why TCP failed; the domain socket's is only logged.
    pub async fn connect(&self) -> io::Result<Socket> {
        if let Some(path) = &self.socket {
            let (path, _folder) = short_enough(path);
            match Async::<UnixStream>::connect(&path).await {
                Ok(stream) => return as_file(stream.into_inner()?),
                Err(error) => debug!("failed to connect to the domain socket: {error}"),
            }
        }
        let stream = Async::<TcpStream>::connect(self.tcp).await?.into_inner()?;
        // A call is one write: nothing is gained by waiting for more of it.
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_COUNT)?;
        as_file(stream)
    }
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

fn as_file(stream: impl Into<OwnedFd>) -> io::Result<Socket> {
    Async::new_nonblocking(File::from(stream.into()))
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
        assert!(smol::block_on(address.connect()).is_ok());
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

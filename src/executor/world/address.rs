//! Where the agent listens, and how to get there.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use cook_http::socket::{Socket, connect_tcp, connect_unix};
use tracing::debug;

/// Where the agent's executor API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `MESOS_DOMAIN_SOCKET`: tried first. In a container with an image of its own it does not exist.
    pub socket: Option<PathBuf>,
    /// The TCP address, IPv4 in all Mesos versions so far; absent if the agent has none (`0.0.0.0:0`) and
    /// wants its domain socket to be used.
    pub tcp: Option<SocketAddr>,
    /// The agent's libprocess id, normally `slave(1)`. The domain socket serves no other path.
    pub agent: String,
}

// === impl Address ===

impl Address {
    /// Takes `MESOS_SLAVE_PID`, such as `slave(1)@10.0.0.1:5051`, and `MESOS_AGENT_ENDPOINT`, such as
    /// `10.0.0.1:5051`; either is enough. `None` if neither can be read, or both say that there is no way
    /// but a domain socket, and there is none.
    pub fn new(pid: Option<&str>, endpoint: Option<&str>, socket: Option<PathBuf>) -> Option<Self> {
        let (agent, address) = match pid.and_then(|pid| pid.rsplit_once('@')) {
            Some((agent, address)) => (agent, Some(address)),
            // The agent's main program names its process so.
            None => ("slave(1)", None),
        };
        let tcp = address.and_then(|address| address.parse().ok());
        let tcp: SocketAddr = tcp.or_else(|| endpoint?.parse().ok())?;
        let tcp = Some(tcp).filter(|tcp| tcp.port() != 0);
        (tcp.is_some() || socket.is_some()).then(|| Self {
            socket,
            tcp,
            agent: agent.to_owned(),
        })
    }

    /// The URL of the executor API.
    pub fn url(&self) -> String {
        let host = self.tcp.map(|tcp| tcp.to_string());
        let host = host.as_deref().unwrap_or("localhost");
        format!("http://{host}/{}/api/v1/executor", self.agent)
    }

    /// Connects to the domain socket, or else by TCP if `check` allows it. That may still be on its way then.
    ///
    /// # Errors
    ///
    /// The reason why TCP failed; the domain socket's is only logged if there is another way.
    pub fn connect(&self, check: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<Socket> {
        let by_socket = self.socket.as_deref().map(connect_unix);
        match (by_socket, self.tcp) {
            (Some(Ok(socket)), _) => Ok(socket),
            (Some(Err(error)), None) => Err(error),
            (failed, Some(tcp)) => {
                if let Some(Err(error)) = failed {
                    debug!("failed to connect to the domain socket: {error}");
                }
                check(tcp)?;
                connect_tcp(tcp)
            }
            // `new` sees to it that there is one of them.
            (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(url(Some("slave(1)@0.0.0.0:0"), Some("0.0.0.0:0")), None);
        let socket = Some(PathBuf::from("/agent.sock"));
        let address = Address::new(Some("slave(1)@0.0.0.0:0"), None, socket);
        assert_eq!(address.and_then(|address| address.tcp), None);
    }
}

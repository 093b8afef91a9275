//! The agent's address, and how to connect to it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use cook_http::socket::{Socket, connect_tcp, connect_unix};
use tracing::debug;

/// The address of the agent's executor API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `MESOS_DOMAIN_SOCKET`: tried first. It does not exist in a container with its own image.
    pub socket: Option<PathBuf>,
    /// The TCP address, which is IPv4 in all Mesos versions so far. `None` if the agent has none
    /// (`0.0.0.0:0`), so that only its domain socket can be used.
    pub tcp: Option<SocketAddr>,
    /// The agent's libprocess id, normally `slave(1)`. The domain socket serves only this path.
    pub agent: String,
}

// === impl Address ===

impl Address {
    /// Parses `MESOS_SLAVE_PID`, such as `slave(1)@10.0.0.1:5051`, and `MESOS_AGENT_ENDPOINT`, such as
    /// `10.0.0.1:5051`; one of them is enough. `None` if there is neither a TCP address nor a domain
    /// socket.
    pub fn new(pid: Option<&str>, endpoint: Option<&str>, socket: Option<PathBuf>) -> Option<Self> {
        let (agent, address) = match pid.and_then(|pid| pid.rsplit_once('@')) {
            Some((agent, address)) => (agent, Some(address)),
            // The default id in the agent's main program.
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

    /// Connects to the domain socket, or else by TCP if `check` allows it. A TCP connection may not be
    /// established yet.
    ///
    /// # Errors
    ///
    /// Why TCP failed. If TCP is possible, a failure of the domain socket is only logged.
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
            // Cannot happen: `new` requires one of them.
            (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_from_the_agents_variables() {
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

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
    /// The TCP address, IPv4 in all Mesos versions so far.
    pub tcp: SocketAddr,
    /// The agent's libprocess id, normally `slave(1)`. The domain socket serves no other path.
    pub agent: String,
}

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
        match self.socket.as_deref().map(connect_unix) {
            Some(Ok(socket)) => Ok(socket),
            Some(Err(error)) => {
                debug!("failed to connect to the domain socket: {error}");
                connect_tcp(self.tcp)
            }
            None => connect_tcp(self.tcp),
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
    }
}

//! Whether it is still the agent that listens at the agent's address.
//!
//! While an agent restarts, its port is free, and any user of the host could listen there, receive the
//! token, and give orders. So the user who serves a connection is looked up before anything is written to
//! it. The first one is trusted, because the agent has just started this process. From then on it must be
//! the same user, or root.
//!
//! This is not possible if the agent is in another network namespace, or if the kernel does not report
//! users or cannot distinguish them. Then the network is trusted, as every executor does.

use std::cell::{Cell, OnceCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use cook_http::owner::{Owners, Unknown, Users};
use cook_http::socket::Socket;
use rustix::net::{getpeername, getsockname, sockopt::socket_peercred};
use tracing::{info, warn};

use crate::world::log::UNTRUSTED;

/// Which user the agent is.
#[derive(Default)]
pub struct Recognition {
    /// Looks up the users of TCP connections; `None` if that is not possible.
    owners: OnceCell<Option<Owners>>,
    /// The users that can be told apart, for the domain socket; `None` if they cannot be read.
    users: OnceCell<Option<Users>>,
    /// The agent's user, once it was seen.
    agent: Cell<Option<u32>>,
}

// === impl Recognition ===

impl Recognition {
    /// Must be called before connecting to `address`.
    ///
    /// # Errors
    ///
    /// Another user listens there.
    pub fn check_listener(&self, address: SocketAddr) -> io::Result<()> {
        // Until the agent was seen on this host, a listener with this port may belong to something else,
        // and the agent may be on another host.
        if self.agent.get().is_none() {
            return Ok(());
        }
        match self.owners().map(|owners| owners.of_listener(address)) {
            Some(Ok(Some(user))) => self.check(user),
            // Nobody listens, or the connection will show it.
            Some(Ok(None) | Err(_)) | None => Ok(()),
        }
    }

    /// Must be called with a new connection, before anything is written to it.
    ///
    /// # Errors
    ///
    /// Another user serves it, or its user is not known any more.
    pub fn check_connection(&self, socket: &Socket) -> io::Result<()> {
        let fd = socket.get_ref().as_fd();
        let address = |name| SocketAddr::try_from(name).ok();
        let ours = getsockname(fd).ok().and_then(address);
        let server = getpeername(fd).ok().flatten().and_then(address);
        let found = match (ours, server) {
            (Some(ours), Some(server)) => self
                .owners()
                .map(|owners| owners.of_server(server, ours, fd)),
            // A domain socket: the kernel has recorded who listens there.
            _ => match (self.users(), socket_peercred(fd)) {
                (Some(users), Ok(peer)) if users.is_one(peer.uid.as_raw()) => {
                    Some(Ok(Some(peer.uid.as_raw())))
                }
                _ => None,
            },
        };
        match (found, self.agent.get()) {
            (Some(Ok(Some(user))), Some(_)) => self.check(user),
            (Some(Ok(Some(user))), None) => {
                info!("the agent runs as uid {user}");
                self.agent.set(Some(user));
                Ok(())
            }
            (Some(Err(Unknown::Gone)), _) => Err(io::ErrorKind::ConnectionReset.into()),
            (Some(Ok(None) | Err(Unknown::Ambiguous(_) | Unknown::Kernel(_))) | None, None) => {
                Ok(())
            }
            (Some(Ok(None)) | None, Some(_)) => Err(io::Error::other(
                "the connection does not lead to the same agent as before",
            )),
            (Some(Err(unknown)), Some(_)) => Err(io::Error::other(unknown)),
        }
    }

    /// Accepts the agent's user, and root, who could become any user.
    fn check(&self, user: u32) -> io::Result<()> {
        let Some(agent) = self.agent.get() else {
            return Ok(());
        };
        if user == agent || user == 0 {
            return Ok(());
        }
        warn!(
            target: UNTRUSTED,
            "uid {user} listens at the address of the agent, which ran as uid {agent}; not connecting"
        );
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "another user listens at the agent's address",
        ))
    }

    fn owners(&self) -> Option<&Owners> {
        self.owners.get_or_init(|| known(Owners::open())).as_ref()
    }

    fn users(&self) -> Option<&Users> {
        self.users.get_or_init(|| known(Users::read())).as_ref()
    }
}

fn known<T>(found: io::Result<T>) -> Option<T> {
    found
        .inspect_err(|error| warn!("cannot check the user of the agent: {error}"))
        .ok()
}

//! Whether it is still the agent that listens where the agent does.
//!
//! While an agent restarts, its port is free, and any user of the host can listen there: to be given the
//! token, and to be obeyed. So the user who serves a connection is looked up before anything is written to it.
//! The first one is believed: the agent has just started this process. From then on it has to be the same
//! user, or root.
//!
//! An agent that is not in our network namespace cannot be looked up, nor can any where the kernel does not
//! say or does not tell users apart. Then the network is trusted, as by every executor.

use std::cell::{Cell, OnceCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use cook_http::owner::{Owners, Unknown};
use cook_http::socket::Socket;
use rustix::net::{getpeername, getsockname, sockopt::socket_peercred};
use tracing::{info, warn};

use crate::world::log::STRANGER;

/// Who the agent is.
#[derive(Default)]
pub struct Recognition {
    /// The way to ask; `None` where there is none.
    owners: OnceCell<Option<Owners>>,
    /// The agent's user, once it was seen.
    agent: Cell<Option<u32>>,
}

// === impl Recognition ===

impl Recognition {
    /// To be called before connecting to `address`.
    ///
    /// # Errors
    ///
    /// Somebody else listens there.
    pub fn check_listener(&self, address: SocketAddr) -> io::Result<()> {
        // Whoever listens at this port may do so at another address than the agent's, until it was seen
        // that the agent is here.
        if self.agent.get().is_none() {
            return Ok(());
        }
        match self.owners().map(|owners| owners.of_listener(address)) {
            Some(Ok(Some(user))) => self.check(user),
            // Nobody does; or it turns out when there is a connection.
            Some(Ok(None) | Err(_)) | None => Ok(()),
        }
    }

    /// To be called with a connection that was just made, before anything is written to it.
    ///
    /// # Errors
    ///
    /// It is somebody else's, or that is not known any more.
    pub fn check_connection(&self, socket: &Socket) -> io::Result<()> {
        let fd = socket.get_ref().as_fd();
        let address = |name| SocketAddr::try_from(name).ok();
        let ours = getsockname(fd).ok().and_then(address);
        let server = getpeername(fd).ok().flatten().and_then(address);
        let found = match (ours, server) {
            (Some(ours), Some(server)) => self
                .owners()
                .map(|owners| owners.of_server(server, ours, fd)),
            // The domain socket: the kernel has noted who was to listen there.
            _ => match (self.owners(), socket_peercred(fd)) {
                (Some(owners), Ok(peer)) if owners.users().is_one(peer.uid.as_raw()) => {
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
                "the connection leads elsewhere than to the agent seen before",
            )),
            (Some(Err(unknown)), Some(_)) => Err(io::Error::other(unknown)),
        }
    }

    /// The agent's user, or root: who may be anybody anyway.
    fn check(&self, user: u32) -> io::Result<()> {
        let Some(agent) = self.agent.get() else {
            return Ok(());
        };
        if user == agent || user == 0 {
            return Ok(());
        }
        warn!(
            target: STRANGER,
            "uid {user} listens where the agent of uid {agent} did: it is told nothing, and not obeyed"
        );
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "somebody else listens at the agent's address",
        ))
    }

    fn owners(&self) -> Option<&Owners> {
        let open = || {
            Owners::open()
                .inspect_err(|error| warn!("cannot tell the agent from other users: {error}"))
                .ok()
        };
        self.owners.get_or_init(open).as_ref()
    }
}

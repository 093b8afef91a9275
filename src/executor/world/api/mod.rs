//! The task API's server, which commands reach at `$EXECUTOR_ENDPOINT`.
//!
//! The server itself is in cook-http. This module decides where it listens and who may use it, and passes
//! requests to the runtime and replies back.

mod handler;
mod listen;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use rustix::process::geteuid;
use smol::LocalExecutor;
use smol::channel::Sender;

use self::handler::TaskApi;
use crate::core::request::{ApiRequest, Reply};
use crate::words::units::TaskId;
use cook_http::owner::{Owners, Unknown};
use cook_http::server::{self, Limits, Listener};

/// A request for the core, with a channel for the reply.
#[derive(Debug)]
pub struct Incoming {
    /// The request.
    pub request: ApiRequest,
    /// Takes one reply. If it is dropped without one, the response is 503.
    pub reply: Sender<Reply>,
}

/// The task API, ready to serve.
#[derive(Debug)]
pub struct Api {
    listener: Listener,
    address: SocketAddr,
    owners: Owners,
    limits: Limits,
}

/// Why there is no task API.
#[derive(Debug)]
pub enum Unavailable {
    /// The owner of a connection cannot be looked up.
    Owners(io::Error),
    /// The kernel does not find our own socket.
    Blind,
    /// Our own uid stands for several users.
    Ambiguous(u32),
    /// No port is free.
    Nowhere(io::Error),
}

// === impl Unavailable ===

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owners(error) => write!(
                f,
                "the owner of a connection cannot be looked up ({error}): allow NETLINK_SOCK_DIAG \
                 sockets and mount /proc"
            ),
            Self::Blind => f.write_str(
                "the kernel does not report the owner of a connection: load the module tcp_diag",
            ),
            Self::Ambiguous(user) => write!(
                f,
                "the executor's uid {user} cannot be distinguished from other users in this user namespace"
            ),
            Self::Nowhere(error) => write!(f, "no port is free: {error}"),
        }
    }
}

impl std::error::Error for Unavailable {}

// === impl Api ===

impl Api {
    /// Listens at the preferred port or elsewhere. `chance` is a random number that others do not know.
    ///
    /// # Errors
    ///
    /// No port is free, or other users could not be kept out. Then the API must not be offered.
    pub fn open(preferred_port: Option<u16>, chance: u64) -> Result<Self, Unavailable> {
        let owners = Owners::open().map_err(Unavailable::Owners)?;
        let me = geteuid().as_raw();
        if !owners.users().is_one(me) {
            return Err(Unavailable::Ambiguous(me));
        }
        let (listener, address) =
            listen::somewhere(preferred_port, chance).map_err(Unavailable::Nowhere)?;
        // A test of whether the kernel finds sockets at all: otherwise every client would seem to have
        // disconnected.
        match owners.of_listener(address) {
            Ok(Some(user)) if user == me => {}
            Ok(_) | Err(Unknown::Gone | Unknown::Ambiguous(_)) => return Err(Unavailable::Blind),
            Err(Unknown::Kernel(error)) => return Err(Unavailable::Owners(error)),
        }
        Ok(Self {
            listener,
            address,
            owners,
            limits: Limits::default(),
        })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves until the future is dropped. Until `task` is set, every path is unknown.
    pub async fn serve(
        self,
        executor: Rc<LocalExecutor<'static>>,
        task: Rc<OnceCell<TaskId>>,
        inbox: Sender<Incoming>,
    ) {
        let handler = Rc::new(TaskApi::new(self.owners, self.address, task, inbox));
        server::serve(self.listener, self.limits, handler, executor).await;
    }
}

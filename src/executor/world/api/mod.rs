//! The task API's sockets: what a command reaches at `$EXECUTOR_ENDPOINT`.
//!
//! The server is cook-http's; here is where it listens, who may use it, and the way of a request to the
//! runtime and of its reply back. Nothing is decided about the task.

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

/// A request for the core, with the way back for its answer.
#[derive(Debug)]
pub struct Incoming {
    /// What is asked.
    pub request: ApiRequest,
    /// Takes one reply. Dropping it without one is answered with 503.
    pub reply: Sender<Reply>,
}

/// The task API, listening.
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
    /// Whose a connection is cannot be found out.
    Owners(io::Error),
    /// The kernel does not even know our own socket.
    Blind,
    /// Our own user stands for others as well.
    Ambiguous(u32),
    /// No place to listen is free.
    Nowhere(io::Error),
}

// === impl Unavailable ===

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owners(error) => write!(
                f,
                "the kernel cannot be asked whose a connection is ({error}): allow NETLINK_SOCK_DIAG \
                 sockets and mount /proc"
            ),
            Self::Blind => f.write_str(
                "the kernel does not know whose a connection is: it needs the module tcp_diag",
            ),
            Self::Ambiguous(user) => write!(
                f,
                "uid {user}, which it runs as, cannot be told from other users in this user namespace"
            ),
            Self::Nowhere(error) => write!(f, "no port is free: {error}"),
        }
    }
}

impl std::error::Error for Unavailable {}

// === impl Api ===

impl Api {
    /// Listens at the preferred port, or where there is room. `chance` is random, and not for others to know.
    ///
    /// # Errors
    ///
    /// There is nowhere to listen, or no way to keep other users out: then the API must not be offered.
    pub fn open(preferred_port: Option<u16>, chance: u64) -> Result<Self, Unavailable> {
        let owners = Owners::open().map_err(Unavailable::Owners)?;
        let me = geteuid().as_raw();
        if !owners.users().is_one(me) {
            return Err(Unavailable::Ambiguous(me));
        }
        let (listener, address) =
            listen::somewhere(preferred_port, chance).map_err(Unavailable::Nowhere)?;
        // Whether the kernel answers at all: who asks about clients only cannot tell that from clients
        // that have gone.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves for ever. Until `task` is set, every path is unknown.
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

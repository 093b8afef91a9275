//! Who may use the task API, and the way of a request to the runtime and back.
//!
//! Setting an environment variable is running code as the task's user, and the port is open to everybody
//! on the host. So only that user and root get in; and where the kernel does not say, nobody does.

use std::cell::OnceCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use rustix::process::geteuid;
use smol::channel::{Sender, bounded};

use super::Incoming;
use crate::codec::api::refusal::Refusal;
use crate::codec::api::request::{self, Asked};
use crate::codec::api::response;
use crate::core::request::ApiRequest;
use crate::words::units::TaskId;
use crate::world::log::STRANGER;
use cook_http::message::{Head, Method, Request, Response, StatusCode};
use cook_http::owner::{Owners, Unknown};
use cook_http::server::{Admission, Handler};
use cook_http::socket::Peer;

/// What all connections share.
pub(super) struct TaskApi {
    owners: Owners,
    /// Ours, which is the task's.
    user: u32,
    /// The only origin whose pages may ask: none is served, but a client may say that it comes from here.
    origin: String,
    /// The task, once there is one.
    task: Rc<OnceCell<TaskId>>,
    /// Where requests for the core go.
    inbox: Sender<Incoming>,
}

// === impl TaskApi ===

impl TaskApi {
    pub(super) fn new(
        owners: Owners,
        address: SocketAddr,
        task: Rc<OnceCell<TaskId>>,
        inbox: Sender<Incoming>,
    ) -> Self {
        Self {
            owners,
            user: geteuid().as_raw(),
            origin: format!("http://{address}"),
            task,
            inbox,
        }
    }

    fn owner(&self, peer: &Peer, socket: BorrowedFd<'_>) -> Result<u32, Unknown> {
        match *peer {
            Peer::Tcp { client, server } => self.owners.of_client(client, server, socket),
            Peer::Unix { .. } | Peer::Unknown => {
                Err(Unknown::Kernel(io::ErrorKind::Unsupported.into()))
            }
        }
    }
}

impl Handler for TaskApi {
    const STREAMS: bool = false;

    /// Whoever gets in may do everything.
    type Caller = ();

    fn admit(&self, peer: &Peer, socket: BorrowedFd<'_>) -> Admission<()> {
        match self.owner(peer, socket) {
            Ok(user) if user == 0 || user == self.user => Admission::Serve(()),
            Ok(user) => {
                tracing::warn!(
                    target: STRANGER,
                    "refused a connection to the task API: the connection belongs to uid {user}, not to \
                     the task's user or root"
                );
                Admission::Refuse(forbidden())
            }
            // There is nobody to tell.
            Err(Unknown::Gone) => {
                tracing::debug!(target: STRANGER, "closed a connection to the task API: {}", Unknown::Gone);
                Admission::Close
            }
            Err(unknown) => {
                tracing::warn!(target: STRANGER, "refused a connection to the task API: {unknown}");
                Admission::Refuse(forbidden())
            }
        }
    }

    fn screen(&self, (): &(), head: &Head) -> Result<(), Response> {
        let is_ours = |origin: &[u8]| origin == self.origin.as_bytes();
        match head.fields.all("origin").all(is_ours) {
            true => Ok(()),
            false => {
                let text = "a web page of another origin may not use this task's API";
                let refusal = Refusal::new(StatusCode::Forbidden, text);
                Err(note(head.method, response::refusal(&refusal)))
            }
        }
    }

    async fn answer(&self, (): &(), request: Request) -> Response {
        let Request { head, body } = request;
        let asked = request::read(head.method, &head.path, &body, self.task.get());
        let response = match asked {
            Ok(Asked::Core(request)) => self.consult(request).await,
            Ok(Asked::Methods) => response::methods(),
            Err(refusal) => response::refusal(&refusal),
        };
        note(head.method, response)
    }

    fn refuse(&self, status: StatusCode, text: String) -> Response {
        note(None, response::refusal(&Refusal::new(status, text)))
    }

    fn accept_failed(&self, error: &io::Error) {
        tracing::warn!(target: STRANGER, %error, "failed to accept a connection");
    }
}

impl TaskApi {
    /// Asks the core; if it does not answer, that ends the connection.
    async fn consult(&self, request: ApiRequest) -> Response {
        let (reply, answer) = bounded(1);
        if self.inbox.send(Incoming { request, reply }).await.is_ok()
            && let Ok(reply) = answer.recv().await
        {
            return response::reply(&reply);
        }
        let text = "the executor is about to end and takes no requests any more";
        let refusal = Refusal::new(StatusCode::ServiceUnavailable, text);
        response::refusal(&refusal).ending_connection()
    }
}

fn forbidden() -> Response {
    let text = "only the task's own user and root may use this task's API";
    response::refusal(&Refusal::new(StatusCode::Forbidden, text))
}

fn note(method: Option<Method>, response: Response) -> Response {
    let status = response.status();
    let known = status != StatusCode::NotFound;
    let name = method.as_ref().map_or("other", AsRef::as_ref);
    tracing::debug!(method = name, known, status = status as u16, "answered");
    response
}

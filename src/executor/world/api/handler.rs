//! Who may use the task API, and the path of a request to the runtime and back.
//!
//! A client that can set environment variables can run code as the task's user, and everybody on the host
//! can connect to the port. So only that user and root are admitted. If the kernel does not report the user
//! of a connection, it is refused.

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
use crate::world::log::UNTRUSTED;
use cook_http::message::{Head, Method, Request, Response, StatusCode};
use cook_http::owner::{Owners, Unknown};
use cook_http::server::{Admission, Handler};
use cook_http::socket::Peer;

/// What all connections share.
pub(super) struct TaskApi {
    owners: Owners,
    /// Our own user, which is the task's user.
    user: u32,
    /// The only origin that is allowed in the `Origin` field. No web pages are served, but a client may
    /// send it.
    origin: String,
    /// The task, after LAUNCH.
    task: Rc<OnceCell<TaskId>>,
    /// Requests for the core.
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

    /// An admitted client may do everything.
    type Caller = ();

    fn admit(&self, peer: &Peer, socket: BorrowedFd<'_>) -> Admission<()> {
        match self.owner(peer, socket) {
            Ok(user) if user == 0 || user == self.user => Admission::Serve(()),
            Ok(user) => {
                tracing::warn!(
                    target: UNTRUSTED,
                    "refused a connection to the task API: the connection belongs to uid {user}, not to \
                     the task's user or root"
                );
                Admission::Refuse(forbidden())
            }
            // There is no client to respond to.
            Err(Unknown::Gone) => {
                tracing::debug!(target: UNTRUSTED, "closed a connection to the task API: {}", Unknown::Gone);
                Admission::Close
            }
            Err(unknown) => {
                tracing::warn!(target: UNTRUSTED, "refused a connection to the task API: {unknown}");
                Admission::Refuse(forbidden())
            }
        }
    }

    fn screen(&self, (): &(), head: &Head) -> Result<(), Response> {
        let is_ours = |origin: &[u8]| origin == self.origin.as_bytes();
        let is_same = |site: &[u8]| matches!(site, b"same-origin" | b"none");
        let is_ours = head.fields.all("origin").all(is_ours)
            && head.fields.all("sec-fetch-site").all(is_same);
        let text = match head.fields.all("host").any(is_of_dns) {
            false if is_ours => return Ok(()),
            false => "a web page of another origin may not use this task's API",
            true => "the Host is a name of another machine: use the address in $EXECUTOR_ENDPOINT",
        };
        let refusal = Refusal::new(StatusCode::Forbidden, text);
        Err(note(head.method, response::refusal(&refusal)))
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
        tracing::warn!(target: UNTRUSTED, %error, "failed to accept a connection");
    }
}

impl TaskApi {
    /// Sends a request to the core. If there is no reply, the connection ends.
    async fn consult(&self, request: ApiRequest) -> Response {
        let (reply, answer) = bounded(1);
        if self.inbox.send(Incoming { request, reply }).await.is_ok()
            && let Ok(reply) = answer.recv().await
        {
            return response::reply(&reply);
        }
        let text = "the executor is exiting";
        let refusal = Refusal::new(StatusCode::ServiceUnavailable, text);
        response::refusal(&refusal).ending_connection()
    }
}

/// Whether a `Host` is a DNS name and not an address. Its owner could make it point to this host (DNS rebinding); a
/// browser would then treat our responses as those of the owner's page.
fn is_of_dns(host: &[u8]) -> bool {
    let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let name = name.strip_suffix(b".").unwrap_or(name);
    let last_dot = name.iter().rposition(|byte| *byte == b'.');
    last_dot.is_some_and(|dot| !name[dot + 1..].iter().all(u8::is_ascii_digit))
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

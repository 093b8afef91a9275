//! The executor API on the agent's unix domain socket.
//!
//! The kernel reports the process at the other end (SO_PEERCRED). It must run as the agent's user, and must
//! be the process that was started as the executor for which it makes calls.

use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};

use cook_http::message::{Head, Method, Request, Response, StatusCode};
use cook_http::server::{Admission, Handler};
use cook_http::socket;
use cook_mesos::messages::Call;
use prost::Message;

use crate::agent::Inner;
use crate::core::{Peer, Reply};

/// The path of the executor API, the only one that a real agent serves on its domain socket.
pub const PATH: &str = "/slave(1)/api/v1/executor";

/// The media type of calls and events. JSON is not supported.
const PROTOBUF: &str = "application/x-protobuf";

/// Maximum number of events that wait for an executor to read them. Beyond it, the stream is closed, and
/// the executor has to subscribe again.
pub const MAX_UNSENT: usize = 32;

/// The HTTP handler: turns requests into calls.
#[derive(Debug)]
pub struct Calls {
    agent: Weak<Inner>,
    /// The user as which executors run.
    user: u32,
}

// === impl Calls ===

impl Calls {
    /// A handler for this agent.
    pub fn new(agent: &Rc<Inner>) -> Self {
        Self {
            agent: Rc::downgrade(agent),
            user: rustix::process::geteuid().as_raw(),
        }
    }

    fn check(head: &Head) -> Result<(), Response> {
        let path = head.path.replace("%28", "(").replace("%29", ")");
        if path != PATH {
            return Err(text(
                StatusCode::Forbidden,
                "there is only the executor API here",
            ));
        }
        if head.method != Some(Method::Post) {
            let refusal = text(StatusCode::MethodNotAllowed, "use POST");
            return Err(refusal.with_field("allow", "POST"));
        }
        match head.fields.one("content-type") {
            Some(PROTOBUF) => Ok(()),
            Some(_) => {
                let wanted = format!("the content type must be {PROTOBUF}");
                Err(text(StatusCode::UnsupportedMediaType, wanted))
            }
            None => Err(text(StatusCode::BadRequest, "a content type is required")),
        }
    }
}

impl Handler for Calls {
    type Caller = Peer;

    fn admit(&self, peer: &socket::Peer, _: BorrowedFd<'_>) -> Admission<Peer> {
        match peer {
            socket::Peer::Unix { user, process, .. } if *user == self.user => {
                Admission::Serve(Peer { pid: *process })
            }
            socket::Peer::Unix { user, .. } => {
                let message = format!("this agent serves uid {}, not uid {user}", self.user);
                Admission::Refuse(text(StatusCode::Forbidden, message))
            }
            socket::Peer::Tcp { .. } | socket::Peer::Unknown => Admission::Close,
        }
    }

    fn screen(&self, _: &Peer, head: &Head) -> Result<(), Response> {
        Self::check(head)
    }

    async fn answer(&self, peer: &Peer, request: Request) -> Response {
        let call = match Call::decode(request.body.as_slice()) {
            Ok(call) => call,
            Err(error) => {
                return text(
                    StatusCode::BadRequest,
                    format!("the call is malformed: {error}"),
                );
            }
        };
        let Some(agent) = self.agent.upgrade() else {
            return text(StatusCode::ServiceUnavailable, "the agent is shutting down");
        };
        agent.call(*peer, call)
    }

    fn refuse(&self, status: StatusCode, message: String) -> Response {
        text(status, message)
    }
}

/// The HTTP response for a reply of the core. The caller adds the body of a stream.
pub fn response(reply: &Reply) -> Response {
    match reply {
        Reply::Stream(_) => Response::new(StatusCode::Ok),
        Reply::Accepted => Response::new(StatusCode::Accepted),
        Reply::Refused(status, message) => {
            let status = StatusCode::try_from(*status).unwrap_or(StatusCode::BadRequest);
            text(status, message.clone())
        }
    }
}

/// The content type of event streams.
pub fn stream_type() -> &'static str {
    PROTOBUF
}

fn text(status: StatusCode, message: impl Into<String>) -> Response {
    Response::new(status).with_body("text/plain; charset=utf-8", message.into().into_bytes())
}

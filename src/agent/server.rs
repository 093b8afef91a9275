//! The executor API over the agent's unix domain socket.
//!
//! The kernel says which process is at the other end (SO_PEERCRED): it has to be of the agent's user, and the very process that
//! was started as the executor that it speaks for.

use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};

use cook_http::message::{Head, Method, Request, Response, StatusCode};
use cook_http::server::{Admission, Handler};
use cook_http::socket;
use cook_mesos::messages::Call;
use prost::Message;

use crate::agent::Inner;
use crate::core::{Peer, Reply};

/// The path of the executor API. A real agent serves no other one on its domain socket.
pub const PATH: &str = "/slave(1)/api/v1/executor";

/// The media type of calls and events; JSON is not served.
const PROTOBUF: &str = "application/x-protobuf";

/// Events that wait for an executor to read them, at most. Who does not is cut off, and subscribes anew.
pub const MAX_UNSENT: usize = 32;

/// Turns requests into calls.
#[derive(Debug)]
pub struct Calls {
    agent: Weak<Inner>,
    /// The only user whose processes are executors.
    user: u32,
}

// === impl Calls ===

impl Calls {
    /// Answers for an agent.
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
                "only the executor API is served here",
            ));
        }
        if head.method != Some(Method::Post) {
            let refusal = text(StatusCode::MethodNotAllowed, "use POST");
            return Err(refusal.with_field("allow", "POST"));
        }
        match head.fields.one("content-type") {
            Some(PROTOBUF) => Ok(()),
            Some(_) => {
                let wanted = format!("the content type has to be {PROTOBUF}");
                Err(text(StatusCode::UnsupportedMediaType, wanted))
            }
            None => Err(text(StatusCode::BadRequest, "there is no content type")),
        }
    }
}

impl Handler for Calls {
    type Guest = Peer;

    fn admit(&self, peer: &socket::Peer, _: BorrowedFd<'_>) -> Admission<Peer> {
        match peer {
            socket::Peer::Unix { user, process, .. } if *user == self.user => {
                Admission::Serve(Peer { pid: *process })
            }
            socket::Peer::Unix { user, .. } => {
                let told = format!("this agent serves user {}, not user {user}", self.user);
                Admission::Refuse(text(StatusCode::Forbidden, told))
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
                    format!("the call cannot be read: {error}"),
                );
            }
        };
        let Some(agent) = self.agent.upgrade() else {
            return text(StatusCode::ServiceUnavailable, "the agent ends");
        };
        agent.call(*peer, call)
    }

    fn refuse(&self, status: StatusCode, told: String) -> Response {
        text(status, told)
    }
}

/// The response for what the core has decided; a stream is the caller's to make.
pub fn response(reply: &Reply) -> Response {
    match reply {
        Reply::Stream(_) => Response::new(StatusCode::Ok),
        Reply::Accepted => Response::new(StatusCode::Accepted),
        Reply::Refused(status, told) => {
            let status = StatusCode::try_from(*status).unwrap_or(StatusCode::BadRequest);
            text(status, told.clone())
        }
    }
}

/// The content type of event streams.
pub fn stream_type() -> &'static str {
    PROTOBUF
}

fn text(status: StatusCode, told: impl Into<String>) -> Response {
    Response::new(status).with_body("text/plain; charset=utf-8", told.into().into_bytes())
}

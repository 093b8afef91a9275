//! The API on the network: requests off cook-http's server, answers onto it.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use cook_http::message::{Head, Method, Request, Response, StatusCode};
use cook_http::owner::{Owners, Unknown};
use cook_http::server::{Admission, Handler, Limits};
use cook_http::socket;
use rustix::process::geteuid;

use super::aside::Aside;
use super::download::Download;
use super::hub::{Hub, Unreadable};
use super::{clock, log};
use crate::api::files::{self, FileAnswer};
use crate::api::response::Response as Answer;
use crate::api::{self, Access, Api, Peer, Plan, browser};

/// Strangers may ask whether it lives. More connections of them at once are refused: the others are for those who
/// may do something.
const MAX_STRANGERS: usize = 16;

/// What a client may send, and how long it may take: one request of Cook's client names 100 jobs in its target,
/// one submission may have 10,000 jobs, and clients may be far away.
pub fn limits() -> Limits {
    let (head, body, connections) = (40 << 10, 32 << 20, 256);
    Limits {
        head,
        target: 36 << 10,
        body,
        connections,
        memory: connections * head + 2 * body,
        head_time: Duration::from_secs(10),
        body_time: Duration::from_secs(60),
        answer_time: Duration::from_secs(30),
        idle_time: Duration::from_secs(60),
        linger_time: Duration::from_secs(1),
    }
}

/// Answers requests.
pub struct Served {
    hub: Rc<Hub>,
    api: Api,
    /// Asks the kernel whose connections are, where that decides.
    owners: Option<Owners>,
    /// Reads files.
    files: Aside,
    /// Counts the connections of strangers.
    strangers: Rc<()>,
}

impl Served {
    /// Gets ready to answer.
    ///
    /// # Errors
    ///
    /// The kernel cannot be asked whose connections are, and that is what decides; or there is no thread to be had.
    pub fn new(hub: Rc<Hub>, api: Api) -> io::Result<Self> {
        let owners = match api.access {
            Access::Local(_) => Some(Owners::open()?),
            Access::Logins(_) => None,
        };
        let files = Aside::start("files")?;
        Ok(Self {
            hub,
            api,
            owners,
            files,
            strangers: Rc::new(()),
        })
    }

    async fn respond(&self, plan: Plan) -> Response {
        match plan {
            Plan::Answer(answer) => response(answer),
            Plan::Change(request, change) => {
                let reply = self.hub.ask(request).await;
                response(self.api.changed(change, reply))
            }
            Plan::Read(reading) => match self.hub.load(&reading.found).await {
                Ok(jobs) => {
                    let answer = |view: crate::core::view::View<'_>| {
                        self.api.complete(&reading, &jobs, view)
                    };
                    response(self.hub.read(answer))
                }
                Err(Unreadable(why)) => {
                    log::line(format!("completed jobs cannot be read: {why}"));
                    let text = "the store cannot be read now, and is being opened again: try again";
                    response(Answer::error(503, text).with("Retry-After", "1"))
                }
            },
            Plan::File(request) => self.file(request).await,
        }
    }

    async fn file(&self, request: files::FileRequest) -> Response {
        let answer = self.files.begin(move || files::answer(&request));
        match answer.recv().await {
            Ok(FileAnswer::Whole(answer)) => response(answer),
            Ok(FileAnswer::Stream { file, length, name }) => {
                let download = Download::new(self.files.clone(), file, length);
                framed(StatusCode::Ok)
                    .with_field("content-disposition", files::attachment(&name))
                    .with_reader("application/octet-stream", download, Some(length))
            }
            // Its thread is gone, which has said why.
            Err(_) => response(Answer::error(500, "files cannot be read any more")),
        }
    }
}

/// Who is at the other end of a connection, for as long as it lasts.
pub struct Guest {
    peer: Peer,
    /// One of the places that strangers have.
    _place: Option<Rc<()>>,
}

impl Guest {
    fn new(peer: Peer) -> Admission<Self> {
        let _place = None;
        Admission::Serve(Self { peer, _place })
    }
}

impl Handler for Served {
    type Guest = Guest;

    fn admit(&self, peer: &socket::Peer, socket: BorrowedFd<'_>) -> Admission<Guest> {
        let Some(owners) = &self.owners else {
            return Guest::new(Peer::Stranger(String::new()));
        };
        let stranger = |why: String| match Rc::strong_count(&self.strangers) <= MAX_STRANGERS {
            true => Admission::Serve(Guest {
                peer: Peer::Stranger(why),
                _place: Some(Rc::clone(&self.strangers)),
            }),
            false => Admission::Refuse(response(Answer::error(403, &why))),
        };
        let own = geteuid().as_raw();
        let socket::Peer::Tcp { client, server } = peer else {
            return stranger("the connection is not one of TCP".to_owned());
        };
        match owners.of_client(*client, *server, socket) {
            Ok(user) if user == own || user == 0 => Guest::new(Peer::Own),
            Ok(user) => stranger(format!(
                "the connection belongs to uid {user}, not to the scheduler's user (uid {own}) or root; \
                 others need :http-basic logins in the configuration"
            )),
            Err(Unknown::Gone) => Admission::Close,
            Err(error) => stranger(format!(
                "the kernel does not tell whose the connection is ({error})"
            )),
        }
    }

    fn screen(&self, guest: &Guest, head: &Head) -> Result<(), Response> {
        let method = method(head);
        let target = target(head);
        let request = request(head, &guest.peer, &method, &target, &[]);
        self.api.screen(&request).map_err(response)
    }

    async fn answer(&self, guest: &Guest, asked: Request) -> Response {
        let method = method(&asked.head);
        let target = target(&asked.head);
        let request = request(&asked.head, &guest.peer, &method, &target, &asked.body);
        let plan = self.hub.read(|view| self.api.plan(&request, view));
        self.respond(plan).await
    }

    fn refuse(&self, status: StatusCode, text: String) -> Response {
        response(Answer::error(status.into(), &text))
    }

    fn accept_failed(&self, error: &io::Error) {
        log::line(format!("connections cannot be accepted: {error}"));
    }
}

fn method(head: &Head) -> String {
    // A method without a name is nobody's.
    head.method.map_or_else(
        || "this method".to_owned(),
        |method: Method| method.to_string(),
    )
}

fn target(head: &Head) -> String {
    match &head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path.clone(),
    }
}

fn request<'a>(
    head: &'a Head,
    peer: &'a Peer,
    method: &'a str,
    target: &'a str,
    body: &'a [u8],
) -> api::Request<'a> {
    let field = |name: &'static str| {
        // A field that stands there twice, or is no text, is there, and never right.
        let is_there = head.fields.all(name).next().is_some();
        is_there.then(|| head.fields.one(name).unwrap_or_default())
    };
    api::Request {
        method,
        target,
        fields: api::Fields {
            browser: browser::Fields {
                host: field("host"),
                origin: field("origin"),
                fetch_site: field("sec-fetch-site"),
            },
            authorization: field("authorization"),
            pool: field("x-cook-pool"),
        },
        body,
        local: match head.peer {
            socket::Peer::Tcp { server, .. } => Some(server),
            socket::Peer::Unix { .. } | socket::Peer::Unknown => None,
        },
        peer,
        now: clock::wall(),
    }
}

/// What every answer has: nothing here is for a browser to guess about, or to keep.
fn framed(status: StatusCode) -> Response {
    Response::new(status)
        .with_field("x-content-type-options", "nosniff")
        .with_field("cache-control", "no-store")
}

fn response(answer: Answer) -> Response {
    // All of ours have names.
    let status = StatusCode::try_from(answer.status).unwrap_or(StatusCode::InternalServerError);
    let mut response = framed(status);
    for (name, value) in answer.fields {
        response = response.with_field(name, value);
    }
    match answer.body.is_empty() {
        true => response,
        false => response.with_body(answer.content.media_type(), answer.body),
    }
}

//! Connects the API to cook-http's server.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use cook_http::message::{Head, Method, Request, Response, StatusCode};
use cook_http::owner::{Owners, Unknown};
use cook_http::server::{Admission, Handler, Limits};
use cook_http::socket;
use rustix::process::geteuid;

use super::download::Download;
use super::driver::{Driver, Unreadable};
use super::worker::Worker;
use super::{clock, log};
use crate::api::files::{self, FileAnswer};
use crate::api::response::Response as Answer;
use crate::api::{self, Access, Api, Peer, Plan, browser};

/// Maximum number of connections by other users, who may only read `/info` and `/debug`. The remaining
/// connections are kept for permitted users.
const MAX_OTHERS: usize = 16;

/// Limits for clients. They are generous because one request of Cook's client lists 100 jobs in its
/// target, a submission may have 10,000 jobs, and the network may be slow.
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
    driver: Rc<Driver>,
    api: Api,
    /// Finds out which user owns a connection; `None` if users log in instead.
    owners: Option<Owners>,
    /// The thread that reads files.
    files: Worker,
    /// Counts the connections of other users.
    others: Rc<()>,
}

impl Served {
    /// Prepares the server.
    ///
    /// # Errors
    ///
    /// The owners of connections are needed but cannot be looked up, or the thread cannot be started.
    pub fn new(driver: Rc<Driver>, api: Api) -> io::Result<Self> {
        let owners = match api.access {
            Access::Local(_) => Some(Owners::open()?),
            Access::Logins(_) => None,
        };
        let files = Worker::start("files")?;
        Ok(Self {
            driver,
            api,
            owners,
            files,
            others: Rc::new(()),
        })
    }

    async fn respond(&self, plan: Plan) -> Response {
        match plan {
            Plan::Answer(answer) => response(answer),
            Plan::Change(request, change) => {
                let reply = self.driver.ask(request).await;
                response(self.api.changed(change, reply))
            }
            Plan::Read(reading) => match self.driver.load(&reading.found).await {
                Ok(jobs) => {
                    let answer = |view: crate::core::view::View<'_>| {
                        self.api.complete(&reading, &jobs, view)
                    };
                    response(self.driver.read(answer))
                }
                Err(Unreadable(why)) => {
                    log::line(format!("cannot read completed jobs: {why}"));
                    let text = "the store cannot be read at the moment: try again";
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
            // The thread has panicked, which was reported then.
            Err(_) => response(Answer::error(
                500,
                "files cannot be read until the scheduler is restarted",
            )),
        }
    }
}

/// The client of a connection.
pub struct Client {
    peer: Peer,
    /// Counts as one of the connections of other users.
    _place: Option<Rc<()>>,
}

impl Client {
    fn new(peer: Peer) -> Admission<Self> {
        let _place = None;
        Admission::Serve(Self { peer, _place })
    }
}

impl Handler for Served {
    type Caller = Client;

    fn admit(&self, peer: &socket::Peer, socket: BorrowedFd<'_>) -> Admission<Client> {
        let Some(owners) = &self.owners else {
            return Client::new(Peer::Other(String::new()));
        };
        let other = |why: String| match Rc::strong_count(&self.others) <= MAX_OTHERS {
            true => Admission::Serve(Client {
                peer: Peer::Other(why),
                _place: Some(Rc::clone(&self.others)),
            }),
            false => Admission::Refuse(response(Answer::error(403, &why))),
        };
        let own = geteuid().as_raw();
        let socket::Peer::Tcp { client, server } = peer else {
            return other("this is not a TCP connection".to_owned());
        };
        match owners.of_client(*client, *server, socket) {
            Ok(user) if user == own || user == 0 => Client::new(Peer::Own),
            Ok(user) => other(format!(
                "the connection belongs to uid {user}, not to the scheduler's user (uid {own}) or root; \
                 others need :http-basic logins in the configuration"
            )),
            Err(Unknown::Gone) => Admission::Close,
            Err(error) => other(format!(
                "the owner of the connection cannot be determined ({error})"
            )),
        }
    }

    fn screen(&self, client: &Client, head: &Head) -> Result<(), Response> {
        let method = method(head);
        let target = target(head);
        let request = request(head, &client.peer, &method, &target, &[]);
        self.api.screen(&request).map_err(response)
    }

    async fn answer(&self, client: &Client, asked: Request) -> Response {
        let method = method(&asked.head);
        let target = target(&asked.head);
        let request = request(&asked.head, &client.peer, &method, &target, &asked.body);
        let plan = self.driver.read(|view| self.api.plan(&request, view));
        self.respond(plan).await
    }

    fn refuse(&self, status: StatusCode, text: String) -> Response {
        response(Answer::error(status.into(), &text))
    }

    fn accept_failed(&self, error: &io::Error) {
        log::line(format!("cannot accept connections: {error}"));
    }
}

fn method(head: &Head) -> String {
    // The API serves no method that http-types does not know.
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
        // A field that is repeated or is not text becomes an empty value, which is never valid.
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

/// The fields of every response: browsers must not guess types or cache anything.
fn framed(status: StatusCode) -> Response {
    Response::new(status)
        .with_field("x-content-type-options", "nosniff")
        .with_field("cache-control", "no-store")
}

fn response(answer: Answer) -> Response {
    // The API uses only status codes that http-types knows.
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

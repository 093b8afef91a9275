//! The two connections to the leading master: one for SUBSCRIBE, whose response is the event stream, and one for all
//! other calls, one at a time, which keeps their order.
//!
//! Decides nothing. A call is sent once. If its connection breaks, the master may or may not have received it; this is
//! reported. Dropping a task closes its socket.
//!
//! Bounded: the time of connecting and of calls, the size of responses and records, and the calls that wait.

mod calls;
mod connection;
mod stream;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use cook_http::client::Outgoing;
use cook_http::message::Method;
use cook_mesos::scheduler as pb;
use prost::Message;
use smol::channel::Sender;
use smol::{LocalExecutor, Task};

use self::calls::Calls;
use super::address::Address;
use super::framework::Input;
use super::login::Login;
use super::session::{Attempt, CallError, LinkAction, StreamId};

/// The content type of requests, responses and records.
const PROTOBUF: &str = "application/x-protobuf";

/// The header that assigns a call to its subscription.
const STREAM_ID: &str = "mesos-stream-id";

/// The connections.
#[derive(Debug)]
pub struct Link {
    executor: Rc<LocalExecutor<'static>>,
    login: Option<Login>,
    inbox: Sender<Input>,
    /// The event stream.
    stream: Option<Task<()>>,
    calls: Option<Calls>,
    /// The address of the subscription: calls must go to the same one, whatever a name resolves to later.
    place: Rc<Cell<Option<SocketAddr>>>,
}

impl Link {
    /// Inputs from the master are sent to `inbox`.
    pub fn new(
        executor: Rc<LocalExecutor<'static>>,
        login: Option<Login>,
        inbox: Sender<Input>,
    ) -> Self {
        Self {
            executor,
            login,
            inbox,
            stream: None,
            calls: None,
            place: Rc::default(),
        }
    }

    /// Connects, sends or closes.
    pub fn perform(&mut self, action: LinkAction) {
        match action {
            LinkAction::Subscribe {
                attempt,
                master,
                call,
            } => self.subscribe(attempt, master, &call),
            LinkAction::Call {
                attempt,
                master,
                stream,
                call,
            } => self.call(attempt, &master, stream, &call),
            LinkAction::Close => self.close(),
        }
    }

    /// The number of calls that are not yet accepted.
    pub fn waiting(&self) -> usize {
        self.calls.as_ref().map_or(0, Calls::waiting)
    }

    fn subscribe(&mut self, attempt: Attempt, master: Address, call: &pb::Call) {
        self.close();
        let request = self.request(&master, call);
        let (inbox, place) = (self.inbox.clone(), Rc::clone(&self.place));
        let stream = async move {
            let why = match stream::read(attempt, &master, &request, &place, &inbox).await {
                Ok(()) => "the master has closed the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            // The receiver exists as long as the program.
            let _ = inbox.send(Input::Ended(attempt, why)).await;
        };
        self.stream = Some(self.executor.spawn(stream));
    }

    /// If a call is not accepted, this is reported, and no later one is sent.
    fn call(&mut self, attempt: Attempt, master: &Address, stream: StreamId, call: &pb::Call) {
        let request = self.request(master, call).with_field(STREAM_ID, stream.0);
        let calls = self.calls.get_or_insert_with(|| {
            let (place, inbox) = (self.place.get(), self.inbox.clone());
            Calls::start(attempt, place, inbox, &self.executor)
        });
        if calls.push(request, call.encoded_len()).is_err() {
            let inbox = self.inbox.clone();
            let report = async move {
                let error = CallError::QueueFull;
                let _ = inbox.send(Input::CallFailed(attempt, error)).await;
            };
            self.executor.spawn(report).detach();
        }
    }

    fn close(&mut self) {
        self.stream = None;
        self.calls = None;
        self.place.set(None);
    }

    fn request(&self, master: &Address, call: &pb::Call) -> Outgoing {
        let request = Outgoing::new(Method::Post, master.url())
            .with_body(PROTOBUF, call.encode_to_vec())
            .with_field("accept", PROTOBUF);
        match &self.login {
            Some(login) => request.with_field("authorization", login.header()),
            None => request,
        }
    }
}

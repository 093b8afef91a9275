//! The two connections to the leading master: one for SUBSCRIBE, whose response is the event stream, and one for all
//! other calls, one at a time, which keeps their order.
//!
//! Decides nothing. A call is sent once. If its connection breaks, the master may or may not have received it; this is
//! reported. Dropping a task closes its socket.
//!
//! Bounded: the time of connecting and of calls, the size of responses and records, and the calls that wait.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use cook_http::alarm::Alarm;
use cook_http::client::{Answer, Connection, Error, Outgoing};
use cook_http::head::{Fields, Framing, ResponseHead};
use cook_http::message::Method;
use cook_http::socket::connect_tcp;
use cook_mesos::recordio;
use cook_mesos::scheduler as pb;
use prost::Message;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::future::yield_now;
use smol::{LocalExecutor, Task};

use super::address::Address;
use super::framework::Input;
use super::login::Login;
use super::session::{Attempt, CallError, MasterEvent, StreamId, SubscribeReply};
use super::wire::read;

/// The content type of requests, responses and records.
const PROTOBUF: &str = "application/x-protobuf";

/// The header that assigns a call to its subscription.
const STREAM_ID: &str = "mesos-stream-id";

/// The maximum time of connecting. A live master accepts at once.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The maximum time of a call. A busy master may need half a minute.
const CALL_TIME: Duration = Duration::from_secs(45);

/// The size from which a record is decoded on a thread.
const LARGE_RECORD: usize = 256 << 10;

/// The maximum size of a response's body: masters send one sentence.
const MAX_BODY: usize = 4 << 10;

/// The maximum size of all waiting calls: more than a busy cluster needs in a minute.
const MAX_QUEUE: usize = 64 << 20;

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

/// The calls of one subscription.
#[derive(Debug)]
struct Calls {
    queue: Sender<Waiting>,
    /// All calls that are not yet accepted.
    load: Rc<Cell<Load>>,
    _task: Task<()>,
}

/// A call that waits for earlier ones.
#[derive(Debug)]
struct Waiting {
    request: Outgoing,
    size: usize,
}

/// The calls that are not yet accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    bytes: usize,
}

// === impl Link ===

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

    /// Closes all connections and sends SUBSCRIBE.
    pub fn subscribe(&mut self, attempt: Attempt, master: Address, call: &pb::Call) {
        self.close();
        let request = self.request(&master, call);
        let (inbox, place) = (self.inbox.clone(), Rc::clone(&self.place));
        let stream = async move {
            let why = match read_stream(attempt, &master, &request, &place, &inbox).await {
                Ok(()) => "the master has closed the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            // The receiver exists as long as the program.
            let _ = inbox.send(Input::Ended(attempt, why)).await;
        };
        self.stream = Some(self.executor.spawn(stream));
    }

    /// Sends a call after all earlier ones. If one is not accepted, this is reported, and no other is sent.
    pub fn call(&mut self, attempt: Attempt, master: &Address, stream: StreamId, call: &pb::Call) {
        let size = call.encoded_len();
        let request = self.request(master, call).with_field(STREAM_ID, stream.0);
        let calls = match self.calls.take() {
            Some(calls) => calls,
            None => self.start_calls(attempt),
        };
        let load = calls.load.get();
        if load.bytes.saturating_add(size) <= MAX_QUEUE {
            calls.load.set(Load {
                calls: load.calls + 1,
                bytes: load.bytes + size,
            });
            // Fails only after an error, which is reported.
            let _ = calls.queue.try_send(Waiting { request, size });
        } else if calls.queue.close() {
            let inbox = self.inbox.clone();
            let report = async move {
                let error = CallError::QueueFull;
                let _ = inbox.send(Input::CallFailed(attempt, error)).await;
            };
            self.executor.spawn(report).detach();
        }
        self.calls = Some(calls);
    }

    /// Closes both connections and drops the waiting calls.
    pub fn close(&mut self) {
        self.stream = None;
        self.calls = None;
        self.place.set(None);
    }

    /// The number of calls that are not yet accepted.
    pub fn waiting(&self) -> usize {
        self.calls
            .as_ref()
            .map_or(0, |calls| calls.load.get().calls)
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

    fn start_calls(&self, attempt: Attempt) -> Calls {
        let (queue, waiting) = unbounded();
        let load = Rc::new(Cell::new(Load::default()));
        let work = send_calls(
            attempt,
            waiting,
            Rc::clone(&load),
            self.place.get(),
            self.inbox.clone(),
        );
        Calls {
            queue,
            load,
            _task: self.executor.spawn(work),
        }
    }
}

// --- the event stream ---

/// Subscribes and reads records until the stream ends. The session limits the time.
async fn read_stream(
    attempt: Attempt,
    master: &Address,
    request: &Outgoing,
    place: &Cell<Option<SocketAddr>>,
    inbox: &Sender<Input>,
) -> Result<(), Error> {
    let (mut connection, address) = connect(master).await?;
    place.set(Some(address));
    connection.send(request).await?;
    let (head, fields) = connection.receive_with_fields().await?;
    let stream_id = fields.one(STREAM_ID).map(|id| StreamId(id.to_owned()));
    let reply = match (head.status, stream_id) {
        (200, Some(stream_id)) => SubscribeReply::Accepted(stream_id),
        (200, None) => {
            SubscribeReply::Refused(200, "the response has no Mesos-Stream-Id".to_owned())
        }
        (307, _) => SubscribeReply::NotLeading(leader(&fields)),
        (503, _) => SubscribeReply::NotReady,
        (status @ (401 | 403), _) => {
            SubscribeReply::Unauthorized(status, read_text(&mut connection, &head).await?)
        }
        (status, _) => SubscribeReply::Refused(status, read_text(&mut connection, &head).await?),
    };
    let is_accepted = matches!(reply, SubscribeReply::Accepted(_));
    // The receiver exists as long as the program.
    let _ = inbox.send(Input::Replied(attempt, reply)).await;
    if !is_accepted {
        return Ok(());
    }
    let mut records = recordio::Decoder::default();
    let mut body = connection.body(&head);
    while let Some(mut data) = body.next().await? {
        while let Some(record) = records.next(&mut data).map_err(invalid)? {
            let event = decode(record).await?;
            let _ = inbox.send(Input::Received(attempt, event)).await;
        }
        // A fast master must not block other tasks.
        yield_now().await;
    }
    Ok(())
}

/// Decodes a record. A large one is decoded on a thread, since it takes too long for this one: a master of thousands of
/// agents offers them all at once.
async fn decode(record: Vec<u8>) -> io::Result<MasterEvent> {
    match record.len() > LARGE_RECORD {
        true => on_thread("event", move || read(&record)).await,
        false => Ok(read(&record)),
    }
}

/// Connects to the first address of the master that accepts.
async fn connect(master: &Address) -> Result<(Connection, SocketAddr), Error> {
    let mut last = io::Error::other(format!("{} has no address", master.host()));
    for address in resolve(master).await? {
        match connect_at(address).await {
            Ok(connection) => return Ok((connection, address)),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

async fn connect_at(address: SocketAddr) -> io::Result<Connection> {
    let connection = Connection::new(connect_tcp(address)?);
    let established = Alarm::new()
        .within(CONNECT_TIME, connection.established())
        .await;
    match established {
        Some(result) => result.map(|()| connection),
        None => Err(io::Error::other(format!(
            "{address} does not accept the connection"
        ))),
    }
}

/// The addresses of a master. A name is resolved on a thread of its own, since this can take half a minute; attempts
/// are rare.
async fn resolve(master: &Address) -> io::Result<Vec<SocketAddr>> {
    let port = master.port();
    if let Ok(ip) = master.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = master.host().to_owned();
    let look_up = move || {
        (host.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect)
    };
    on_thread("resolver", look_up).await?
}

/// Runs a function on a thread of its own.
async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = bounded(1);
    // The receiver is gone if the attempt was given up.
    let run = move || drop(sender.try_send(work()));
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    let result = receiver.recv().await;
    result.map_err(|_| io::Error::other(format!("the thread {name:?} has failed")))
}

// --- calls ---

/// Sends one call after the other, until one is not accepted.
async fn send_calls(
    attempt: Attempt,
    queue: Receiver<Waiting>,
    load: Rc<Cell<Load>>,
    place: Option<SocketAddr>,
    inbox: Sender<Input>,
) {
    let mut idle = None;
    let mut alarm = Alarm::new();
    while let Ok(Waiting { request, size }) = queue.recv().await {
        let sent = alarm.within(CALL_TIME, send_call(&request, place, &mut idle));
        let error = match sent.await {
            Some(Ok(())) => {
                let Load { calls, bytes } = load.get();
                load.set(Load {
                    calls: calls.saturating_sub(1),
                    bytes: bytes.saturating_sub(size),
                });
                continue;
            }
            Some(Err(error)) => error,
            None => CallError::NoResponse(format!("none within {} s", CALL_TIME.as_secs())),
        };
        let _ = inbox.send(Input::CallFailed(attempt, error)).await;
        return;
    }
}

/// Sends a call on the idle connection, or on a new one if there is none, or if the master has closed it.
async fn send_call(
    request: &Outgoing,
    place: Option<SocketAddr>,
    idle: &mut Option<Connection>,
) -> Result<(), CallError> {
    let no_response = |error: Error| CallError::NoResponse(error.to_string());
    let mut connection = match (idle.take().filter(Connection::is_idle), place) {
        (Some(connection), _) => connection,
        (None, Some(address)) => connect_at(address)
            .await
            .map_err(|error| no_response(error.into()))?,
        // The subscription has an address.
        (None, None) => return Err(CallError::NoResponse("its address is not known".to_owned())),
    };
    // The master may refuse a request before it has read all of it: the refusal says more than the broken pipe.
    let sent = connection.send(request).await;
    let (head, fields) = match (sent, connection.receive_with_fields().await) {
        (_, Ok(response)) => response,
        (Err(error), Err(_)) | (Ok(()), Err(error)) => return Err(no_response(error)),
    };
    let answer = read_body(&mut connection, &head)
        .await
        .map_err(no_response)?;
    match head.status {
        200..=299 => {
            *idle = Some(connection).filter(|_| answer.can_reuse);
            Ok(())
        }
        307 => Err(CallError::NotLeading(leader(&fields))),
        status => Err(CallError::Refused(status, shown(&answer))),
    }
}

// --- responses ---

fn leader(fields: &Fields) -> Option<Address> {
    fields.one("location").and_then(Address::from_location)
}

async fn read_text(connection: &mut Connection, head: &ResponseHead) -> Result<String, Error> {
    Ok(shown(&read_body(connection, head).await?))
}

/// Reads the body of a response to a call.
async fn read_body(connection: &mut Connection, head: &ResponseHead) -> Result<Answer, Error> {
    // A body without a length is not waited for: the status is enough.
    let limit = match head.framing {
        Framing::UntilClose => 0,
        Framing::Length(_) | Framing::Chunked => MAX_BODY,
    };
    connection.finish(head, limit).await
}

fn shown(answer: &Answer) -> String {
    answer.text().trim().to_owned()
}

fn invalid(error: recordio::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

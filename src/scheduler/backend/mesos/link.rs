//! The two connections to the leading master: one for SUBSCRIBE, whose response never ends, and one for all other
//! calls, one at a time, since only that keeps their order.
//!
//! It decides nothing. A call is sent once: where its connection turns out to be dead, nobody knows whether the
//! master has it, and that is reported. Dropping a task closes its socket.
//!
//! Everything has an end: connections, responses, records (by their decoder), and the calls that wait.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use cook_http::alarm::Alarm;
use cook_http::client::{Answer as Reply, Connection, Error, Outgoing};
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
use super::session::{Answer, Attempt, CallFault, StreamId};

/// A master reads and writes protobuf only if it is asked for exactly this.
const PROTOBUF: &str = "application/x-protobuf";

/// The field that ties a call to its subscription.
const STREAM_ID: &str = "mesos-stream-id";

/// A master that takes no connection for so long is not there: one that is, takes it at once.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long a master may take to accept a call. One that is busy with a failover takes half a minute; one that takes
/// longer has probably forgotten it.
const CALL_TIME: Duration = Duration::from_secs(45);

/// What is read of a response's body: masters answer with a sentence.
const MOST_SENTENCE: usize = 4 << 10;

/// Calls that wait take at most so many bytes: more than a minute of a busy cluster.
const MOST_WAITING: usize = 64 << 20;

/// The connections.
#[derive(Debug)]
pub struct Link {
    executor: Rc<LocalExecutor<'static>>,
    login: Option<Login>,
    inbox: Sender<Input>,
    /// Held to keep the subscription.
    stream: Option<Task<()>>,
    calls: Option<Calls>,
    /// Where the subscription is: a name may lead elsewhere the next time.
    place: Rc<Cell<Option<SocketAddr>>>,
}

/// Calls of one subscription.
#[derive(Debug)]
struct Calls {
    queue: Sender<Waiting>,
    /// What waits, and the call that is being made.
    load: Rc<Cell<Load>>,
    _task: Task<()>,
}

/// A call that waits for the earlier ones.
#[derive(Debug)]
struct Waiting {
    request: Outgoing,
    size: usize,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    bytes: usize,
}

// === impl Link ===

impl Link {
    /// What comes from the master goes to `inbox`.
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

    /// Subscribes there. Nothing of an older subscription is left.
    pub fn subscribe(&mut self, attempt: Attempt, master: Address, call: &pb::Call) {
        self.close();
        let request = self.request(&master, call);
        let (inbox, place) = (self.inbox.clone(), Rc::clone(&self.place));
        let stream = async move {
            let why = match stream(attempt, &master, &request, &place, &inbox).await {
                Ok(()) => "the master has closed the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            // The receiver lives as long as the program.
            let _ = inbox.send(Input::Ended(attempt, why)).await;
        };
        self.stream = Some(self.executor.spawn(stream));
    }

    /// Makes a call after all earlier ones. If it is not accepted, that is reported, and none follows.
    pub fn call(&mut self, attempt: Attempt, master: &Address, stream: StreamId, call: &pb::Call) {
        let size = call.encoded_len();
        let request = self.request(master, call).with_field(STREAM_ID, stream.0);
        let calls = match self.calls.take() {
            Some(calls) => calls,
            None => self.start_calls(attempt),
        };
        let load = calls.load.get();
        if load.bytes.saturating_add(size) > MOST_WAITING {
            let inbox = self.inbox.clone();
            let report = async move {
                let fault = CallFault::TooMuchWaits;
                let _ = inbox.send(Input::CallFailed(attempt, fault)).await;
            };
            return self.executor.spawn(report).detach();
        }
        calls.load.set(Load {
            calls: load.calls + 1,
            bytes: load.bytes + size,
        });
        // The task is there for as long as its handle.
        let _ = calls.queue.try_send(Waiting { request, size });
        self.calls = Some(calls);
    }

    /// Closes both connections. Calls that wait are never made.
    pub fn close(&mut self) {
        self.stream = None;
        self.calls = None;
        self.place.set(None);
    }

    /// How many calls the master has not accepted yet.
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
            Some(login) => request.with_field("authorization", login.field()),
            None => request,
        }
    }

    fn start_calls(&self, attempt: Attempt) -> Calls {
        let (queue, waiting) = unbounded();
        let load = Rc::new(Cell::new(Load::default()));
        let work = make_calls(
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

// --- the subscription ---

/// Subscribes, and reads records until there are no more. The core gives up by dropping it.
async fn stream(
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
    let answer = match (head.status, stream_id) {
        (200, Some(stream_id)) => Answer::Accepted(stream_id),
        (200, None) => Answer::Refused(200, "the response has no Mesos-Stream-Id".to_owned()),
        (307, _) => Answer::NotLeading(leader(&fields)),
        (503, _) => Answer::NotReady,
        (status @ (401 | 403), _) => Answer::Unauthorized(status),
        (status, _) => Answer::Refused(status, sentence(&mut connection, &head).await?),
    };
    let is_accepted = matches!(answer, Answer::Accepted(_));
    // The receiver lives as long as the program.
    let _ = inbox.send(Input::Answered(attempt, answer)).await;
    if !is_accepted {
        return Ok(());
    }
    let mut records = recordio::Decoder::default();
    let mut body = connection.body(&head);
    while let Some(mut data) = body.next().await? {
        while let Some(record) = records.next(&mut data).map_err(invalid)? {
            let _ = inbox.send(Input::Record(attempt, record)).await;
        }
        // A master that never stops talking leaves time for others.
        yield_now().await;
    }
    Ok(())
}

/// A connection to the master, at the first of its addresses that takes one.
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
            "{address} does not take the connection"
        ))),
    }
}

/// The addresses of a master. Each name is looked up on a thread of its own, which ends with that: it can take half a
/// minute, and the next attempt does not come much sooner.
async fn resolve(master: &Address) -> io::Result<Vec<SocketAddr>> {
    let port = master.port();
    if let Ok(ip) = master.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = master.host().to_owned();
    let (sender, receiver) = bounded(1);
    let look_up = move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // Whoever asked may have gone meanwhile.
        let _ = sender.try_send(found.map(Iterator::collect));
    };
    thread::Builder::new()
        .name("names".to_owned())
        .spawn(look_up)?;
    let found = receiver.recv().await;
    found.unwrap_or_else(|_| Err(io::Error::other("names cannot be looked up")))
}

// --- calls ---

/// Makes one call after the other, until one is not accepted.
async fn make_calls(
    attempt: Attempt,
    queue: Receiver<Waiting>,
    load: Rc<Cell<Load>>,
    place: Option<SocketAddr>,
    inbox: Sender<Input>,
) {
    let mut idle = None;
    let mut alarm = Alarm::new();
    while let Ok(Waiting { request, size }) = queue.recv().await {
        let made = alarm.within(CALL_TIME, make_call(&request, place, &mut idle));
        let fault = match made.await {
            Some(Ok(())) => {
                let Load { calls, bytes } = load.get();
                load.set(Load {
                    calls: calls.saturating_sub(1),
                    bytes: bytes.saturating_sub(size),
                });
                continue;
            }
            Some(Err(fault)) => fault,
            None => CallFault::NoAnswer(format!("within {} s", CALL_TIME.as_secs())),
        };
        let _ = inbox.send(Input::CallFailed(attempt, fault)).await;
        return;
    }
}

/// Makes one call on the idle connection, or on a new one if there is none or the master has closed it.
async fn make_call(
    request: &Outgoing,
    place: Option<SocketAddr>,
    idle: &mut Option<Connection>,
) -> Result<(), CallFault> {
    let no_answer = |error: Error| CallFault::NoAnswer(error.to_string());
    let mut connection = match (idle.take().filter(Connection::is_idle), place) {
        (Some(connection), _) => connection,
        (None, Some(address)) => connect_at(address)
            .await
            .map_err(|error| no_answer(error.into()))?,
        // The subscription is at some address.
        (None, None) => return Err(CallFault::NoAnswer("its address is not known".to_owned())),
    };
    // A refusal may come before the whole request is taken: it is worth more than the broken pipe.
    let sent = connection.send(request).await;
    let (head, fields) = match (sent, connection.receive_with_fields().await) {
        (_, Ok(response)) => response,
        (Err(error), Err(_)) | (Ok(()), Err(error)) => return Err(no_answer(error)),
    };
    let answer = read_sentence(&mut connection, &head)
        .await
        .map_err(no_answer)?;
    match head.status {
        200..=299 => {
            *idle = Some(connection).filter(|_| answer.can_reuse);
            Ok(())
        }
        307 => Err(CallFault::NotLeading(leader(&fields))),
        status => Err(CallFault::Refused(status, shown(&answer))),
    }
}

// --- responses ---

fn leader(fields: &Fields) -> Option<Address> {
    fields.one("location").and_then(Address::from_location)
}

async fn sentence(connection: &mut Connection, head: &ResponseHead) -> Result<String, Error> {
    Ok(shown(&read_sentence(connection, head).await?))
}

/// Reads what a master has to say beside its status.
async fn read_sentence(connection: &mut Connection, head: &ResponseHead) -> Result<Reply, Error> {
    // A master that says neither how long it is nor closes is not waited for: its status is enough.
    let limit = match head.framing {
        Framing::UntilClose => 0,
        Framing::Length(_) | Framing::Chunked => MOST_SENTENCE,
    };
    connection.finish(head, limit).await
}

fn shown(answer: &Reply) -> String {
    answer.text().trim().to_owned()
}

fn invalid(error: recordio::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

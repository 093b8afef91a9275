//! Connecting to a master, and reading the responses that are no stream.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use cook_http::alarm::Alarm;
use cook_http::client::{Answer, Connection, Error};
use cook_http::head::{Fields, Framing, ResponseHead};
use cook_http::socket::connect_tcp;
use smol::channel::bounded;

use crate::backend::mesos::address::Address;

/// The maximum time of connecting. A live master accepts at once.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The maximum size of a response's body: masters send one sentence.
const MAX_BODY: usize = 4 << 10;

/// The maximum time of a response's body, once the head has arrived: the status says what matters.
const BODY_TIME: Duration = Duration::from_secs(2);

/// Connects to the first address of the master that accepts.
pub async fn connect(master: &Address) -> Result<(Connection, SocketAddr), Error> {
    let mut last = io::Error::other(format!("{} has no address", master.host()));
    for address in resolve(master).await? {
        match connect_at(address).await {
            Ok(connection) => return Ok((connection, address)),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Connects to an address.
pub async fn connect_at(address: SocketAddr) -> io::Result<Connection> {
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
        let found = (host.as_str(), port).to_socket_addrs();
        found.map(Iterator::collect)
    };
    on_thread("resolver", look_up).await?
}

/// Runs a function on a thread of its own.
pub async fn on_thread<T: Send + 'static>(
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

/// The leader that a redirect names.
pub fn leader(fields: &Fields) -> Option<Address> {
    fields.one("location").and_then(Address::from_location)
}

/// Reads the body of a response.
pub async fn read_body(connection: &mut Connection, head: &ResponseHead) -> Result<Answer, Error> {
    // A body without a length is not waited for.
    let limit = match head.framing {
        Framing::UntilClose => 0,
        Framing::Length(_) | Framing::Chunked => MAX_BODY,
    };
    let mut alarm = Alarm::new();
    let body = alarm.within(BODY_TIME, connection.finish(head, limit));
    body.await.unwrap_or(Err(Error::Closed))
}

/// The text of a body, as far as there is one.
pub fn text(body: Result<Answer, Error>) -> String {
    body.map_or_else(|_| String::new(), |answer| answer.text().trim().to_owned())
}

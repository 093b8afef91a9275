//! Probes for checks: a connection, an HTTP request, or a command.
//!
//! An abandoned probe ends immediately: its connection is closed or its processes are killed. The core
//! decides how long a probe may take.

use std::fmt::Display;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use cook_http::client::{Connection, Outgoing};
use cook_http::message::Method;
use cook_http::socket::connect_tcp;
use cook_http::task::spawn;
use smol::channel::Sender;
use smol::{LocalExecutor, Task};

use crate::core::checks::{Address, Family, Finding, HttpAddress, Probe, ProbeId};
use crate::core::event::{Event, TaskEvent};
use crate::world::inbox::Incoming;
use crate::world::process::Processes;

/// The `User-Agent` of HTTP checks.
const USER_AGENT: &str = concat!("cook-executor/", env!("CARGO_PKG_VERSION"));

/// Starts and abandons probes. There is at most one for each check of the task.
pub struct Prober {
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    /// Probes that are connections. Commands are with the other processes.
    connections: Vec<(ProbeId, Task<()>)>,
}

// === impl Prober ===

impl Prober {
    /// Results go to `inbox`.
    pub fn new(executor: Rc<LocalExecutor<'static>>, inbox: Sender<Incoming>) -> Self {
        Self {
            executor,
            inbox,
            connections: Vec::new(),
        }
    }

    /// Starts a probe. Returns the result if it is known immediately.
    pub fn start(
        &mut self,
        id: ProbeId,
        probe: &Probe,
        processes: &Processes,
    ) -> Option<TaskEvent> {
        // Forget finished probes.
        self.connections.retain(|(_, task)| !task.is_finished());
        match probe {
            Probe::Command {
                program,
                environment,
            } => processes.run_check(id, program, environment),
            Probe::Https {
                client,
                environment,
                ..
            } => processes.run_client(id, client, environment),
            Probe::Http(HttpAddress { at, path }) => {
                self.connect(id, *at, Some(path.clone()));
                None
            }
            Probe::Tcp(address) => {
                self.connect(id, *address, None);
                None
            }
        }
    }

    /// Abandons a probe.
    pub fn abandon(&mut self, id: ProbeId, processes: &Processes) {
        // Dropping its task closes its connection.
        self.connections.retain(|(other, _)| *other != id);
        processes.abandon_check(id);
    }

    fn connect(&mut self, id: ProbeId, at: Address, path: Option<String>) {
        let inbox = self.inbox.clone();
        let probe = async move {
            let finding = ask(at, path.as_deref()).await;
            let finding = finding.unwrap_or_else(Finding::Failed);
            // The receiver lives as long as the runtime.
            let _ = inbox
                .send(Incoming::Event(Event::Task(TaskEvent::Probed(id, finding))))
                .await;
        };
        let task = spawn(&self.executor, probe);
        self.connections.push((id, task));
    }
}

fn socket_address(Address { family, port }: Address) -> SocketAddr {
    let host = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(host, port.get())
}

async fn connect(address: SocketAddr) -> Result<Connection, String> {
    let connection = Connection::new(connect_tcp(address).map_err(|error| reason(&error))?);
    let established = connection.established().await;
    established.map_err(|error| reason(&error))?;
    // If no process listens on a port of the ephemeral range, a socket can connect to itself by chance
    // (simultaneous open, RFC 9293, 3.5).
    let own = rustix::net::getsockname(connection.socket().get_ref());
    match own.ok().and_then(|own| SocketAddr::try_from(own).ok()) {
        Some(own) if own == address => Err("connection refused".to_owned()),
        Some(_) | None => Ok(connection),
    }
}

/// Connects and, if there is a path, sends a request and reads the status. The body is not read, and
/// redirections are not followed.
async fn ask(at: Address, path: Option<&str>) -> Result<Finding, String> {
    let mut connection = connect(socket_address(at)).await?;
    let Some(path) = path else {
        return Ok(Finding::Connected);
    };
    let request = Outgoing::new(Method::Get, format!("http://{at}{path}"))
        .with_field("accept", "*/*")
        .with_field("user-agent", USER_AGENT)
        .with_field("connection", "close");
    // A server may respond before it has read everything. Its response says more than the broken pipe.
    let sent = connection.send(&request).await;
    match (connection.status().await, sent) {
        (Ok(status), _) => Ok(Finding::Answered(status)),
        (Err(_), Err(error)) | (Err(error), Ok(())) => Err(reason(&error)),
    }
}

/// An error as the end of a sentence: "connection refused".
pub fn reason(error: &impl Display) -> String {
    let text = error.to_string();
    // The error number means nothing to people.
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read, Write};
    use std::net::TcpListener;
    use std::num::NonZeroU16;
    use std::thread;

    use async_io::block_on;

    /// A server that sends `says` to its client, and returns the request.
    fn server(host: &str, says: &'static [u8]) -> (Address, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind((host, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let serve = move || {
            let (mut client, _) = listener.accept().expect("a client");
            let mut asked = vec![0; 1000];
            let length = client.read(&mut asked).unwrap_or_default();
            asked.truncate(length);
            client.write_all(says).expect("room");
            asked
        };
        let family = if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        let port = NonZeroU16::new(address.port()).expect("not 0");
        (Address { family, port }, thread::spawn(serve))
    }

    fn finding(says: &'static [u8]) -> Result<Finding, String> {
        let (at, server) = server("127.0.0.1", says);
        let found = block_on(ask(at, Some("/health?a=b")));
        let asked = server.join().expect("served");
        let asked = String::from_utf8_lossy(&asked).to_ascii_lowercase();
        assert!(asked.starts_with("get /health?a=b http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("\r\nhost: {at}\r\n")), "{asked}");
        found
    }

    #[test]
    fn the_status_is_the_result_whatever_else_the_server_sends() {
        for (says, status) in [
            (
                &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..],
                200,
            ),
            (b"HTTP/1.0 404 no\r\n\r\n", 404),
            (
                b"HTTP/1.1 302 there\r\nlocation: http://example.com/\r\n\r\n",
                302,
            ),
            (b"HTTP/1.1 100 go on\r\n\r\nHTTP/1.1 503 no\r\n\r\n", 503),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\nnot whole",
                200,
            ),
            // As sent by servers that are short shell scripts.
            (b"HTTP/1.1 200 OK\n\nhello", 200),
            (b"\r\nHTTP/1.0 503\n", 503),
            (b"HTTP/1.1 102 wait\nA: b\n\nHTTP/1.1 204\r\nno field\r\n", 204),
            (
                b"HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                200,
            ),
        ] {
            assert_eq!(finding(says), Ok(Finding::Answered(status)));
        }
        for says in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"",
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"<html>200</html>\n",
            b"HTTP/1.1 100 go on\r\n\r\n",
        ] {
            assert!(finding(says).is_err(), "{}", says.escape_ascii());
        }
    }

    #[test]
    fn both_loopback_addresses_are_reached() {
        for host in ["127.0.0.1", "::1"] {
            if host == "::1" && TcpListener::bind((host, 0)).is_err() {
                eprintln!("SKIPPED: no IPv6 on this machine");
                continue;
            }
            let (at, server) = server(host, b"");
            assert_eq!(block_on(ask(at, None)), Ok(Finding::Connected), "{host}");
            server.join().expect("served");
            let refused = Err("connection refused".to_owned());
            assert_eq!(block_on(ask(at, None)), refused, "{host}");
        }
    }

    #[test]
    fn an_error_is_the_end_of_a_sentence() {
        let error = io::Error::from(rustix::io::Errno::CONNREFUSED);
        assert_eq!(reason(&error), "connection refused");
    }
}

//! A server for many connections, none of which can hold up another. The program sets the limits.
//!
//! It runs on the program's executor and reactor, and never starts a thread. The [`Handler`] decides which
//! connections are served, and what a request means.
//!
//! ```
//! use std::os::fd::BorrowedFd;
//! use std::rc::Rc;
//!
//! use cook_http::message::{Head, Request, Response, StatusCode};
//! use cook_http::server::{self, Admission, Handler, Limits, Listener};
//! use cook_http::socket::Peer;
//! use smol::LocalExecutor;
//!
//! struct Greeter;
//!
//! impl Handler for Greeter {
//!     type Caller = ();
//!
//!     fn admit(&self, _: &Peer, _: BorrowedFd<'_>) -> Admission<()> {
//!         Admission::Serve(())
//!     }
//!
//!     async fn answer(&self, _: &(), request: Request) -> Response {
//!         let text = format!("hello, {}\n", request.head.path);
//!         Response::new(StatusCode::Ok).with_body("text/plain", text.into_bytes())
//!     }
//!
//!     fn refuse(&self, status: StatusCode, text: String) -> Response {
//!         Response::new(status).with_body("text/plain", text.into_bytes())
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let executor = Rc::new(LocalExecutor::new());
//! let listener = Listener::tcp(([127, 0, 0, 1], 0).into())?;
//! println!("at {:?}", listener.address());
//! let serving = server::serve(listener, Limits::default(), Rc::new(Greeter), executor.clone());
//! executor.spawn(serving).detach();
//! // Then drive it: `async_io::block_on(executor.run(...))`.
//! # Ok(())
//! # }
//! ```

mod connection;
mod listener;
mod memory;
mod slots;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use rustix::net::sockopt;
use smol::LocalExecutor;
use smol::future::yield_now;

use self::connection::{Connection, Context, drain};
pub use self::listener::Listener;
use self::listener::{ACCEPT_PAUSE, BATCH, Pace};
use self::memory::Pool;
use self::slots::Slots;
use crate::head::{MAX_HEAD, MAX_TARGET};
use crate::message::{Head, Method, Request, Response, StatusCode};
use crate::socket::{Peer, Socket};
use crate::task::spawn;

/// Decides which connections are served, and answers requests.
pub trait Handler: 'static {
    /// Whether there are responses whose bodies are read or made while they are sent. If not, the program
    /// does not contain the code for them, and such a response closes its connection unsent.
    const STREAMS: bool = true;

    /// What `admit` has found out about the client; kept as long as the connection.
    type Caller: 'static;

    /// Decides about a connection before anything is read from it. `socket` is our end of it.
    fn admit(&self, peer: &Peer, socket: BorrowedFd<'_>) -> Admission<Self::Caller>;

    /// Decides about a request before its body is read. If a request with a body is refused, the body is
    /// not read, and the connection ends.
    ///
    /// # Errors
    ///
    /// The response to a request that is refused.
    fn screen(&self, caller: &Self::Caller, head: &Head) -> Result<(), Response> {
        let _ = (caller, head);
        Ok(())
    }

    /// Answers a request. While it waits for something, requests of other connections are answered; the
    /// next request on the same connection waits.
    fn answer(&self, caller: &Self::Caller, request: Request) -> impl Future<Output = Response>;

    /// Makes the response to a request that the server itself refuses; `text` is the reason.
    fn refuse(&self, status: StatusCode, text: String) -> Response;

    /// Called when accepting fails; for several failures in a row only once.
    fn accept_failed(&self, error: &std::io::Error) {
        let _ = error;
    }
}

/// What to do with a connection.
#[derive(Debug)]
pub enum Admission<Caller> {
    /// It is served.
    Serve(Caller),
    /// The client gets this response, whatever its request is; nothing is read. If there are many such
    /// clients, only some get the response, and the other connections are closed.
    Refuse(Response),
    /// It is closed at once.
    Close,
}

/// Limits of size, time and number.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a request's target.
    pub target: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Number of connections at the same time.
    pub connections: usize,
    /// Bytes of memory for all connections together. Raised to one head for each connection plus one body,
    /// if it is less.
    pub memory: usize,
    /// From the first byte of a request to the end of its head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// Until the client has read the response; of one that is not in memory, until it has read the next
    /// part.
    pub answer_time: Duration,
    /// Between two requests.
    pub idle_time: Duration,
    /// From the last response until the client closes its side.
    pub linger_time: Duration,
}

/// Maximum number of refused connections that get time to read their response.
const MAX_LINGERING: usize = 8;

/// Maximum number of refused connections per window that get a response. The others are reset, which costs
/// a fraction of the time.
const MAX_RESPONSES: u32 = 100;
const RESPONSE_WINDOW: Duration = Duration::from_secs(1);

/// The connections that were refused.
struct Refused {
    lingering: Rc<()>,
    window: Instant,
    responses: u32,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        let (body, connections) = (256 << 10, 64);
        Self {
            head: MAX_HEAD,
            target: MAX_TARGET,
            body,
            connections,
            memory: connections * MAX_HEAD + 4 * body,
            // For clients on the same host: after ten seconds, the client is stopped, not slow.
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            linger_time: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// The memory for bodies that are larger than a connection's own share.
    fn pool(&self) -> usize {
        let heads = self.connections.saturating_mul(self.head);
        self.memory.saturating_sub(heads).max(self.body)
    }
}

/// Serves until the future is dropped.
///
/// A client that never pauses keeps its connection's task runnable. A program that drives `executor`
/// together with other futures must let them run regularly, as `LocalExecutor::run` does.
pub async fn serve<H: Handler>(
    listener: Listener,
    limits: Limits,
    handler: Rc<H>,
    executor: Rc<LocalExecutor<'static>>,
) {
    let mut server = Server {
        slots: Slots::new(limits.connections),
        context: Rc::new(Context {
            pool: Pool::new(limits.pool()),
            handler,
            limits,
        }),
        executor,
        refused: Refused {
            lingering: Rc::new(()),
            window: Instant::now(),
            responses: 0,
        },
    };
    let mut pace = Pace::new();
    let mut is_failing = false;
    loop {
        // If it fails, so does accepting.
        let _ = listener.ready().await;
        let start = Pace::clock();
        match server.take_some(&listener) {
            Ok(()) => is_failing = false,
            Err(error) => {
                // Only once for several failures in a row; more lines explain nothing more.
                if !is_failing {
                    server.context.handler.accept_failed(&error);
                }
                is_failing = true;
                Timer::after(ACCEPT_PAUSE).await;
            }
        }
        pace.after_batch(start).await;
        // Other tasks have a turn before the next batch.
        yield_now().await;
    }
}

struct Server<H> {
    slots: Slots,
    context: Rc<Context<H>>,
    executor: Rc<LocalExecutor<'static>>,
    refused: Refused,
}

// === impl Server ===

impl<H: Handler> Server<H> {
    fn take_some(&mut self, listener: &Listener) -> std::io::Result<()> {
        for _ in 0..BATCH {
            let Some((socket, peer)) = listener.accept()? else {
                break;
            };
            match self.context.handler.admit(&peer, socket.as_fd()) {
                Admission::Serve(caller) => self.open(socket, peer, caller),
                Admission::Refuse(response) => self.turn_away(socket, response),
                Admission::Close => reset(&socket),
            }
        }
        Ok(())
    }

    /// Gives the connection a slot, and serves it.
    fn open(&mut self, socket: OwnedFd, peer: Peer, caller: H::Caller) {
        let Some(slot) = self.slots.take() else {
            let text = "too many connections at the same time".to_owned();
            let response = self
                .context
                .handler
                .refuse(StatusCode::ServiceUnavailable, text);
            return self.turn_away(socket, response);
        };
        if matches!(peer, Peer::Tcp { .. }) {
            // With Nagle's delay, each response on a kept-alive connection would take 40 ms. Without this
            // option it is only slower.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        }
        let Ok(socket) = Socket::new_nonblocking(socket.into()) else {
            return;
        };
        let number = slot.number();
        let connection = Connection::new(socket, (peer, caller), slot, self.context.clone());
        self.slots
            .hold(number, spawn(&self.executor, connection.run()));
    }

    /// Responds to a connection that is not served, without reading its request. It takes no slot, and gets
    /// a short time to read the response if there are not many like it, so refused clients cannot lock out
    /// others.
    fn turn_away(&mut self, socket: OwnedFd, response: Response) {
        if !self.refused.may_respond() {
            return reset(&socket);
        }
        let bytes = response.ending_connection().encode(Method::Get);
        let mut file = std::fs::File::from(socket);
        // The send buffer of a new socket is empty. If the client has disconnected, it needs no response.
        let _ = file.write_all(&bytes);
        if Rc::strong_count(&self.refused.lingering) > MAX_LINGERING {
            return;
        }
        let Ok(socket) = Async::new_nonblocking(file) else {
            return;
        };
        let held = Rc::clone(&self.refused.lingering);
        let moment = self.context.limits.linger_time;
        let lingering = async move {
            drain(&socket, moment).await;
            drop(held);
        };
        spawn(&self.executor, lingering).detach();
    }
}

// === impl Refused ===

impl Refused {
    fn may_respond(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.window) >= RESPONSE_WINDOW {
            (self.window, self.responses) = (now, 0);
        }
        self.responses += 1;
        self.responses <= MAX_RESPONSES
    }
}

/// Closes a connection with a reset. If the option cannot be set, it is closed normally, which is only
/// slower.
fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

//! The server: connections in, each served beside the others, none able to hold up another, and
//! everything bounded, for the program to say how.
//!
//! It runs on the program's own executor and reactor, and never starts a thread. What a connection may do,
//! and what a request means, is the [`Handler`]'s to say.
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
//!     type Guest = ();
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
mod seats;
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
use smol::future::{FutureExt, yield_now};

use self::connection::{Connection, Context, drain};
pub use self::listener::Listener;
use self::listener::{ACCEPT_PAUSE, BATCH, Pace};
use self::memory::Pool;
use self::seats::Seats;
use crate::head::{MAX_HEAD, MAX_TARGET};
use crate::message::{Head, Method, Request, Response, StatusCode};
use crate::socket::{Peer, Socket};

/// What a program makes of connections and requests.
pub trait Handler: 'static {
    /// Whether it has responses whose bodies are read or made while they are sent. A program that has none
    /// does not carry the code for them; such a response would end its connection unsent.
    const STREAMS: bool = true;

    /// What it has found out about a connection, for as long as that lasts.
    type Guest: 'static;

    /// Decides about a connection before anything is read from it. `socket` is our end.
    fn admit(&self, peer: &Peer, socket: BorrowedFd<'_>) -> Admission<Self::Guest>;

    /// Decides about a request before its body is read. A refusal ends the connection if there is a body,
    /// which is not read then.
    ///
    /// # Errors
    ///
    /// The response to give instead of serving it.
    fn screen(&self, guest: &Self::Guest, head: &Head) -> Result<(), Response> {
        let _ = (guest, head);
        Ok(())
    }

    /// Answers a request. It may take its time: other requests are answered meanwhile, though not those
    /// that follow on the same connection.
    fn answer(&self, guest: &Self::Guest, request: Request) -> impl Future<Output = Response>;

    /// The response to a request that the server does not let through, for a reason that `text` says.
    fn refuse(&self, status: StatusCode, text: String) -> Response;

    /// Connections cannot be accepted at the moment, the first time in a row.
    fn accept_failed(&self, error: &std::io::Error) {
        let _ = error;
    }
}

/// What is to become of a connection.
#[derive(Debug)]
pub enum Admission<Guest> {
    /// It is served.
    Serve(Guest),
    /// It gets this answer, whatever it asks for; nothing is read from it. Of a crowd of such, only some
    /// get their answer, and the others are closed.
    Refuse(Response),
    /// It is closed at once.
    Close,
}

/// How much a client may send, how long it may take, and how many may come.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a request's target.
    pub target: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Connections at once.
    pub connections: usize,
    /// Bytes that all connections together hold in memory. It is made at least as large as a head for each
    /// connection and one body.
    pub memory: usize,
    /// From the first byte of a request to the end of its head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// Until a client takes its answer, or the next part of it if it is not in memory as a whole.
    pub answer_time: Duration,
    /// Between two requests.
    pub idle_time: Duration,
    /// From the last answer until the client hangs up.
    pub linger_time: Duration,
}

/// So many refused connections are given time to take their answer.
const MAX_LINGERING: usize = 8;

/// So many connections a second are told why they are not served. The others are reset, which takes a
/// fraction of the time: nobody needs to be told more often than he can read.
const MAX_TOLD: u32 = 100;
const TOLD_WINDOW: Duration = Duration::from_secs(1);

/// What is known of the connections that are not served.
struct Refused {
    lingering: Rc<()>,
    window: Instant,
    told: u32,
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
            // For clients on the same host: ten seconds is a stopped process, not a slow one.
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            linger_time: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// What is there for bodies that are larger than what fits beside a head.
    fn pool(&self) -> usize {
        let heads = self.connections.saturating_mul(self.head);
        self.memory.saturating_sub(heads).max(self.body)
    }
}

/// Serves for ever.
///
/// A client that never pauses keeps its connection's task runnable: whoever drives `executor` beside
/// other futures must let these run every so many ticks, as `LocalExecutor::run` does.
pub async fn serve<H: Handler>(
    listener: Listener,
    limits: Limits,
    handler: Rc<H>,
    executor: Rc<LocalExecutor<'static>>,
) {
    let mut server = Server {
        seats: Seats::new(limits.connections),
        context: Rc::new(Context {
            pool: Pool::new(limits.pool()),
            handler,
            limits,
        }),
        executor,
        refused: Refused {
            lingering: Rc::new(()),
            window: Instant::now(),
            told: 0,
        },
    };
    let mut pace = Pace::new();
    let mut is_failing = false;
    loop {
        // A socket that listens has no other way to fail than that of accepting.
        let _ = listener.ready().await;
        let start = Pace::clock();
        match server.take_some(&listener) {
            Ok(()) => is_failing = false,
            Err(error) => {
                // Once for a row of failures: ten lines a second explain no more.
                if !is_failing {
                    server.context.handler.accept_failed(&error);
                }
                is_failing = true;
                Timer::after(ACCEPT_PAUSE).await;
            }
        }
        pace.after_batch(start).await;
        // However many more wait, everybody else has a turn first.
        yield_now().await;
    }
}

struct Server<H> {
    seats: Seats,
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
                Admission::Serve(guest) => self.open(socket, peer, guest),
                Admission::Refuse(response) => self.turn_away(socket, response),
                Admission::Close => reset(&socket),
            }
        }
        Ok(())
    }

    /// Gives a connection a seat and serves it.
    fn open(&mut self, socket: OwnedFd, peer: Peer, guest: H::Guest) {
        let Some(seat) = self.seats.take() else {
            let text = "there are too many connections at once".to_owned();
            let response = self
                .context
                .handler
                .refuse(StatusCode::ServiceUnavailable, text);
            return self.turn_away(socket, response);
        };
        if matches!(peer, Peer::Tcp { .. }) {
            // With the delay, each answer on a kept-alive connection takes 40 ms. It is only slow without.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        }
        let Ok(socket) = Socket::new_nonblocking(socket.into()) else {
            return;
        };
        let number = seat.number();
        let connection = Connection::new(socket, (peer, guest), seat, self.context.clone());
        self.seats
            .hold(number, self.executor.spawn(connection.run().boxed_local()));
    }

    /// Answers a connection that is not to be served, whatever it asks for. It gets no seat, and a moment
    /// to take its answer, unless there are many such: nobody outside can keep the others out.
    fn turn_away(&mut self, socket: OwnedFd, response: Response) {
        if !self.refused.may_tell() {
            return reset(&socket);
        }
        let bytes = response.ending_connection().encode(Method::Get);
        let mut file = std::fs::File::from(socket);
        // A new socket's buffer is empty; a client that is gone needs no answer.
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
        self.executor.spawn(lingering.boxed_local()).detach();
    }
}

// === impl Refused ===

impl Refused {
    fn may_tell(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.window) >= TOLD_WINDOW {
            (self.window, self.told) = (now, 0);
        }
        self.told += 1;
        self.told <= MAX_TOLD
    }
}

/// Closes a connection without the care of an orderly end. It is only slower if that fails.
fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

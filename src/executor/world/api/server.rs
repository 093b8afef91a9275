//! The listener: connections in, each served beside the others, none able to hold up another.
//!
//! It hands requests for the core to the runtime and brings back the answers; it decides nothing. Only
//! loopback is listened on.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use http_types::{Method, StatusCode};
use smol::LocalExecutor;
use smol::channel::Sender;

use super::connection::{Connection, Context, drain};
pub use super::connection::{Incoming, Limits};
use super::peer;
use super::seats::Seats;
use crate::codec::api::refusal::Refusal;
use crate::codec::api::response;
use crate::words::units::TaskId;
use crate::world::log::STRANGER;
use cook_http::h1;

/// How long to wait after a failed accept. Out of descriptors, the connection stays where it is and
/// the listener readable: trying again at once would be a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// So many refused connections are given time to take their answer.
const MAX_REFUSED: usize = 8;

/// The task API's listening socket.
#[derive(Debug)]
pub struct Server {
    listener: Async<TcpListener>,
    port: u16,
    limits: Limits,
}

// === impl Server ===

impl Server {
    /// Listens on the preferred port, or on any if there is no preference or the port is not to be had.
    ///
    /// # Errors
    ///
    /// There is no port at all, or no descriptor.
    pub fn bind(preferred_port: Option<u16>) -> io::Result<Self> {
        let bind = |port| Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, port));
        let preferred = preferred_port.map(|port| (port, bind(port)));
        let listener = match preferred {
            Some((_, Ok(listener))) => listener,
            Some((port, Err(error))) => {
                tracing::warn!(port, %error, "failed to listen on the preferred port");
                bind(0)?
            }
            None => bind(0)?,
        };
        Ok(Self {
            port: listener.get_ref().local_addr()?.port(),
            listener,
            limits: Limits::default(),
        })
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same server with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves for ever. Until `task` is set, every path is unknown.
    ///
    /// A client that never pauses keeps its connection's task runnable: whoever drives `executor`
    /// beside other futures must let these run every so many ticks, as `LocalExecutor::run` does.
    pub async fn serve(
        self,
        executor: Rc<LocalExecutor<'static>>,
        task: Rc<OnceCell<TaskId>>,
        inbox: Sender<Incoming>,
    ) {
        let seats = Seats::new(self.limits.connections);
        let context = Rc::new(Context {
            task,
            inbox,
            limits: self.limits,
        });
        let refused = Rc::new(());
        let mut failing = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    failing = false;
                    match peer::admit(peer, self.port) {
                        Ok(()) => open(stream, &executor, &seats, &context),
                        Err(unwelcome) => {
                            tracing::warn!(
                                target: STRANGER,
                                "refused a connection to the task API: failed to {unwelcome}"
                            );
                            turn_away(stream, forbidden(), &executor, &refused, self.limits.linger);
                        }
                    }
                }
                Err(error) => {
                    // Once for a row of failures: ten lines a second explain no more.
                    if !failing {
                        tracing::warn!(%error, "failed to accept a connection");
                    }
                    failing = true;
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Gives a connection a seat and serves it.
fn open(
    stream: Async<TcpStream>,
    executor: &LocalExecutor<'static>,
    seats: &Seats,
    context: &Rc<Context>,
) {
    // With the delay, each answer on a kept-alive connection takes 40 ms. It is only slow without.
    let _ = stream.get_ref().set_nodelay(true);
    let Some(seat) = seats.take() else {
        let text = "there are too many connections at once";
        return say_without_waiting(&stream, &Refusal::new(StatusCode::ServiceUnavailable, text));
    };
    let number = seat.number();
    let connection = Connection::new(stream, seat, context.clone());
    seats.hold(number, executor.spawn(connection.run()));
}

fn forbidden() -> Refusal {
    let text = "only the task's own user and root may use this task's API";
    Refusal::new(StatusCode::Forbidden, text)
}

/// Answers a connection that is not to be served, whatever it asks for. It gets no seat, and a moment
/// to take its answer, unless there are many such: nobody outside can keep the task's user out.
fn turn_away(
    stream: Async<TcpStream>,
    refusal: Refusal,
    executor: &LocalExecutor<'static>,
    refused: &Rc<()>,
    moment: Duration,
) {
    say_without_waiting(&stream, &refusal);
    if Rc::strong_count(refused) > MAX_REFUSED {
        return;
    }
    let held = Rc::clone(refused);
    let lingering = async move {
        drain(&stream, moment).await;
        drop(held);
    };
    executor.spawn(lingering).detach();
}

/// Writes a refusal as far as the socket takes it at once.
fn say_without_waiting(stream: &Async<TcpStream>, refusal: &Refusal) {
    let mut response = response::refusal(refusal);
    response.insert_header("connection", "close");
    // A new socket's buffer is empty; a client that is gone needs no answer.
    let _ = stream
        .get_ref()
        .write_all(&h1::encode(response, Method::Get));
}

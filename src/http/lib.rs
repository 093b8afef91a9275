//! HTTP/1.1 for small servers and clients on one thread. The program sets every limit, and nothing is
//! started that it did not ask for: no thread, no second reactor. The crate knows nothing about tasks,
//! agents and schedulers.
//!
//! | module | what it is for |
//! |---|---|
//! | [`server`] | a bounded server; [`server::Handler`] is what a program implements, [`server::serve`] runs it |
//! | [`client`] | [`client::Connection`]: exchanges over one connection, and responses that are streams |
//! | [`message`], [`live`] | [`message::Request`] and [`message::Response`], including responses without an end |
//! | [`owner`] | [`owner::Owners`]: which user owns the other end of a connection on this host |
//! | [`socket`], [`alarm`], [`task`] | connecting and reading; one timer for all waits of a task; starting tasks |
//! | [`head`], [`body`] | where messages end: pure parsers with limits |
//!
//! Requests are read by this crate's own parsers; responses are written by async-h1 (see [`message`] for
//! the reason).
//!
//! A server and a client on one executor:
//!
//! ```
//! use std::net::SocketAddr;
//! use std::os::fd::BorrowedFd;
//! use std::rc::Rc;
//!
//! use cook_http::client::{Connection, Error, Outgoing};
//! use cook_http::message::{Method, Request, Response, StatusCode};
//! use cook_http::server::{self, Admission, Handler, Limits, Listener};
//! use cook_http::socket::{self, Peer};
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
//!         let text = format!("hello, {}", request.head.path);
//!         Response::new(StatusCode::Ok).with_body("text/plain", text.into_bytes())
//!     }
//!
//!     fn refuse(&self, status: StatusCode, text: String) -> Response {
//!         Response::new(status).with_body("text/plain", text.into_bytes())
//!     }
//! }
//!
//! async fn get(address: SocketAddr) -> Result<String, Error> {
//!     let mut connection = Connection::new(socket::connect_tcp(address)?);
//!     let request = Outgoing::new(Method::Get, format!("http://{address}/world"));
//!     Ok(connection.exchange(&request, 64 << 10).await?.text().into_owned())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let executor = Rc::new(LocalExecutor::new());
//! let listener = Listener::tcp(([127, 0, 0, 1], 0).into())?;
//! let address = listener.address().ok_or("not a TCP listener")?;
//! let serving = server::serve(listener, Limits::default(), Rc::new(Greeter), executor.clone());
//! executor.spawn(serving).detach();
//! let text = async_io::block_on(executor.run(get(address)))?;
//! assert_eq!(text, "hello, /world");
//! # Ok(())
//! # }
//! ```

pub mod alarm;
pub mod body;
pub mod client;
mod error;
mod fields;
pub mod head;
pub mod live;
pub mod message;
pub mod owner;
pub mod server;
pub mod socket;
mod target;
pub mod task;

//! HTTP/1.1 for small servers and clients on one reactor: every bound is a parameter, and nothing is
//! started that was not asked for. It knows neither tasks nor agents.
//!
//! | module | what it is for |
//! |---|---|
//! | [`server`] | a bounded server, generic over what it serves |
//! | [`client`] | a connection to a server: exchanges, and responses that are streams |
//! | [`message`], [`live`] | requests and responses, also those without an end |
//! | [`owner`] | which user the other end of a connection on this host belongs to |
//! | [`socket`], [`alarm`] | connecting, reading, and one timer for all waits of a task |
//! | [`head`], [`body`] | where messages end: pure bytes, a bound on everything |
//!
//! Reading is its own, and so are requests; responses are written by async-h1 (see [`message`]).

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

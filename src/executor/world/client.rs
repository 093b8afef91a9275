//! A client of the task API for images without `curl`: `cook-executor get` and `cook-executor patch`.
//!
//! It runs in a command, as its own process, and sends one request.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use async_io::block_on;
use cook_http::alarm::Alarm;
use cook_http::client::{Answer, Connection, Error, Outgoing};
use cook_http::message::Method;
use cook_http::socket::connect_tcp;

/// The request.
pub enum Request<'a> {
    /// `GET`.
    Get,
    /// `PATCH` with this body.
    Patch(&'a OsStr),
}

/// The executor usually responds immediately; it takes longer only while it is stopped.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum size of a response. Usual ones have a few hundred bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Sends the request to `endpoint`, such as `http://127.0.0.1:31005/task/some-id`.
///
/// # Errors
///
/// The endpoint is not such a URL, or there is no response: a text for people.
pub fn ask(endpoint: &str, request: &Request) -> Result<Answer, String> {
    let address = address(endpoint).ok_or("it is not a task's endpoint")?;
    let outgoing = match request {
        Request::Get => Outgoing::new(Method::Get, endpoint),
        Request::Patch(body) => Outgoing::new(Method::Patch, endpoint)
            .with_body("application/json", body.as_bytes().to_vec()),
    };
    let exchange = async {
        let mut connection = Connection::new(connect_tcp(address)?);
        connection
            .exchange(&outgoing.with_field("connection", "close"), MAX_ANSWER)
            .await
    };
    let answer = block_on(Alarm::new().within(TIMEOUT, exchange));
    let answer = answer.ok_or("there is no response")?;
    answer.map_err(|error: Error| error.to_string())
}

/// Whether this can be the address of a task API.
pub fn is_endpoint(endpoint: &str) -> bool {
    address(endpoint).is_some()
}

fn address(endpoint: &str) -> Option<SocketAddr> {
    let (host, _) = endpoint.strip_prefix("http://")?.split_once('/')?;
    host.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_endpoint_is_refused() {
        for wrong in [
            "",
            "127.0.0.1:1/task/a",
            "http://127.0.0.1:1",
            "https://a/b",
            "http://host/task",
        ] {
            let error = ask(wrong, &Request::Get).expect_err("no endpoint");
            assert_eq!(error, "it is not a task's endpoint", "{wrong:?}");
        }
    }
}

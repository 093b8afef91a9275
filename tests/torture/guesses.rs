//! An attacker who guesses the port from which the task's user will connect next: it connects from that
//! port, sends a PATCH and resets the connection, so that the request is in the queue when the user
//! connects from the same port.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::users::{AS_TASK_USER, OTHER_USER, TASK_USER, as_user, is_root};
use crate::support::{Setup, Target, hook};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, send, socket_with, sockopt,
};
use serde_json::json;

/// How long the attack lasts, unless `GUESS_SECONDS` is set.
const SECONDS: u64 = 60;

/// How many ports ahead the attacker guesses; the kernel uses every second port.
const AHEAD: u16 = 16;

/// The port that the kernel would assign at the moment.
fn current_port(port: u16) -> Option<u16> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    reset(&stream);
    match stream.local_addr().ok()? {
        SocketAddr::V4(address) => Some(address.port()),
        SocketAddr::V6(_) => None,
    }
}

fn reset(socket: &impl std::os::fd::AsFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Sends the request from a port, and resets the connection.
fn strike(from: u16, port: u16, request: &[u8]) -> rustix::io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    reset(&socket);
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, from))?;
    // On loopback, the connection is established when the call returns.
    let _ = connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    send(&socket, request, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn attack(target: &Target, stop: &AtomicBool, strikes: &AtomicU64) {
    let request = target.patch("{env: {STOLEN: '1'}, message: 'stolen'}");
    while !stop.load(Ordering::Relaxed) {
        let Some(now) = current_port(target.port) else {
            continue;
        };
        for ahead in 1..=AHEAD {
            let from = now.wrapping_add(2 * ahead);
            if strike(from, target.port, request.as_bytes()).is_ok() {
                strikes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[test]
#[ignore = "takes a minute: make torture"]
fn an_attacker_that_guesses_ports_has_no_success_in_a_minute() {
    if !is_root("an_attacker_that_guesses_ports_has_no_success_in_a_minute") {
        return;
    }
    let seconds = std::env::var("GUESS_SECONDS").ok();
    let seconds = seconds
        .and_then(|text| text.parse().ok())
        .unwrap_or(SECONDS);
    let show = r#"echo "${STOLEN-unset}" > stolen"#;
    let job = json!({"after_commands": [hook(show)]});
    let target = Target::with(Setup::new().prelude(AS_TASK_USER), job);
    let (stop, strikes) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut requests, mut stolen_after) = (0, None);
    thread::scope(|scope| {
        scope.spawn(|| as_user(OTHER_USER, || attack(&target, &stop, &strikes)));
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) && stolen_after.is_none() {
            let view = as_user(TASK_USER, || {
                (0..100)
                    .map(|_| target.view())
                    .find(|view| view.get("message").is_some())
            });
            requests += 100;
            stolen_after = view.map(|_| began.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!(
        "guesses: {} by the attacker among {requests} requests of the task's user in {seconds} s, \
         served: {stolen_after:?}",
        strikes.into_inner()
    );
    assert_eq!(stolen_after, None, "an attacker's request was served");
    target.let_go();
    assert_eq!(target.run.lines("stolen"), ["unset"]);
}

//! An HTTP server on a loopback address that tests control, as the service to check.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Respond with this status and no body.
    Status(u16),
    /// Send exactly these bytes.
    Bytes(&'static str),
    /// Respond with status 200 and an endless body.
    Endless,
    /// Read the request, and send nothing.
    Silence,
}

/// The server. It stops when this is dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    answer: Answer,
    requests: Vec<String>,
    is_closing: bool,
}

// === impl Server ===

impl Server {
    /// A server on 127.0.0.1.
    pub fn start(answer: Answer) -> Self {
        Self::on("127.0.0.1", answer).expect("there is IPv4")
    }

    /// A server on this address; `None` if this machine has no such address.
    pub fn on(host: &str, answer: Answer) -> Option<Self> {
        let listener = TcpListener::bind((host, 0)).ok()?;
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new(State {
            answer,
            requests: Vec::new(),
            is_closing: false,
        }));
        let shared = Arc::clone(&state);
        let serve = move || {
            while let Ok((client, _)) = listener.accept() {
                if lock(&shared).is_closing {
                    break;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || answer_to(client, &shared));
            }
        };
        Some(Self {
            address,
            state,
            thread: Some(thread::spawn(serve)),
        })
    }

    /// The port.
    pub fn port(&self) -> u32 {
        self.address.port().into()
    }

    /// Changes what it does from now on.
    pub fn set(&self, answer: Answer) {
        lock(&self.state).answer = answer;
    }

    /// The heads of the requests so far, as received.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        lock(&self.state).is_closing = true;
        // Wakes the thread, which then closes the port.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // The thread panics only if a test has already failed.
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer_to(mut client: TcpStream, state: &Mutex<State>) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match client.read(&mut piece) {
            Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
            // No request: a TCP check.
            Ok(0) | Err(_) => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let answer = {
        let mut state = lock(state);
        state.requests.push(request);
        state.answer.clone()
    };
    // The client may be gone.
    let _ = match answer {
        Answer::Status(status) => write!(
            client,
            "HTTP/1.1 {status} As You Wish\r\nContent-Length: 0\r\n\r\n"
        ),
        Answer::Bytes(text) => client.write_all(text.as_bytes()),
        Answer::Endless => {
            let head = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            head.and_then(|()| {
                loop {
                    client.write_all(&[b'x'; 1024])?;
                }
            })
        }
        Answer::Silence => client.read(&mut piece).map(drop),
    };
}

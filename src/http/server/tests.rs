//! The server over real sockets, with a handler whose responses depend on the path.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use smol::LocalExecutor;
use smol::channel::{Sender, bounded};
use smol::io::Cursor;

use super::{Admission, Handler, Limits, Listener, serve};
use crate::live;
use crate::message::{Head, Request, Response, StatusCode};
use crate::socket::Peer;

/// How long a test waits for a condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest number of body bytes that the handler held at the same time.
#[derive(Default)]
struct Echo {
    held: Cell<usize>,
    most: Rc<Cell<usize>>,
    streams: RefCell<Vec<Sender<Vec<u8>>>>,
}

impl Handler for Echo {
    type Caller = ();

    fn admit(&self, peer: &Peer, _: BorrowedFd<'_>) -> Admission<()> {
        match peer {
            Peer::Tcp { .. } | Peer::Unix { .. } => Admission::Serve(()),
            Peer::Unknown => Admission::Close,
        }
    }

    fn screen(&self, (): &(), head: &Head) -> Result<(), Response> {
        match head.fields.one("authorization") {
            Some("no") => Err(Response::new(StatusCode::Unauthorized)),
            _ => Ok(()),
        }
    }

    async fn answer(&self, (): &(), request: Request) -> Response {
        let Request { head, body } = request;
        let text =
            |text: String| Response::new(StatusCode::Ok).with_body("text/plain", text.into_bytes());
        match head.path.as_str() {
            "/length" => {
                self.held.set(self.held.get() + body.len());
                self.most.set(self.most.get().max(self.held.get()));
                // Let other connections have a turn.
                async_io::Timer::after(Duration::from_millis(5)).await;
                self.held.set(self.held.get() - body.len());
                text(body.len().to_string())
            }
            "/peer" => match head.peer {
                Peer::Unix { process, user, .. } => text(format!("{process} {user}")),
                Peer::Tcp { client, .. } => text(client.ip().to_string()),
                Peer::Unknown => text("nobody".into()),
            },
            "/fields" => text(format!(
                "{:?} {:?} {:?}",
                head.fields.one("host"),
                head.fields.one("x"),
                head.query
            )),
            "/file" => {
                let file = Cursor::new(vec![b'f'; 100_000]);
                Response::new(StatusCode::Ok).with_reader("text/plain", file, Some(100_000))
            }
            "/pipe" => {
                let file = Cursor::new(vec![b'p'; 50_000]);
                Response::new(StatusCode::Ok).with_reader("text/plain", file, None)
            }
            "/events" => {
                let (sender, body) = live::channel(4);
                let _ = sender.try_send(b"first".to_vec());
                self.streams.borrow_mut().push(sender);
                Response::new(StatusCode::Ok).with_stream("text/plain", body)
            }
            "/tell" => {
                let mut streams = self.streams.borrow_mut();
                streams.retain(|stream| stream.try_send(body.clone()).is_ok());
                let left = streams.len();
                text(left.to_string())
            }
            "/end" => {
                self.streams.borrow_mut().clear();
                text("ended".into())
            }
            _ => Response::new(StatusCode::NotFound),
        }
    }

    fn refuse(&self, status: StatusCode, text: String) -> Response {
        Response::new(status).with_body("text/plain", text.into_bytes())
    }
}

/// Runs `client` in its own thread, and a server in this one.
fn run(listener: Listener, limits: Limits, handler: Echo, client: impl FnOnce() + Send + 'static) {
    let executor = Rc::new(LocalExecutor::new());
    let serving = executor.spawn(serve(listener, limits, Rc::new(handler), executor.clone()));
    let (finished, end) = bounded::<()>(1);
    let thread = thread::spawn(move || {
        let _finished = finished;
        client();
    });
    // The channel closes when the thread ends, also after a panic.
    let _ = async_io::block_on(executor.run(end.recv()));
    drop(serving);
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn tcp(limits: Limits, client: impl FnOnce(SocketAddr) + Send + 'static) {
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = listener.address().expect("TCP");
    run(listener, limits, Echo::default(), move || client(address));
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("listening");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

fn request(method: &str, path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

fn ask(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("connected");
    hear(stream)
}

/// Reads one response with a length.
fn hear(stream: &mut impl Read) -> String {
    let head = hear_head(stream);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    head + &String::from_utf8(body).expect("text")
}

fn hear_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}

/// Reads one chunk of a stream.
fn hear_chunk(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a chunk");
        line.push(byte[0]);
    }
    let size = std::str::from_utf8(&line).expect("ASCII").trim();
    let size = usize::from_str_radix(size, 16).expect("a size");
    let mut data = vec![0; size + 2];
    stream.read_exact(&mut data).expect("a chunk");
    data.truncate(size);
    String::from_utf8(data).expect("text")
}

#[test]
fn the_program_sets_the_limits() {
    let limits = Limits {
        head: 40 << 10,
        target: 100,
        body: 1 << 20,
        memory: 8 << 20,
        connections: 4,
        ..Limits::default()
    };
    tcp(limits, |address| {
        let mut stream = connect(address);
        let long = format!("X: {}\r\n", "x".repeat(39 << 10));
        let answer = ask(&mut stream, &request("GET", "/length", &long, ""));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let body = "b".repeat(1 << 20);
        let answer = ask(&mut stream, &request("POST", "/length", "", &body));
        assert!(answer.ends_with("\r\n\r\n1048576"), "{answer}");
        for (request, words) in [
            (
                request("GET", &format!("/{}", "t".repeat(100)), "", ""),
                "414 URI",
            ),
            (request("GET", "/", &long.repeat(2), ""), "431 Request"),
            (request("POST", "/", "", &(body + "b")), "413 Payload"),
        ] {
            let answer = ask(&mut connect(address), &request);
            assert!(answer.contains(words), "{answer}");
        }
    });
}

#[test]
fn the_handler_gets_fields_and_query_and_may_refuse_before_the_body() {
    tcp(Limits::default(), |address| {
        let mut stream = connect(address);
        let answer = ask(
            &mut stream,
            &request("GET", "/fields?a=b", "X: \t1 \r\n", ""),
        );
        assert!(
            answer.ends_with(r#"Some("h") Some("1") Some("a=b")"#),
            "{answer}"
        );
        let no = "Authorization: no\r\n";
        let answer = ask(&mut stream, &request("GET", "/fields", no, ""));
        assert!(answer.starts_with("HTTP/1.1 401 ") && !answer.contains("connection: close"));
        // The body is not sent yet.
        let head = request("POST", "/length", no, "").replace("Length: 0", "Length: 1000");
        let answer = ask(&mut stream, &head);
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("connection: close"));
    });
}

#[test]
fn all_bodies_together_stay_within_the_memory_limit() {
    let most = Rc::new(Cell::new(0));
    let handler = Echo {
        most: most.clone(),
        ..Echo::default()
    };
    let limits = Limits {
        body: 100_000,
        memory: 0,
        ..Limits::default()
    };
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = listener.address().expect("TCP");
    run(listener, limits, handler, move || {
        // Each client has sent all but the last byte of its request, so that all need memory at the same
        // time.
        let body = "b".repeat(60_000);
        let sized = request("POST", "/length", "", &body);
        let chunked = format!(
            "POST /length HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n{body}\r\n0\r\n\r\n"
        );
        let mut streams: Vec<_> = (0..30)
            .flat_map(|_| [(connect(address), &sized), (connect(address), &chunked)])
            .collect();
        for (stream, text) in &mut streams {
            stream
                .write_all(&text.as_bytes()[..text.len() - 1])
                .expect("room");
        }
        // Small bodies do not wait for large ones.
        let answer = ask(
            &mut connect(address),
            &request("POST", "/length", "", "small"),
        );
        assert!(answer.ends_with("\r\n\r\n5"), "{answer}");
        for (stream, text) in &mut streams {
            stream
                .write_all(&text.as_bytes()[text.len() - 1..])
                .expect("room");
        }
        for (stream, _) in &mut streams {
            assert!(hear(stream).ends_with("\r\n\r\n60000"));
        }
    });
    // Each chunked body counts as much as it can become.
    assert!(most.get() <= 100_005, "{} bytes at once", most.get());
}

#[test]
fn a_body_may_be_read_while_it_is_sent() {
    tcp(Limits::default(), |address| {
        let mut stream = connect(address);
        let answer = ask(&mut stream, &request("GET", "/file", "", ""));
        assert_eq!(answer.matches('f').count(), 100_000);
        stream
            .write_all(request("GET", "/pipe", "", "").as_bytes())
            .expect("connected");
        assert!(hear_head(&mut stream).contains("transfer-encoding: chunked\r\n"));
        let mut length = 0;
        loop {
            match hear_chunk(&mut stream).len() {
                0 => break,
                more => length += more,
            }
        }
        assert_eq!(length, 50_000);
        // A client that has shut down its side still gets the rest.
        stream
            .write_all(request("GET", "/file", "", "").as_bytes())
            .expect("connected");
        stream.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(hear(&mut stream).matches('f').count(), 100_000);
    });
}

#[test]
fn a_stream_continues_until_either_side_ends_it() {
    tcp(Limits::default(), |address| {
        let events = request("GET", "/events", "", "");
        let tell = |text| {
            let answer = ask(&mut connect(address), &request("POST", "/tell", "", text));
            answer.rsplit('\n').next().map(str::to_owned)
        };
        let mut streams: Vec<_> = (0..3).map(|_| connect(address)).collect();
        for stream in &mut streams {
            stream.write_all(events.as_bytes()).expect("connected");
            assert!(hear_head(stream).contains("connection: close\r\n"));
            assert_eq!(hear_chunk(stream), "first");
        }
        assert_eq!(tell("second").as_deref(), Some("3"));
        for stream in &mut streams {
            assert_eq!(hear_chunk(stream), "second");
        }
        // When one client leaves, the sender notices.
        drop(streams.remove(0));
        let deadline = std::time::Instant::now() + PATIENCE;
        while tell("").as_deref() != Some("2") {
            assert!(
                std::time::Instant::now() < deadline,
                "its leaving was not noticed"
            );
        }
        ask(&mut connect(address), &request("POST", "/end", "", ""));
        for stream in &mut streams {
            while !hear_chunk(stream).is_empty() {}
            assert_eq!(stream.read(&mut [0]).expect("an orderly end"), 0);
        }
    });
}

#[test]
fn a_unix_domain_socket_tells_who_connected() {
    let folder = std::env::temp_dir().join(format!("cook-http-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("x".repeat(60)).join("y".repeat(60));
    std::fs::create_dir_all(&path).expect("a folder");
    let path = path.join("socket");
    let listener = Listener::unix(&path).expect("a socket");
    let client = path.clone();
    run(listener, Limits::default(), Echo::default(), move || {
        let short = std::fs::File::open(client.parent().expect("a folder")).expect("there");
        let short = format!(
            "/proc/self/fd/{}/socket",
            std::os::fd::AsRawFd::as_raw_fd(&short)
        );
        let mut stream = UnixStream::connect(short).expect("listening");
        let answer = ask(&mut stream, &request("GET", "/peer", "", ""));
        let me = rustix::process::geteuid().as_raw();
        let wanted = format!("\r\n\r\n{} {me}", std::process::id());
        assert!(answer.ends_with(&wanted), "{answer}");
    });
    std::fs::remove_dir_all(&folder).expect("ours");
}

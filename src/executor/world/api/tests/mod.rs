//! The server over real sockets: requests of correct and incorrect clients, and the responses.

mod client;

use std::cell::OnceCell;
use std::fs;
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use smol::channel::{bounded, unbounded};

use self::client::{Client, GET, LAST_GET, Seen, Talk, patch, serve, serve_with, status};
use super::Api;
use crate::core::request::{ApiRequest, Patch};
use crate::words::units::{Percent, TaskId};
use cook_http::server::Limits;

#[test]
fn a_documented_patch_reaches_the_core_and_is_answered_204() {
    serve(|client| {
        let mut talk = client.connect();
        talk.say(
            "PATCH /task/t%201 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nUser-Agent: curl/8\r\n\
             Accept: */*\r\nContent-Length: 14\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{progress: 10}",
        );
        assert_eq!(status(&talk.hear()), 204);
        let progress = Percent::new(10.0);
        let patch = Patch {
            progress,
            ..Patch::default()
        };
        assert_eq!(client.seen(), [ApiRequest::Patch(patch)]);
    });
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    serve(|client| {
        let mut talk = client.connect();
        for _ in 0..50 {
            talk.say(&patch("{progress: 10}"));
            assert_eq!(status(&talk.hear()), 204);
            talk.say(GET);
            assert!(talk.hear().ends_with("]}\n"));
        }
        talk.say(LAST_GET);
        assert!(talk.rest().contains("\r\nconnection: close\r\n"));
    });
}

#[test]
fn requests_in_a_pipeline_are_answered_in_order() {
    serve(|client| {
        let chunked = "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\n{}\r\n0\r\n\r\n";
        let options = "OPTIONS /task/t%201 HTTP/1.1\r\nHost: a\r\n\r\n";
        let all = [GET, &patch("{}"), options, chunked, "\r\n", LAST_GET, GET].concat();
        let answers = client.ask(&all);
        let found: Vec<u16> = answers
            .match_indices("HTTP/1.1 ")
            .map(|(at, _)| status(&answers[at..]))
            .collect();
        assert_eq!(found, [200, 204, 204, 204, 200]);
    });
}

#[test]
fn the_replies_of_the_core_become_responses() {
    serve(|client| {
        let mut talk = client.connect();
        talk.say(&patch("{message: 'no agent'}"));
        let answer = talk.hear();
        assert_eq!(status(&answer), 503);
        assert!(answer.contains("\r\nretry-after: 1\r\n"));
        talk.say(&patch("{message: 'too late'}"));
        assert_eq!(status(&talk.hear()), 409);
        talk.say(&patch("{message: 'no reply'}"));
        let answer = talk.rest();
        assert_eq!(status(&answer), 503);
        assert!(answer.contains("\r\nconnection: close\r\n"));
    });
}

#[test]
fn a_refusal_of_the_request_leaves_the_connection_open() {
    serve(|client| {
        let mut talk = client.connect();
        for (request, wanted) in [
            (patch("{progress: 101}"), 400),
            (patch(&"[".repeat(60_000)), 400),
            (patch(""), 400),
            (patch("{}").replace("PATCH", "PUT"), 405),
            (patch("{}").replace("PATCH", "BREW"), 405),
            (patch("{}").replace("t%201", "other"), 404),
            (patch("{}").replace("PATCH /task", "BREW /tusk"), 404),
            (patch("{}"), 204),
        ] {
            talk.say(&request);
            let answer = talk.hear();
            assert_eq!(status(&answer), wanted, "{request}");
            let allows = answer.contains("\r\nallow: GET, HEAD, PATCH, OPTIONS\r\n");
            assert_eq!(allows, wanted == 405);
        }
        assert_eq!(client.seen(), [ApiRequest::Patch(Patch::default())]);
    });
}

#[test]
fn a_malformed_request_is_answered_and_ends_the_connection() {
    serve(|client| {
        let long = "a".repeat(9 << 10);
        let many = "A: b\r\n".repeat(101);
        for (request, wanted) in [
            ("GARBAGE\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.1\n\n".to_owned(), 400),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505),
            (
                format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"),
                431,
            ),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(5000)), 414),
            (GET.replace("Host", "Content-Length: x\r\nHost"), 400),
            (
                GET.replace(
                    "Host",
                    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\nHost",
                ),
                400,
            ),
            (GET.replace("Host", "Transfer-Encoding: gzip\r\nHost"), 501),
            (GET.replace("Host", "Expect: cake\r\nHost"), 417),
            (
                GET.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
                400,
            ),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ] {
            // The bytes that follow must not be read as a request.
            let answer = client.ask(&(request.clone() + GET));
            assert_eq!(status(&answer), wanted, "{request}");
            assert_eq!(answer.matches("\r\nconnection: close\r\n").count(), 1);
            assert_eq!(answer.matches(r#"{"error":""#).count(), 1);
        }
        assert_eq!(client.seen(), []);
    });
}

#[test]
fn header_values_that_are_not_ascii_and_a_host_with_a_path_are_harmless() {
    serve(|client| {
        let odd = GET.replace("Host: a", "Host: a/task/t%201?\r\nX-Name: \u{e4}\u{1f600}");
        assert_eq!(
            client.status(&odd.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")),
            200
        );
        let moved = LAST_GET
            .replace("/task/t%201", "/")
            .replace("Host: a", "Host: a/task/t%201?");
        assert_eq!(client.status(&moved), 404);
    });
}

#[test]
fn http_1_0_is_answered_and_closed_with_and_without_a_host() {
    serve(|client| {
        for request in [
            "GET /task/t%201 HTTP/1.0\r\n\r\n",
            "GET /task/t%201 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        ] {
            let answer = client.ask(request);
            assert_eq!(status(&answer), 200);
            assert!(answer.contains("\r\nconnection: close\r\n"));
        }
    });
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    serve(|client| {
        let get = client.ask(LAST_GET);
        let head = client.ask(&LAST_GET.replace("GET", "HEAD"));
        let length = |text: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with("content-length: "));
            line.map(str::to_owned)
        };
        assert_eq!(length(&head), length(&get));
        assert!(head.ends_with("\r\n\r\n"));
    });
}

#[test]
fn a_client_that_expects_100_continue_gets_it_when_the_body_is_wanted_and_no_thread_starts() {
    serve(|client| {
        let head = "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
        let mut talk = client.connect();
        for _ in 0..3 {
            talk.say(&format!("{head}Content-Length: 2\r\n\r\n"));
            assert_eq!(status(&talk.hear()), 100);
            talk.say("{}");
            assert_eq!(status(&talk.hear()), 204);
        }
        talk.say(&format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
        assert_eq!(status(&talk.hear()), 100);
        talk.say("2\r\n{}\r\n0\r\n\r\n");
        assert_eq!(status(&talk.hear()), 204);
        // The body is sent together with the head.
        talk.say(&format!("{head}Content-Length: 2\r\n\r\n{{}}"));
        assert_eq!(status(&talk.hear()), 204);
        talk.say(&format!("{head}Content-Length: 300000\r\n\r\n"));
        assert_eq!(status(&talk.rest()), 413);
        // Other tests have threads too, but none of async-global-executor, blocking, or a second reactor.
        let names: Vec<String> = fs::read_dir("/proc/self/task")
            .expect("Linux")
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .collect();
        let count = |prefix| names.iter().filter(|it| it.starts_with(prefix)).count();
        assert_eq!(count("async-io"), 1, "{names:?}");
        assert_eq!(count("async-global"), 0, "{names:?}");
        assert_eq!(count("blocking"), 0, "{names:?}");
    });
}

#[test]
fn a_chunked_body_may_be_split_anywhere() {
    serve(|client| {
        let request = "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       3;x=y\r\n{me\r\nb\r\nssage: 'a'}\r\n0\r\nTrailer: b\r\n\r\n";
        let mut talk = client.connect();
        for cut in 0..request.len() {
            talk.say(&request[..cut]);
            talk.say(&request[cut..]);
            assert_eq!(status(&talk.hear()), 204, "cut at {cut}");
        }
        assert_eq!(client.seen().len(), request.len());
    });
}

#[test]
fn a_body_over_the_limit_is_refused_and_the_client_sees_it() {
    serve(|client| {
        let large = format!("{{\"message\": \"{}\"}}", "a".repeat(300_000));
        assert_eq!(client.status(&patch(&large)), 413);
        let chunks = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
        let chunked = "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(client.status(&(chunked.to_owned() + &chunks)), 413);
        let longest = format!("{{\"message\": \"{}\"}}", "a".repeat((256 << 10) - 15));
        assert_eq!(longest.len(), 256 << 10);
        let mut talk = client.connect();
        talk.say(&patch(&longest));
        assert_eq!(status(&talk.hear()), 204);
    });
}

#[test]
fn a_slow_client_gets_408_and_an_idle_one_is_closed() {
    let limits = Limits {
        head_time: Duration::from_millis(100),
        body_time: Duration::from_millis(100),
        idle_time: Duration::from_millis(300),
        ..Limits::default()
    };
    serve_with(limits, move |client| {
        assert_eq!(client.status("GET /task/t%201 HT"), 408);
        assert_eq!(client.status(patch("{}").trim_end_matches('}')), 408);
        let chunked = "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            client.status(&(chunked.to_owned() + "2\r\n{}\r\n0\r\n\r")),
            408
        );
        let mut talk = client.connect();
        let began = Instant::now();
        talk.say(GET);
        talk.hear();
        assert_eq!(talk.rest(), "");
        assert!(began.elapsed() >= limits.idle_time);
        assert_eq!(client.connect().rest(), "");
    });
}

#[test]
fn the_longest_idle_connection_is_closed_for_a_new_one_or_the_new_one_gets_503() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    serve_with(limits, |client| {
        let mut talks: Vec<Talk> = (0..3).map(|_| client.connect()).collect();
        for talk in &mut talks {
            talk.say(GET);
            talk.hear();
        }
        let mut fourth = client.connect();
        fourth.say(GET);
        assert_eq!(status(&fourth.hear()), 200);
        assert!(talks.remove(0).is_over());
        talks.push(fourth);
        for talk in &mut talks {
            let head = patch("").replace("Content-Length: 0", "Content-Length: 2");
            talk.say(&head.replace("Host", "Expect: 100-continue\r\nHost"));
            assert_eq!(status(&talk.hear()), 100, "the connection is busy");
        }
        assert_eq!(status(&client.connect().rest()), 503);
        for talk in &mut talks {
            talk.say("{}");
            assert_eq!(status(&talk.hear()), 204);
        }
    });
}

#[test]
fn clients_that_never_pause_do_not_hold_up_the_others() {
    serve(|client| {
        // With one payload byte per kilobyte, the body limit allows 256 MB to be sent.
        let chunks = format!("1;{}\r\na\r\n", "x".repeat(1000)).repeat(64);
        let chunked = "PATCH /task/t%201 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let requests = GET.repeat(200);
        let mut floods: Vec<_> = [&chunks, &chunks, &requests]
            .map(|flood| (client.connect(), flood.as_bytes(), 0))
            .into();
        for (talk, flood, _) in &mut floods {
            let limit = Some(Duration::from_millis(1));
            talk.0.set_write_timeout(limit).expect("not zero");
            talk.say(if *flood == requests.as_bytes() {
                ""
            } else {
                chunked
            });
        }
        let (running, over) = channel::<()>();
        thread::scope(|scope| {
            // Dropped at the end of this closure, also after a panic.
            let _running = running;
            scope.spawn(move || {
                while over.try_recv() == Err(TryRecvError::Empty) {
                    for (talk, flood, sent) in &mut floods {
                        let written = talk.0.write(&flood[*sent..]).unwrap_or(0);
                        *sent = (*sent + written) % flood.len();
                    }
                }
            });
            let mut talk = client.connect();
            let worst = (0..100)
                .map(|_| {
                    let began = Instant::now();
                    talk.say(&patch("{progress: 1}"));
                    assert_eq!(status(&talk.hear()), 204);
                    began.elapsed()
                })
                .max();
            assert!(worst < Some(Duration::from_secs(2)), "{worst:?}");
        });
    });
}

#[test]
fn before_the_launch_every_path_is_unknown() {
    let api = Api::open(None, 1).expect("a port");
    let port = api.address().port();
    let executor = Rc::new(LocalExecutor::new());
    let (inbox, _requests) = unbounded();
    let task = Rc::new(OnceCell::new());
    let serving = executor.spawn(api.serve(executor.clone(), task.clone(), inbox));
    let ask = |expected: u16| {
        let (done, end) = bounded::<()>(1);
        let thread = thread::spawn(move || {
            let _done = done;
            let seen = Seen::default();
            let options = "OPTIONS /task/t HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            assert_eq!(Client { port, seen }.status(options), expected);
        });
        let _ = async_io::block_on(executor.run(end.recv()));
        thread.join().expect("no panic");
    };
    ask(404);
    task.set(TaskId("t".into())).expect("set once");
    ask(204);
    drop(serving);
}

//! The task API with hostile or broken clients: raw bytes to the real program. Each client gets a response,
//! and none of them affects the task.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Answer, Talk, Target};

/// Sends a request, followed by bytes that must not be read as another one. Returns the only response.
#[track_caller]
fn refused(target: &Target, request: &str) -> Answer {
    let mut talk = target.connect();
    // The executor may close the connection before everything is sent.
    let _ = talk
        .0
        .write_all((request.to_owned() + &target.get()).as_bytes());
    let answers = Answer::all_of(&talk.rest());
    assert_eq!(answers.len(), 1, "{request:?}: {answers:?}");
    answers[0].clone()
}

#[test]
fn a_malformed_request_gets_the_reason_and_ends_its_connection() {
    let target = Target::new();
    let (get, path) = (target.get(), &target.path);
    let with = |field: &str| target.request("GET", &format!("{field}\r\n"), "");
    let patch_with =
        |field: &str| target.request("PATCH", &format!("{field}\r\n"), "{progress: 1}");
    let long = "a".repeat(9 << 10);
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), 400, "first line"),
        (format!("GET {path}\r\n\r\n"), 400, "first line"),
        (
            format!("GET  {path} HTTP/1.1\r\nHost: a\r\n\r\n"),
            400,
            "first line",
        ),
        (format!("GET {path} HTTP/1.1\r\n\r\n"), 400, "Host"),
        (with("Host: b"), 400, "Host"),
        (get.replace("\r\n", "\n"), 400, "CR LF"),
        (with("A: b\nC: d"), 400, "CR LF"),
        (with("A: b\r\n c"), 400, "header field"),
        (with("A : b"), 400, "header field"),
        (with("A: \0"), 400, "header field"),
        (with("no colon"), 400, "header field"),
        // Only space and tab are blanks: otherwise a proxy in between could see another value or another
        // field.
        (patch_with("Content-Length: \x0c13"), 400, "header field"),
        (patch_with("Content-Length: 13\x0b"), 400, "header field"),
        (patch_with("Content-Length: 13\r"), 400, "header field"),
        (patch_with("Content-Length:\r13"), 400, "header field"),
        (
            patch_with("Transfer-Encoding: chunked\x0c"),
            400,
            "header field",
        ),
        (
            patch_with("Transfer-Encoding: \rchunked"),
            400,
            "header field",
        ),
        (with("Connection: keep-alive\x0c"), 400, "header field"),
        (with("A: b\r"), 400, "header field"),
        (
            get.replace("HTTP/1.1\r\n", "HTTP/1.1\r\r\n"),
            400,
            "first line",
        ),
        (
            patch_with("Transfer-Encoding: chunked\r\n\r\nd \x0c\r\n{progress: 1}\r\n0"),
            400,
            "control characters",
        ),
        (patch_with("Content-Length: x"), 400, "Content-Length"),
        (patch_with("Content-Length: -1"), 400, "Content-Length"),
        (patch_with("Content-Length: +13"), 400, "Content-Length"),
        (patch_with("Content-Length: 13, 13"), 400, "Content-Length"),
        (
            patch_with("Content-Length: 13\r\nContent-Length: 0"),
            400,
            "Content-Length",
        ),
        (
            patch_with("Content-Length: 0\r\nTransfer-Encoding: chunked"),
            400,
            "not allowed with Content-Length",
        ),
        (patch_with("Transfer-Encoding: gzip"), 501, "chunked"),
        (
            patch_with("Transfer-Encoding: gzip, chunked"),
            501,
            "chunked",
        ),
        (
            patch_with("Transfer-Encoding: chunked"),
            400,
            "size of a chunk",
        ),
        (
            patch_with("Transfer-Encoding: chunked\r\n\r\n3\r\n{}\r\n0"),
            400,
            "a chunk or its size does not end",
        ),
        (patch_with("Content-Length: 262145"), 413, "262144"),
        (
            patch_with("Content-Length: 99999999999999999999"),
            413,
            "262144",
        ),
        (with("Expect: cake"), 417, "100-continue"),
        (with(&"A: b\r\n".repeat(101)), 431, "100 header fields"),
        (with(&format!("A: {long}")), 431, "8192"),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..5000]),
            414,
            "4096",
        ),
        (get.replace("HTTP/1.1", "HTTP/2.0"), 505, "HTTP/1.1"),
        (get.replace("HTTP/1.1", "HTTP/0.9"), 505, "HTTP/1.1"),
    ];
    for (request, status, words) in cases {
        let answer = refused(&target, &request);
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        assert!(answer.error().contains(words), "{request:?}: {answer:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{request:?}");
    }
    assert_eq!(target.view().get("progress"), None);
    target.let_go();
}

#[test]
fn an_endless_head_is_refused_at_8_kilobytes_and_not_kept() {
    let target = Target::new();
    let before = target.anonymous_memory();
    let mut talk = target.connect();
    talk.say(&format!("GET {} HTTP/1.1\r\nA: ", target.path));
    let megabyte = vec![b'a'; 1 << 20];
    let sent = (0..50).take_while(|_| talk.0.write_all(&megabyte).is_ok());
    assert!(sent.count() < 50, "the executor has read all of it");
    // A client that sends less before it reads gets the response.
    let answer = refused(
        &target,
        &format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(500_000)),
    );
    assert_eq!(answer.status, 431);
    let grown = target.anonymous_memory().saturating_sub(before);
    assert!(grown < 200, "{grown} kB more");
    target.let_go();
}

#[test]
fn pipelined_requests_are_answered_in_order_and_see_earlier_changes() {
    let target = Target::new();
    let chunked = target.request(
        "PATCH",
        "Transfer-Encoding: chunked\r\n",
        "9\r\n{progress\r\n4\r\n: 2}\r\n0\r\n\r\n",
    );
    let last = target.request("GET", "Connection: close\r\n", "");
    let all = [
        &target.patch("{progress: 1}"),
        &target.get(),
        &chunked,
        "\r\n",
        &target.get(),
        &target.patch("{progress: 101}"),
        &target.request("OPTIONS", "", ""),
        &target.request("BREW", "", ""),
        &target
            .patch("{progress: 3}")
            .replace(&target.path, "/task/other"),
        &last,
        &target.patch("{progress: 4}"),
    ];
    let mut talk = target.connect();
    talk.say(&all.concat());
    let answers = Answer::all_of(&talk.rest());
    let found: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(found, [204, 200, 204, 200, 400, 204, 405, 404, 200]);
    assert!(answers[1].body.contains(r#""progress":1"#), "{answers:?}");
    assert!(answers[3].body.contains(r#""progress":2"#), "{answers:?}");
    assert_eq!(
        target.view()["progress"],
        2,
        "what follows a close is not done"
    );
    target.let_go();
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let target = Target::new();
    let path = &target.path;
    for (request, status) in [
        (format!("GET {path} HTTP/1.0\r\n\r\n"), 200),
        (
            format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            200,
        ),
        (
            format!("PATCH {path} HTTP/1.0\r\nContent-Length: 13\r\n\r\n{{progress: 1}}"),
            204,
        ),
        (
            format!("GET {path} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400,
        ),
    ] {
        let answer = refused(&target, &request);
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.field("connection"), Some("close"));
    }
    target.let_go();
}

#[test]
fn the_task_is_found_with_every_encoding_of_its_path_and_no_other_path() {
    let target = Target::new();
    let port = target.port;
    for (path, status) in [
        ("/task/task-1".to_owned(), 200),
        ("/task/task-1?a=b".to_owned(), 200),
        (format!("http://127.0.0.1:{port}/task/task-1"), 200),
        ("http://elsewhere.example/task/task-1".to_owned(), 200),
        ("/task/%74ask%2d1".to_owned(), 200),
        ("/task/../task/./task-1".to_owned(), 200),
        ("/../../task/task-1".to_owned(), 200),
        ("/task/task-1/..".to_owned(), 404),
        ("/task/task-1/".to_owned(), 404),
        ("/task/task-1/x".to_owned(), 404),
        ("/task/task-1%2f..".to_owned(), 404),
        ("/task%2ftask-1".to_owned(), 404),
        ("/task/task-1%00".to_owned(), 404),
        ("/task/task-1%".to_owned(), 404),
        ("/task/task%2-1".to_owned(), 404),
        ("/task/..%2f..%2fetc%2fpasswd".to_owned(), 404),
        ("/TASK/task-1".to_owned(), 404),
        ("//task/task-1".to_owned(), 404),
        ("/".to_owned(), 404),
        ("/favicon.ico".to_owned(), 404),
        ("*".to_owned(), 400),
        ("task/task-1".to_owned(), 400),
    ] {
        for method in ["GET", "PATCH", "DELETE"] {
            let body = if method == "PATCH" { "{}" } else { "" };
            let fields = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
            let request = target.request(method, &fields, body);
            let mut talk = target.connect();
            talk.say(&request.replace(&target.path, &path));
            let found = Answer::all_of(&talk.rest())[0].status;
            let wanted = match (status, method) {
                (200, "PATCH") => 204,
                (200, "DELETE") => 405,
                (status, _) => status,
            };
            assert_eq!(found, wanted, "{method} {path}");
        }
    }
    target.let_go();
}

#[test]
fn head_is_get_without_the_body_and_other_methods_get_the_list_of_methods() {
    let target = Target::new();
    let mut talk = target.connect();
    talk.say(&target.get());
    let get = talk.hear();
    talk.say(&target.request("HEAD", "", ""));
    let head = talk.hear_head();
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-length"), get.field("content-length"));
    for (method, status) in [
        ("OPTIONS", 204),
        ("POST", 405),
        ("PUT", 405),
        ("DELETE", 405),
        ("TRACE", 405),
        ("BREW", 405),
    ] {
        talk.say(&target.request(method, "", ""));
        let answer = talk.hear();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(
            answer.field("allow"),
            Some("GET, HEAD, PATCH, OPTIONS"),
            "{method}"
        );
    }
    target.let_go();
}

#[test]
fn a_client_that_expects_100_continue_gets_it_and_no_thread_starts_for_it() {
    let target = Target::new();
    let expecting = |fields: &str| {
        target.request(
            "PATCH",
            &format!("Expect: 100-continue\r\n{fields}\r\n"),
            "",
        )
    };
    let mut talk = target.connect();
    for progress in 1..=5 {
        talk.say(&expecting("Content-Length: 13"));
        assert_eq!(talk.hear().status, 100);
        talk.say(&format!("{{progress: {progress}}}"));
        assert_eq!(talk.hear().status, 204);
    }
    talk.say(&expecting("Transfer-Encoding: chunked"));
    assert_eq!(talk.hear().status, 100);
    talk.say("d\r\n{progress: 6}\r\n0\r\n\r\n");
    assert_eq!(talk.hear().status, 204);
    // A client is not asked to continue with a body that would be refused.
    talk.say(&expecting("Content-Length: 300000"));
    assert_eq!(Answer::all_of(&talk.rest())[0].status, 413);
    assert_eq!(target.threads(), 2);
    assert_eq!(target.view()["progress"], 6);
    target.let_go();
}

#[test]
fn a_chunked_body_may_come_in_pieces_with_extensions_and_trailers() {
    let target = Target::new();
    let body = "3;x=\"y\"\r\n{me\r\n00b \r\nssage: 'a'}\r\n0;last\r\nTrailer: b\r\nC: d\r\n\r\n";
    let request = target.request("PATCH", "Transfer-Encoding: Chunked\r\n", body);
    let mut talk = target.connect();
    for byte in request.bytes() {
        talk.say_bytes(&[byte]);
    }
    assert_eq!(talk.hear().status, 204);
    // Servers have hung if the last line feed arrives separately.
    talk.say(&request[..request.len() - 1]);
    thread::yield_now();
    talk.say("\n");
    assert_eq!(talk.hear().status, 204);
    for long in [
        body.replace("x=", &"x".repeat(2000)),
        body.replace("Trailer", &"T".repeat(9000)),
    ] {
        let answer = refused(&target, &request.replace(body, &long));
        assert_eq!(answer.status, 400);
        assert!(answer.error().contains("too long"), "{answer:?}");
    }
    target.let_go();
}

#[test]
fn a_client_that_stops_in_the_middle_gets_408_and_delays_nobody() {
    let target = Target::new();
    let patch = target.patch("{progress: 99}");
    let began = Instant::now();
    let mut slow: Vec<Talk> = (0..3).map(|_| target.connect()).collect();
    slow[0].say("PATCH /task/ta");
    slow[1].say(&patch[..patch.len() - 1]);
    slow[2].say(&target.request(
        "PATCH",
        "Transfer-Encoding: chunked\r\n",
        "2\r\n{}\r\n0\r\n\r",
    ));
    assert_eq!(target.patch_bytes(b"{progress: 1}").status, 204);
    assert!(began.elapsed() < Duration::from_secs(8), "it had to wait");
    for (talk, words) in slow.iter_mut().zip(["head", "body", "body"]) {
        let answers = Answer::all_of(&talk.rest());
        assert_eq!(answers[0].status, 408);
        assert!(answers[0].error().contains(words), "{answers:?}");
        assert!(
            began.elapsed() > Duration::from_secs(9),
            "it had 10 seconds"
        );
    }
    assert_eq!(target.view()["progress"], 1);
    target.let_go();
}

#[test]
fn of_too_many_connections_the_longest_idle_ones_are_closed_and_busy_ones_kept() {
    let target = Target::new();
    // One connection is busy: its body is not complete.
    let mut working = target.connect();
    working.say(&target.request(
        "PATCH",
        "Expect: 100-continue\r\nContent-Length: 13\r\n",
        "",
    ));
    assert_eq!(working.hear().status, 100);
    // Together with it, all 64 slots are taken.
    let mut idle: Vec<Talk> = (0..70).map(|_| target.connect()).collect();
    for talk in idle.iter_mut().skip(7) {
        talk.say(&target.get());
        assert_eq!(talk.hear().status, 200);
    }
    for talk in idle.iter_mut().take(7) {
        assert!(talk.is_over());
    }
    working.say("{progress: 7}");
    assert_eq!(working.hear().status, 204);
    // If all connections are busy, the next one is refused.
    let mut busy: Vec<Talk> = idle.drain(7..).chain([working]).collect();
    for talk in &mut busy {
        talk.say(&target.request("PATCH", "Expect: 100-continue\r\nContent-Length: 2\r\n", ""));
        assert_eq!(talk.hear().status, 100);
    }
    let answer = &Answer::all_of(&target.connect().rest())[0];
    assert_eq!(answer.status, 503);
    assert!(
        answer.error().contains("too many connections"),
        "{answer:?}"
    );
    for talk in &mut busy {
        talk.say("{}");
        assert_eq!(talk.hear().status, 204);
    }
    assert_eq!(target.view()["progress"], 7);
    drop((busy, idle));
    target.let_go();
}

#[test]
fn a_thousand_connections_are_answered_or_closed_and_leave_nothing() {
    let target = Target::new();
    target.view();
    let (descriptors, memory) = (target.descriptors(), target.anonymous_memory());
    for _ in 0..5 {
        let mut talks: Vec<Talk> = (0..200).map(|_| target.connect()).collect();
        let get = target.request("GET", "Connection: close\r\n", "");
        for talk in &mut talks {
            // It may already have been closed for another one.
            let _ = talk.0.write_all(get.as_bytes());
        }
        let mut answered = 0;
        for talk in &mut talks {
            let mut first = [0; 12];
            match std::io::Read::read_exact(&mut talk.0, &mut first) {
                Ok(()) if first.ends_with(b"200") => answered += 1,
                Ok(()) => assert!(first.ends_with(b"503"), "{first:?}"),
                Err(_) => {}
            }
        }
        assert!(answered > 0, "no client got a response");
    }
    target.wait_for_descriptors(descriptors);
    assert_eq!(target.threads(), 2);
    let grown = target.anonymous_memory().saturating_sub(memory);
    assert!(grown < 400, "{grown} kB more");
    target.view();
    target.let_go();
}

#[test]
fn clients_that_disconnect_at_any_point_leave_nothing() {
    let target = Target::new();
    target.view();
    let (descriptors, memory) = (target.descriptors(), target.anonymous_memory());
    let patch = target.patch("{}");
    let get = target.get();
    let says = [
        "",
        &get[..20],
        &get,
        &patch[..patch.len() - 1],
        &patch,
        &get.repeat(20),
    ];
    for round in 0..40 {
        for text in says {
            let mut talk = target.connect();
            if round % 4 < 2 {
                // It has a slot and its owner is known; otherwise the look-up would find no owner.
                talk.say(&get);
                assert_eq!(talk.hear().status, 200);
            }
            talk.say(text);
            if round % 2 == 0 {
                // With this option, closing resets the connection.
                rustix::net::sockopt::set_socket_linger(&talk.0, Some(Duration::ZERO))
                    .expect("a TCP socket");
            }
        }
    }
    target.wait_for_descriptors(descriptors);
    assert_eq!(target.threads(), 2);
    let grown = target.anonymous_memory().saturating_sub(memory);
    assert!(grown < 200, "{grown} kB more");
    // A client that has shut down its side can still read.
    let mut talk = target.connect();
    talk.say(&get);
    talk.end();
    assert_eq!(Answer::all_of(&talk.rest())[0].status, 200);
    target.let_go();
}

#[test]
fn a_body_over_the_limit_is_refused_early_and_the_client_can_read_the_response() {
    let target = Target::new();
    let large = format!("{{message: '{}'}}", "a".repeat(300_000));
    let chunks = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let chunked = target.request("PATCH", "Transfer-Encoding: chunked\r\n", &chunks);
    for request in [target.patch(&large), chunked] {
        let answer = refused(&target, &request);
        assert_eq!(answer.status, 413);
        assert!(answer.error().contains("262144 bytes"), "{answer:?}");
    }
    let largest = format!("{{message: '{}'}}", "a".repeat((256 << 10) - 13));
    assert_eq!(largest.len(), 256 << 10);
    assert_eq!(target.patch_bytes(largest.as_bytes()).status, 204);
    let view = target.view();
    assert_eq!(view["message"].as_str().map(str::len), Some(512));
    assert_eq!(target.let_go().data["message"], view["message"]);
}

#[test]
fn sixty_large_bodies_share_one_pool_of_memory() {
    let target = Target::new();
    target.view();
    let before = target.anonymous_memory();
    let body = format!("{{message: '{}'}}", "a".repeat(250_000));
    let sized = target.patch(&body);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = target.request("PATCH", "Transfer-Encoding: chunked\r\n", &chunks);
    let mut talks: Vec<(Talk, &str)> = (0..30)
        .flat_map(|_| [(target.connect(), &*sized), (target.connect(), &*chunked)])
        .collect();
    // All but the last byte: each connection needs all of its memory now.
    for (talk, text) in &mut talks {
        talk.say(&text[..text.len() - 1]);
    }
    // A body that needs no memory of the pool does not wait for it. Each of these requests gives all others
    // a turn, so that at the end they have read what they want to.
    let mut small = target.connect();
    let mut most = 0;
    for _ in 0..300 {
        small.say(&target.patch("{progress: 1}"));
        assert_eq!(small.hear().status, 204);
        most = most.max(target.anonymous_memory().saturating_sub(before));
    }
    assert!(most < 4 << 10, "{most} kB more for 60 bodies of 250 kB");
    for (talk, text) in &mut talks {
        talk.say(&text[text.len() - 1..]);
    }
    for (talk, _) in &mut talks {
        assert_eq!(talk.hear().status, 204);
    }
    drop((talks, small));
    let grown = target.anonymous_memory().saturating_sub(before);
    assert!(grown < 4 << 10, "{grown} kB more");
    target.let_go();
}

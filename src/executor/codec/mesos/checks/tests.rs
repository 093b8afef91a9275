//! Which checks are read, which are refused, and with what text.

use super::*;
use cook_mesos::messages::{CheckCommand, Variable};

fn no_curl() -> Option<Vec<u8>> {
    None
}

fn curl() -> Option<Vec<u8>> {
    Some(b"/bin/curl".to_vec())
}

fn read(health: messages::HealthCheck) -> Result<HealthCheck, String> {
    let plan = read_checks(None, Some(&health), no_curl, &mut |_| {});
    let plan = plan.map_err(|TaskRefusal(message)| message)?;
    Ok(plan.health.expect("it was given"))
}

fn http(http: HttpCheckInfo) -> messages::HealthCheck {
    messages::HealthCheck {
        kind: Some(CheckType::Http as i32),
        http: Some(http),
        ..Default::default()
    }
}

fn at(port: u32) -> HttpCheckInfo {
    HttpCheckInfo {
        port,
        ..Default::default()
    }
}

fn tcp(port: u32) -> messages::HealthCheck {
    messages::HealthCheck {
        tcp: Some(TcpCheckInfo {
            port,
            protocol: None,
        }),
        ..Default::default()
    }
}

fn command(value: Option<&str>) -> messages::HealthCheck {
    messages::HealthCheck {
        command: Some(CommandInfo {
            value: value.map(Into::into),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn missing_fields_have_the_defaults_of_mesos() {
    let found = read(tcp(80)).expect("valid");
    let secs = |seconds| Span::saturating(Duration::from_secs(seconds));
    assert_eq!(found.check.times.delay, secs(15));
    assert_eq!(found.check.times.interval.get(), secs(10));
    assert_eq!(found.check.times.timeout, Some(secs(20)));
    assert_eq!((found.grace, found.failures), (secs(10), 3));
    assert_eq!(found.check.probe.to_string(), "127.0.0.1:80");
    let found = read(http(at(8080))).expect("valid");
    assert_eq!(found.check.probe.to_string(), "127.0.0.1:8080/");
}

#[test]
fn a_path_is_encoded_for_a_request() {
    for (given, sent) in [("/a?b=c&d", "/a?b=c&d"), ("/a#b", "/a"), ("/ä", "/%C3%A4")] {
        let path = Some(given.as_bytes().to_vec());
        let found = read(http(HttpCheckInfo { path, ..at(1) })).expect("valid");
        assert_eq!(found.check.probe.to_string(), format!("127.0.0.1:1{sent}"));
    }
}

#[test]
fn infinite_times_become_the_maximum_and_short_intervals_the_minimum() {
    let mut remarks = Vec::new();
    let health = messages::HealthCheck {
        delay_seconds: Some(f64::INFINITY),
        interval_seconds: Some(0.0),
        timeout_seconds: Some(0.0),
        grace_period_seconds: Some(1e300),
        consecutive_failures: Some(0),
        ..tcp(1)
    };
    let remark = &mut |line| remarks.push(line);
    let plan = read_checks(None, Some(&health), no_curl, remark);
    let found = plan.expect("valid").health.expect("it was given");
    assert_eq!(found.check.times.delay, Span::MAX);
    assert_eq!(found.check.times.interval.get().get(), Interval::MIN);
    assert_eq!(found.check.times.timeout, None);
    assert_eq!((found.grace, found.failures), (Span::MAX, 0));
    let wanted = "health_check.interval_seconds is below the minimum; using 100ms";
    assert_eq!(remarks, [wanted]);
}

#[test]
fn a_refusal_names_the_wrong_field() {
    let all = |change: fn(&mut messages::HealthCheck)| {
        let mut health = tcp(1);
        change(&mut health);
        health
    };
    let path = |path: &str| HttpCheckInfo {
        path: Some(path.into()),
        ..at(1)
    };
    for (health, words) in [
        (tcp(0), "health_check.tcp.port must be 1 to 65535, found 0"),
        (
            tcp(70_000),
            "health_check.tcp.port must be 1 to 65535, found 70000",
        ),
        (
            http(at(65_536)),
            "health_check.http.port must be 1 to 65535",
        ),
        (
            http(path("x")),
            "health_check.http.path must begin with a slash, found \"x\"",
        ),
        (
            http(path("")),
            "health_check.http.path must begin with a slash",
        ),
        (
            http(path("/a b")),
            "health_check.http.path must not contain blanks",
        ),
        (
            http(path("/\r\nX: y")),
            "health_check.http.path must not contain blanks",
        ),
        (
            http(HttpCheckInfo {
                scheme: Some(b"ftp".to_vec()),
                ..at(1)
            }),
            "health_check.http.scheme must be http or https, found \"ftp\"",
        ),
        (
            http(HttpCheckInfo {
                scheme: Some(b"https".to_vec()),
                ..at(1)
            }),
            "health_check.http.scheme is https, which needs curl",
        ),
        (
            http(HttpCheckInfo {
                protocol: Some(3),
                ..at(1)
            }),
            "health_check.http.protocol must be IPv4 (1) or IPv6 (2), found 3",
        ),
        (
            http(HttpCheckInfo {
                statuses: vec![200, 99],
                ..at(1)
            }),
            "health_check.http.statuses[1] must be 200 to 999, found 99",
        ),
        (command(None), "health_check.command.value is missing"),
        (
            command(Some("a\0")),
            "health_check.command must not contain a NUL byte",
        ),
        (
            messages::HealthCheck::default(),
            "health_check.type must be COMMAND (1), HTTP (2) or TCP (3), found none",
        ),
        (all(|it| it.kind = Some(0)), "health_check.type must be"),
        (
            all(|it| it.kind = Some(9)),
            "health_check.type must be COMMAND (1), HTTP (2) or TCP (3), found 9",
        ),
        (all(|it| it.http = Some(at(1))), "health_check.type must be"),
        (
            all(|it| it.kind = Some(2)),
            "health_check.http is missing, although its type is HTTP",
        ),
        (
            all(|it| it.kind = Some(1)),
            "health_check.command is missing, although its type is COMMAND",
        ),
        (
            all(|it| it.delay_seconds = Some(-0.5)),
            "health_check.delay_seconds must be",
        ),
        (
            all(|it| it.interval_seconds = Some(f64::NAN)),
            "health_check.interval_seconds must be",
        ),
        (
            all(|it| it.timeout_seconds = Some(f64::NEG_INFINITY)),
            "health_check.timeout_seconds must be",
        ),
        (
            all(|it| it.grace_period_seconds = Some(-1.0)),
            "health_check.grace_period_seconds must be",
        ),
    ] {
        let message = read(health).expect_err(words);
        assert!(message.starts_with(words), "{message}");
    }
}

#[test]
fn a_general_check_wraps_its_command_and_names_its_own_fields() {
    let command = CommandInfo {
        value: Some(b"test".to_vec()),
        shell: Some(false),
        arguments: vec![b"test".to_vec(), b"-f".to_vec()],
        environment: Some(messages::Environment {
            variables: vec![Variable {
                name: b"A".to_vec(),
                ..Default::default()
            }],
        }),
        user: Some(b"nobody".to_vec()),
        uris: vec![b"\n\x01x".to_vec()],
    };
    let mut check = CheckInfo {
        kind: Some(CheckType::Command as i32),
        command: Some(CheckCommand { command }),
        ..Default::default()
    };
    let mut remarks = Vec::new();
    check.tcp = Some(TcpCheckInfo::default());
    let plan = read_checks(Some(&check), None, no_curl, &mut |line| remarks.push(line));
    let found = plan.expect("valid").check.expect("it was given");
    let Probe::Command {
        program: Program::Exec { file, arguments },
        environment,
    } = found.probe
    else {
        panic!("another probe");
    };
    assert_eq!((file.as_slice(), arguments.len()), (&b"test"[..], 2));
    assert_eq!(environment.iter().count(), 1);
    let wanted = [
        "check.tcp is ignored: its type is Command",
        "check.command.command.user is ignored: it runs with the task's user",
        "check.command.command.uris is ignored: it runs with the task's files",
    ];
    assert_eq!(remarks, wanted);
    check.kind = Some(CheckType::Tcp as i32);
    let refused = read_checks(Some(&check), None, no_curl, &mut |_| {});
    let Err(TaskRefusal(message)) = refused else {
        panic!("accepted");
    };
    assert_eq!(message, "check.tcp.port must be 1 to 65535, found 0");
}

#[test]
fn https_is_asked_by_curl() {
    let health = http(HttpCheckInfo {
        scheme: Some(b"https".to_vec()),
        protocol: Some(PROTOCOL_IPV6),
        ..at(8443)
    });
    let plan = read_checks(None, Some(&health), curl, &mut |_| {});
    let probe = plan.expect("valid").health.expect("given").check.probe;
    let Probe::Https { client, .. } = &probe else {
        panic!("another probe");
    };
    let Program::Exec { file, arguments } = client else {
        panic!("another program");
    };
    assert_eq!(file, b"/bin/curl");
    let url = arguments.last().expect("the URL comes last");
    assert_eq!(url, b"https://[::1]:8443/");
    assert_eq!(probe.to_string(), "https://[::1]:8443/");
}

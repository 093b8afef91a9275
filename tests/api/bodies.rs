//! Bodies of PATCH requests as raw bytes: JSON as people type it, and variables up to the limits of the
//! kernel. A valid body takes effect; the error for an invalid one helps to correct it.

use crate::support::{Answer, Setup, Target, hook};
use serde_json::{Value, json};

/// A run with an after command that shows the environment.
fn with_after(command: &str) -> Target {
    Target::with(Setup::new(), json!({"after_commands": [hook(command)]}))
}

/// Sets variables. Returns the status and, for a refusal, the text.
#[track_caller]
fn set(target: &Target, variables: &Value) -> (u16, String) {
    let answer = target.patch_bytes(json!({"env": variables}).to_string().as_bytes());
    let text = match answer.status {
        204 => String::new(),
        _ => answer.error(),
    };
    (answer.status, text)
}

#[test]
fn json_is_accepted_as_people_type_it() {
    let target = Target::new();
    for (body, progress) in [
        (&b"{progress: 10}"[..], json!(10)),
        (br#"{env: {VAR_A: "123", SOME_B: null}}"#, json!(10)),
        (
            br#"{"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}"#,
            json!(10),
        ),
        (
            br#"{"progress": 100, "message": "a custom failure message"}"#,
            json!(100),
        ),
        (b"\xef\xbb\xbf{\"progress\": 11}", json!(11)),
        (b"{'progress': 12,}", json!(12)),
        (b"\r\n\t{ progress : 1.3e1 }\r\n", json!(13)),
        (br#"{"progress": 1, "progress": 14}"#, json!(14)),
        (b"{progress: 1, 'progress': 2, \"progress\": 15}", json!(15)),
        (br#"{"message": "\ud83d\ude00"}"#, json!(15)),
        (b"{}", json!(15)),
    ] {
        let shown = String::from_utf8_lossy(body);
        let answer = target.patch_bytes(body);
        assert_eq!(answer.status, 204, "{shown}: {answer:?}");
        assert_eq!(target.view()["progress"], progress, "{shown}");
    }
    assert_eq!(target.view()["message"], "\u{1f600}");
    target.let_go();
}

#[test]
fn invalid_json_is_refused_with_a_helpful_text_and_changes_nothing() {
    let target = Target::new();
    let nested = "[".repeat(60_000);
    let objects = "{a:".repeat(20_000);
    for (body, words) in [
        (&b""[..], r#"the body is empty: write {"progress": 10}"#),
        (b"  \n", "the body is empty"),
        (nested.as_bytes(), "recursion limit"),
        (objects.as_bytes(), "at line 1"),
        (b"progress=10", r#"write {"progress": 10}"#),
        (b"progress: 10", r#"write {"progress": 10}"#),
        (b"10", "must be a JSON object, not a number"),
        (b"{progress: NaN}", "at line 1"),
        (b"{progress: Infinity}", "at line 1"),
        (b"{progress: 1e999}", "out of range"),
        (b"{\"progress\": -1e999}", "out of range"),
        (b"{progress: 101}", "from 0 to 100, not 101"),
        (b"{progress: -0.1}", "from 0 to 100, not -0.1"),
        (
            b"{progress: '10'}",
            "must be a number from 0 to 100, not a string",
        ),
        (b"{progress: null}", "not null"),
        (br#"{"message": "\ud80"}"#, "JSON"),
        (
            b"{\"message\": \xff}",
            "found the byte 0xFF, which is not UTF-8",
        ),
        (b"\xff\xfe{\0}\0", "it is UTF-16, and must be UTF-8"),
        (
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            "found U+FEFF (a byte order mark)",
        ),
        (
            b"{\"message\":\xc2\xa0\"x\"}",
            "found U+00A0 (a no-break space)",
        ),
        (b"{message: 'it's'}", "JSON"),
        (b"{message: hello}", "JSON"),
        (b"{\"message\": 5}", "must be a string, not a number"),
        (b"{progress: 5, progress: 'x'}", "not a string"),
        (
            b"{progress: 5, message: []}",
            r#""message" must be a string, not an array"#,
        ),
        (b"{env: 'A=b'}", r#""env" must be an object"#),
        (
            b"{env: {A: {}}}",
            r#""A": a value must be a string, or null to unset it"#,
        ),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]);
        let answer = target.patch_bytes(body);
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert!(answer.error().contains(words), "{shown}: {answer:?}");
        assert!(answer.body.len() < 500, "{shown}");
    }
    let view = target.view();
    assert_eq!((view.get("progress"), view.get("message")), (None, None));
    target.let_go();
}

/// The usual way to set a message: `curl -d "{\"message\": \"$(tail -2 err)\"}"`.
#[test]
fn text_that_a_shell_inserts_into_a_message_arrives() {
    let target = Target::new();
    for (body, message) in [
        (
            &b"{\"message\": \"one\ntwo\tthree\r\n\"}"[..],
            "one\ntwo\tthree\r\n",
        ),
        (
            b"{\"message\": \"\x1b[31mred\x1b[0m\x07\"}",
            "\x1b[31mred\x1b[0m\x07",
        ),
        (b"{message: 'one\ntwo'}", "one\ntwo"),
        (b"{\"message\": \"caf\xe9 zu\"}", "caf\u{fffd} zu"),
        (b"{\"message\": \"caf\xe9\"}", "caf\u{fffd}"),
        (b"{\"message\": \"\xff\xfe\"}", "\u{fffd}\u{fffd}"),
        (br#"{"message": "\udcff"}"#, "\u{fffd}"),
        (
            br#"{"message": "\ud800 \udc00\ud83d\ude00"}"#,
            "\u{fffd} \u{fffd}\u{1f600}",
        ),
        (b"\xef\xbb\xbf{\"message\": \"marked\"}", "marked"),
    ] {
        let shown = String::from_utf8_lossy(body);
        let answer = target.patch_bytes(body);
        assert_eq!(answer.status, 204, "{shown}: {answer:?}");
        assert_eq!(target.view()["message"], message, "{shown}");
    }
    target.let_go();
}

#[test]
fn a_misspelt_key_gets_a_suggestion() {
    let target = Target::new();
    for (key, meant) in [
        ("progres", Some("progress")),
        ("Progress", Some("progress")),
        ("percent", None),
        ("progress_percent", Some("progress")),
        ("msg", None),
        ("mesage", Some("message")),
        ("environment", Some("env")),
        ("ENV", Some("env")),
        ("exit_code", None),
    ] {
        let answer: Answer = target.patch_bytes(format!("{{{key}: 1, progress: 50}}").as_bytes());
        let text = answer.error();
        assert_eq!(answer.status, 400);
        assert!(
            text.contains(key) && text.contains(r#""progress", "message" and "env""#),
            "{text}"
        );
        let hint = meant.map(|meant| format!("(did you mean {meant:?}?)"));
        assert_eq!(text.contains("did you mean"), hint.is_some(), "{text}");
        assert!(hint.is_none_or(|hint| text.contains(&hint)), "{text}");
    }
    assert_eq!(target.view().get("progress"), None);
    target.let_go();
}

#[test]
fn a_variable_may_have_64_kilobytes_and_any_name_that_the_kernel_accepts() {
    // A shell does not pass variables with odd names to its commands, so read its own environment.
    let show = r#"printf %s "$LARGE" | wc -c > sizes; cat /proc/$$/environ > environment"#;
    let target = with_after(show);
    let (large, odd) = ("ä".repeat(32 << 10), "a\nb'\"$(touch x)\\\u{1f600}");
    let names = [
        "a b",
        "ä",
        "-x.y",
        "*",
        "1",
        " ",
        "\n",
        "$(touch x)",
        "PATH_\u{1f600}",
    ];
    assert_eq!(set(&target, &json!({"LARGE": large})), (204, String::new()));
    for name in names {
        assert_eq!(set(&target, &json!({name: odd})).0, 204, "{name:?}");
    }
    for (variables, words) in [
        (
            json!({"LARGE": format!("{large}x")}),
            "longer than 65536 bytes",
        ),
        (json!({"": "x"}), "must not be empty"),
        (json!({"A=B": "x"}), "must not contain '='"),
        (json!({"A=B": null}), "must not contain '='"),
        (json!({"A\0": "x"}), "NUL"),
        (json!({"A": "x\0"}), "NUL"),
        (json!({"n".repeat(4097): "x"}), "longer than 4096 bytes"),
    ] {
        let (status, text) = set(&target, &variables);
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(set(&target, &json!({"n".repeat(4096): large})).0, 204);
    assert_eq!(target.let_go().codes("after_codes"), [Some(0)]);
    assert_eq!(target.run.sandbox.read("sizes").trim(), "65536");
    let environment = target.run.sandbox.read("environment");
    let variables: Vec<&str> = environment.split('\0').collect();
    for name in names {
        assert!(
            variables.contains(&format!("{name}={odd}").as_str()),
            "{name:?}"
        );
    }
}

#[test]
fn ten_thousand_variables_are_set_together_up_to_the_limit() {
    let target = with_after("env | grep -c ^BULK_ > count; env | grep -c ^MORE_ >> count");
    let bulk = |prefix: &str, value: &str| -> Value {
        let variable = |n| (format!("{prefix}_{n:05}"), Value::from(value));
        (0..10_000)
            .map(variable)
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    assert_eq!(set(&target, &bulk("BULK", "x")), (204, String::new()));
    let (status, text) = set(
        &target,
        &bulk("MORE", "a value that makes the body too large"),
    );
    assert_eq!(status, 413);
    assert!(
        text.contains("the body has more than 262144 bytes"),
        "{text}"
    );
    // Setting them again takes no more space.
    for _ in 0..3 {
        assert_eq!(set(&target, &bulk("BULK", "y")), (204, String::new()));
    }
    let large = "x".repeat(60_000);
    let refused = (0..30)
        .map(|n| set(&target, &json!({format!("LARGE_{n}"): large})))
        .find(|(status, _)| *status != 204);
    let (status, text) = refused.expect("1 MiB is full");
    assert_eq!(status, 413);
    assert!(
        text.contains("over 1 MiB") && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!(
        target.let_go().codes("after_codes"),
        [Some(1)],
        "{}",
        target.run.transcript()
    );
    assert_eq!(target.run.lines("count"), ["10000", "0"]);
}

#[test]
fn a_command_can_be_started_with_every_accepted_environment() {
    let target = with_after("true");
    // The shortest possible variables, because their number counts.
    let mut names = (0_u32..).map(|n| {
        let digits = (0..3).map(|place| n / 52_u32.pow(place) % 52);
        let letters = digits.filter_map(|digit| ('A'..='Z').chain('a'..='z').nth(digit as usize));
        letters.collect::<String>()
    });
    let refused = (0..30).find_map(|_| {
        let some = names
            .by_ref()
            .take(20_000)
            .map(|name| (name, Value::from("")));
        let some: serde_json::Map<_, _> = some.collect();
        let (status, _) = set(&target, &some.into());
        (status != 204).then_some(status)
    });
    assert_eq!(refused, Some(413));
    let ended = target.let_go();
    assert_eq!(
        ended.codes("after_codes"),
        [Some(0)],
        "{}",
        target.run.sandbox.read("executor.log")
    );
}

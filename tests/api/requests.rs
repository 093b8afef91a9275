//! The HTTP API at `$EXECUTOR_ENDPOINT`, used with curl in commands, as job authors do.

use std::net::TcpListener;

use crate::support::{Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::TaskState::{Failed, Finished};
use serde_json::{Value, json};

/// A request that appends its status to `codes` and writes the response to `body`.
fn request(arguments: &str) -> String {
    format!("curl -s -o body -w '%{{http_code}}\\n' {arguments} >> codes")
}

/// A PATCH with this body.
fn patch(body: &str) -> String {
    request(&format!("-X PATCH -d '{body}' $EXECUTOR_ENDPOINT"))
}

/// Runs shell lines as the command of a task, which must finish.
#[track_caller]
fn run_lines(lines: &[String]) -> Run {
    require_curl();
    let run = Run::start(json!({"command": lines.join("\n")}));
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    run
}

/// The percentages in the progress messages.
fn percents(run: &Run) -> Vec<Value> {
    let messages = run.agent.inspect(|journal| journal.messages());
    let percents = messages.iter().filter_map(|m| m.get("progress-percent"));
    percents.cloned().collect()
}

#[track_caller]
fn require_curl() {
    let curl = std::process::Command::new("curl").arg("--version").output();
    assert!(
        curl.is_ok(),
        "these tests run the document's curl examples: install curl"
    );
}

#[test]
fn the_documented_examples_work_as_printed() {
    require_curl();
    // As documented, including line breaks.
    let command = r#"
curl -X PATCH -d '{progress: 10}' $EXECUTOR_ENDPOINT
curl -X PATCH -d '{env: {VAR_A: "123", SOME_B: null}}' $EXECUTOR_ENDPOINT
curl -XPATCH \
	-d '{"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}' \
	$EXECUTOR_ENDPOINT
curl -XPATCH \
	-d '{"progress": 100, "message": "a custom failure message"}' \
	$EXECUTOR_ENDPOINT
exit 1"#;
    let after = r#"echo "$VAR_A ${SOME_B-unset} $MY_ENV_VAR ${MY_OLD_VAR-unset}" > environment
exit_code=$(curl $EXECUTOR_ENDPOINT | sed 's/.*"exit_code": *\([-0-9]*\).*/\1/')
if [ "$exit_code" != "0" ]; then
    echo "mail: $exit_code" > mail
fi"#;
    let run = Setup::new()
        .variable("SOME_B", "b")
        .variable("MY_OLD_VAR", "old")
        .launch(json!({"command": command, "after_commands": [hook(after)]}));
    let ended = run.finish();
    assert_eq!(ended.state, Failed);
    assert_eq!(ended.message, "a custom failure message");
    assert_eq!(
        ended.data["progress"].as_f64(),
        Some(100.0),
        "{}",
        run.transcript()
    );
    assert_eq!(ended.data["message"], "a custom failure message");
    assert_eq!(run.lines("environment"), ["123 unset /hello/world unset"]);
    assert_eq!(run.lines("mail"), ["mail: 1"]);
}

#[test]
fn each_documented_status_is_used() {
    let big = "head -c 10000000 /dev/zero | tr '\\0' a";
    let header = "$(head -c 100000 /dev/zero | tr '\\0' a)";
    let cases = [
        ("204", patch(r#"{"progress": 0}"#)),
        ("204", patch(r#"{"progress": 100.0}"#)),
        (
            "204",
            patch(r#"{"progress": 12.5, "message": "half", "env": {"A": "1"}}"#),
        ),
        ("204", patch("{progress: 1, }")),
        ("204", patch("{message: \"unquoted key\"}")),
        ("400", patch("")),
        ("400", patch("progress")),
        ("400", patch("[]")),
        ("400", patch("{")),
        ("400", patch(r#"{"progres": 1}"#)),
        ("400", patch(r#"{"progress": "1"}"#)),
        ("400", patch(r#"{"progress": 100.1}"#)),
        ("400", patch(r#"{"progress": -1}"#)),
        ("400", patch(r#"{"progress": 1e400}"#)),
        ("400", patch(r#"{"progress": NaN}"#)),
        ("400", patch(r#"{"message": 1}"#)),
        ("400", patch(r#"{"env": []}"#)),
        ("400", patch(r#"{"env": {"A": 1}}"#)),
        ("400", patch(r#"{"env": {"": "x"}}"#)),
        ("400", patch(r#"{"env": {"A=B": "x"}}"#)),
        ("400", patch(r#"{"env": {"A": "x\u0000y"}}"#)),
        ("200", request("$EXECUTOR_ENDPOINT")),
        ("200", request("-I $EXECUTOR_ENDPOINT")),
        ("404", request("${EXECUTOR_ENDPOINT}x")),
        ("404", request("${EXECUTOR_ENDPOINT}/deeper")),
        ("404", request("${EXECUTOR_ENDPOINT%/task/*}/")),
        ("404", request("${EXECUTOR_ENDPOINT%/task/*}/task/other")),
        (
            "404",
            request("-X PATCH -d '{progress: 1}' ${EXECUTOR_ENDPOINT%/task/*}/task/other"),
        ),
        (
            "405",
            request("-X POST -d '{progress: 1}' $EXECUTOR_ENDPOINT"),
        ),
        ("405", request("-X DELETE $EXECUTOR_ENDPOINT")),
        (
            "413",
            format!(
                "{big} | {}",
                request("-X PATCH --data-binary @- $EXECUTOR_ENDPOINT")
            ),
        ),
        (
            "431",
            request(&format!("-H \"X: {header}\" $EXECUTOR_ENDPOINT")),
        ),
        ("200", request("$EXECUTOR_ENDPOINT")),
    ];
    let lines: Vec<String> = cases.iter().map(|(_, line)| line.clone()).collect();
    let run = run_lines(&lines);
    let codes = run.lines("codes");
    for (index, (wanted, line)) in cases.iter().enumerate() {
        assert_eq!(
            codes.get(index).map(String::as_str),
            Some(*wanted),
            "{line}"
        );
    }
}

#[test]
fn a_refused_patch_gets_the_reason_in_json_and_changes_nothing() {
    let run = run_lines(&[
        patch(r#"{"progress": 50, "message": "never", "env": {"A": "x"}, "progres": 1}"#),
        "mv body refusal".to_owned(),
        request("$EXECUTOR_ENDPOINT"),
    ]);
    assert_eq!(run.lines("codes"), ["400", "200"]);
    let refusal: Value = serde_json::from_str(&run.sandbox.read("refusal")).unwrap();
    assert!(refusal.to_string().contains("progres"), "{refusal}");
    let view: Value = serde_json::from_str(&run.sandbox.read("body")).unwrap();
    assert_eq!(view.get("progress"), None);
    assert_eq!(view.get("message"), None);
    assert_eq!(percents(&run), [] as [Value; 0]);
}

#[test]
fn a_method_that_is_not_allowed_gets_the_list_of_methods() {
    let run = run_lines(&["curl -s -D head -X POST -d x $EXECUTOR_ENDPOINT".to_owned()]);
    let head = run.sandbox.read("head");
    let allow = head
        .lines()
        .find(|line| line.to_lowercase().starts_with("allow:"));
    let allow = allow.unwrap_or_default();
    assert!(allow.contains("GET") && allow.contains("PATCH"), "{head}");
}

#[test]
fn a_patch_of_the_environment_affects_all_later_commands_and_no_earlier_one() {
    require_curl();
    let show = |name: &str| format!(r#"echo "{name} ${{NEW-unset}} ${{OLD-unset}}" >> seen"#);
    let running = [
        say("running"),
        wait_for_word("main"),
        show("async"),
        say("async"),
    ];
    let run = Setup::new().variable("OLD", "old").launch(json!({
        "before_commands": [
            {"value": running.join("; "), "async": true},
            hook(wait_for_word("running")),
            hook(patch(r#"{"env": {"NEW": "a b'\"ä", "OLD": null}}"#).replace("b'", "b'\\''")),
            hook(show("before")),
        ],
        "command": format!("{}; {}; {}", show("main"), say("main"), patch(r#"{"env": {"NEW": null}}"#)),
        "after_commands": [hook(wait_for_word("async")), hook(show("after"))],
    }));
    assert_eq!(run.finish().state, Finished);
    let mut seen = run.lines("seen");
    seen.sort();
    let wanted = [
        "after unset unset",
        "async unset old",
        "before a b'\"ä unset",
        "main a b'\"ä unset",
    ];
    assert_eq!(seen, wanted, "{}", run.transcript());
}

#[test]
fn get_returns_the_codes_so_far_under_both_names() {
    require_curl();
    let get = |file: &str| format!("curl -s -o {file} $EXECUTOR_ENDPOINT");
    let run = Setup::new().variable("SECRET", "hunter2").launch(json!({
        "before_commands": [hook("exit 4"), hook(get("first"))],
        "command": format!("{}; exit 3", get("second")),
        "after_commands": [hook("exit 5"), hook(get("third"))],
    }));
    run.finish();
    let view = |file: &str| -> Value {
        assert!(!run.sandbox.read(file).contains("hunter2"));
        serde_json::from_str(&run.sandbox.read(file)).unwrap()
    };
    let (first, second, third) = (view("first"), view("second"), view("third"));
    assert_eq!(first.get("exit_code"), None);
    assert_eq!(first["before_codes"], json!([4]));
    assert_eq!(second.get("exit_code"), None);
    assert_eq!(second["before_codes"], json!([4, 0]));
    assert_eq!(third["exit_code"], 3);
    for (name, codes) in [
        ("before_codes", json!([4, 0])),
        ("before_exit_codes", json!([4, 0])),
        ("after_codes", json!([5])),
        ("after_exit_codes", json!([5])),
    ] {
        assert_eq!(third[name], codes, "{name} in {third}");
    }
}

#[test]
fn get_returns_progress_and_message() {
    let run = run_lines(&[
        patch(r#"{"progress": 54.5, "message": "more than half"}"#),
        request("$EXECUTOR_ENDPOINT"),
    ]);
    let view: Value = serde_json::from_str(&run.sandbox.read("body")).unwrap();
    assert_eq!(view["progress"].as_f64(), Some(54.5));
    assert_eq!(view["message"], "more than half");
    assert_eq!(view["state"], "TASK_RUNNING");
}

#[test]
fn progress_is_sent_in_cooks_format() {
    let run = run_lines(&[patch(r#"{"progress": 54.5, "message": "more than half"}"#)]);
    let messages = run.agent.inspect(|journal| journal.messages());
    let progress = messages
        .iter()
        .find(|m| m.get("progress-percent").is_some());
    let wanted = json!({
        "progress-message": "more than half",
        "progress-percent": 54,
        "progress-sequence": 1,
        "task-id": TASK,
    });
    assert_eq!(progress, Some(&wanted));
}

#[test]
fn progress_is_sampled_and_the_newest_value_wins() {
    require_curl();
    let lines = [10, 20, 30].map(|percent| patch(&format!("{{progress: {percent}}}")));
    let run = Setup::new()
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", "60000")
        .launch(json!({"command": lines.join("\n")}));
    let ended = run.finish();
    assert_eq!(run.lines("codes"), ["204"; 3]);
    assert_eq!(percents(&run), [10, 30]);
    assert_eq!(ended.data["progress"].as_f64(), Some(30.0));
    let arrivals = run.agent.inspect(|journal| journal.arrivals());
    let terminal = arrivals.iter().position(|text| text == "TASK_FINISHED");
    assert_eq!(terminal, Some(arrivals.len() - 1), "{arrivals:?}");
}

#[test]
fn sequence_numbers_of_progress_only_increase() {
    require_curl();
    let lines: Vec<String> = (1..=5)
        .map(|percent| format!("{}; sleep 0.12", patch(&format!("{{progress: {percent}}}"))))
        .collect();
    let run = Setup::new()
        .variable("PROGRESS_SAMPLE_INTERVAL_MS", "100")
        .launch(json!({"command": lines.join("\n")}));
    run.finish();
    let messages = run.agent.inspect(|journal| journal.messages());
    let numbers = messages
        .iter()
        .filter_map(|m| m["progress-sequence"].as_i64());
    let numbers: Vec<i64> = numbers.collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(percents(&run).last(), Some(&json!(5)));
}

#[test]
fn a_long_message_is_shortened_by_characters_and_ends_in_dots() {
    require_curl();
    let long = "ä".repeat(65);
    let run = Setup::new()
        .variable("EXECUTOR_MAX_MESSAGE_LENGTH", "64")
        .launch(json!({"command": patch(&format!(r#"{{"message": "{long}"}}"#))}));
    let ended = run.finish();
    assert_eq!(run.lines("codes"), ["204"]);
    assert_eq!(ended.message, format!("{}...", "ä".repeat(61)));
}

#[test]
fn keep_alive_chunked_bodies_and_expect_work() {
    let run = run_lines(&[
        "curl -s -o body -w '%{num_connects}\\n' $EXECUTOR_ENDPOINT \
         -o body $EXECUTOR_ENDPOINT >> connects"
            .to_owned(),
        request("-H 'Expect: 100-continue' -X PATCH -d '{progress: 1}' $EXECUTOR_ENDPOINT"),
        request("-H 'Transfer-Encoding: chunked' -X PATCH -d '{progress: 2}' $EXECUTOR_ENDPOINT"),
        request("-H 'Content-Type: text/anything' -X PATCH -d '{progress: 3}' $EXECUTOR_ENDPOINT"),
        request("--http1.0 $EXECUTOR_ENDPOINT"),
    ]);
    assert_eq!(run.lines("connects"), ["1", "0"]);
    assert_eq!(run.lines("codes"), ["204", "204", "204", "200"]);
    assert_eq!(percents(&run).last(), Some(&json!(3)));
}

#[test]
fn the_task_id_is_percent_encoded_in_the_endpoint() {
    require_curl();
    let task_id = "job 1/ä%?#";
    let run = Setup::new().start();
    run.launch(
        task_id,
        &json!({"command": format!("echo $EXECUTOR_ENDPOINT > endpoint; {}", request("$EXECUTOR_ENDPOINT"))}),
    );
    run.wait_until("the end", |journal| journal.terminal_of(task_id).is_some());
    assert_eq!(run.exit_code(), Some(0));
    let endpoint = run.sandbox.read("endpoint");
    assert!(
        endpoint.trim().ends_with("/task/job%201%2F%C3%A4%25%3F%23"),
        "{endpoint}"
    );
    assert_eq!(run.lines("codes"), ["200"]);
}

#[test]
fn the_preferred_port_is_used_if_it_is_free_and_another_one_if_not() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().port();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = free.local_addr().unwrap().port();
    drop(free);
    for (port, is_used) in [(taken, false), (wanted, true)] {
        let run = Setup::new()
            .variable("EXECUTOR_PORT0", &port.to_string())
            .launch(json!({"command": "echo $EXECUTOR_ENDPOINT > endpoint"}));
        assert_eq!(run.finish().state, Finished);
        let endpoint = run.sandbox.read("endpoint");
        let begin = format!("http://127.0.0.1:{port}/task/");
        assert_eq!(endpoint.starts_with(&begin), is_used, "{endpoint}");
        assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
    }
}

#[test]
fn while_the_agent_is_away_a_patch_is_kept_and_gets_503() {
    require_curl();
    // Sends requests until one gets 503 because there is no agent.
    let until_late = format!(
        "{}; while {}; ! grep -qx 503 codes; do sleep 0.05; done",
        wait_for_word("away"),
        patch("{progress: 42}")
    );
    let lines = [
        until_late,
        ": > codes".to_owned(),
        patch("{env: {A: \"1\"}}"),
        request("$EXECUTOR_ENDPOINT"),
        say("late"),
        wait_for_word("back"),
    ];
    let run = Run::start(json!({"command": lines.join("\n")}));
    run.wait_for(cook_mesos::messages::TaskState::Running);
    run.agent.go_away();
    run.say("away");
    run.wait_for_word("late");
    run.agent.come_back().unwrap();
    run.say("back");
    let ended = run.finish();
    assert_eq!(run.lines("codes"), ["204", "200"]);
    assert_eq!(ended.data["progress"].as_f64(), Some(42.0));
    assert_eq!(percents(&run).last(), Some(&json!(42)));
}

//! Which jobs are read, which are refused, and with what text.

use super::*;

fn read(data: &str) -> Result<Plan, TaskRefusal> {
    read_with(data, &HookVariables::default(), None)
}

fn read_with(
    data: &str,
    variables: &HookVariables,
    executor_data: Option<&str>,
) -> Result<Plan, TaskRefusal> {
    let sources = Sources {
        command: None,
        data: Some(data.as_bytes()),
        arguments: &[],
        executor_data: executor_data.map(str::as_bytes),
        variables,
    };
    read_plan(sources, &mut |_| {})
}

fn texts(plan: &Plan) -> Vec<String> {
    let text = |command: &crate::core::plan::Command| {
        let flags = match (command.guard, command.is_async) {
            (true, true) => " guard async",
            (true, false) => " guard",
            (false, true) => " async",
            (false, false) => "",
        };
        String::from_utf8_lossy(command.program.text()).into_owned() + flags
    };
    plan.iter().map(|(_, command)| text(command)).collect()
}

#[test]
fn a_job_becomes_a_plan() {
    let plan = read(
            r#"{"command": "main", "before_commands": [{"value": "lock", "guard": true}, {"value": "monitor", "async": true}],
                "after_commands": [{"value": "unlock"}], "uris": []}"#,
        )
        .expect("valid");
    assert_eq!(
        texts(&plan),
        ["lock guard", "monitor async", "main", "unlock"]
    );
}

#[test]
fn hooks_of_all_sources_are_in_order() {
    let variables = HookVariables {
        before: br#"[{"value": "job env"}]"#.to_vec(),
        after: b" ".to_vec(),
        default_before: br#"[{"value": "operator env"}]"#.to_vec(),
        default_after: Vec::new(),
    };
    let executor = r#"{"before_commands": [{"value": "operator data"}], "after_commands": [{"value": "last"}]}"#;
    let data = r#"{"command": "main", "before_commands": [{"value": "job data"}]}"#;
    let plan = read_with(data, &variables, Some(executor)).expect("valid");
    let wanted = [
        "operator env",
        "operator data",
        "job data",
        "job env",
        "main",
        "last",
    ];
    assert_eq!(texts(&plan), wanted);
}

/// Every complete text is in the table of `tests/task/refusals.rs`; this test has the forms of each.
#[test]
fn a_refusal_names_the_place() {
    for (data, words) in [
        ("", NOTHING_TO_RUN),
        (" \n", NOTHING_TO_RUN),
        ("\u{feff}", NOTHING_TO_RUN),
        ("{}", NOTHING_TO_RUN),
        (r#"{"command": null, "uris": []}"#, NOTHING_TO_RUN),
        (
            r#"{"before_commands": [], "after_commands": null}"#,
            NOTHING_TO_RUN,
        ),
        (
            "{\"command\": \"a\"",
            "the task's data is not valid JSON: EOF",
        ),
        (
            "[]",
            "the task's data must be a JSON object, found an array",
        ),
        (r#"{"command": " \n"}"#, "command must not be blank"),
        (
            r#"{"command": 5}"#,
            "command must be a string, found a number",
        ),
        (
            r#"{"command": "a\u0000b"}"#,
            "command must not contain a NUL byte",
        ),
        (
            r#"{"comand": "a"}"#,
            "the task's data has the unknown key \"comand\": did you mean \"command\"?",
        ),
        (
            r#"{"command": "a", "After-Command": []}"#,
            "the task's data has the unknown key \"After-Command\": did you mean \"after_commands\"?",
        ),
        (
            r#"{"command": "a", "before_commands": {}}"#,
            "before_commands must be an array of commands, found an object",
        ),
        (
            r#"{"command": "a", "before_commands": ["x"]}"#,
            "before_commands[0] must be an object such as",
        ),
        (
            r#"{"command": "a", "after_commands": [{"value": "x"}, {}]}"#,
            "after_commands[1].value is missing",
        ),
        (
            r#"{"command": "a", "after_commands": [{"value": ""}]}"#,
            "after_commands[0].value must not be blank",
        ),
        (
            r#"{"command": "a", "after_commands": [{"value": 1}]}"#,
            "after_commands[0].value must be a string",
        ),
        (
            r#"{"command": "a", "before_commands": [{"value": "x", "gaurd": true}]}"#,
            "before_commands[0] has the unknown key \"gaurd\" (did you mean \"guard\"?): allowed are",
        ),
        (
            r#"{"command": "a", "before_commands": [{"value": "x", "retries": 3}]}"#,
            "before_commands[0] has the unknown key \"retries\": allowed are",
        ),
        (
            r#"{"command": "a", "before_commands": [{"value": "x", "guard": "yes"}]}"#,
            "before_commands[0].guard must be true or false, found a string",
        ),
        (
            r#"{"command": "a", "before_commands": [{"value": "x", "async": 1}]}"#,
            "before_commands[0].async must be true or false, found a number",
        ),
        (
            r#"{"command": "a", "after_commands": [{"value": "x", "timeout": "5"}]}"#,
            "after_commands[0].timeout must be a number of seconds, found a string",
        ),
    ] {
        let Err(TaskRefusal(message)) = read(data) else {
            panic!("accepted {data}");
        };
        assert!(message.starts_with(words), "{data}: {message}");
    }
}

#[test]
fn a_timeout_is_above_zero_and_at_most_a_billion_seconds() {
    let timeout = |text: &str| {
        let data = format!(
            r#"{{"command": "a", "before_commands": [{{"value": "x", "timeout": {text}}}]}}"#
        );
        read(&data).map(|plan| {
            let hook = plan.iter().next().expect("there").1;
            hook.timeout.map(|span| span.get().as_secs_f64())
        })
    };
    for (text, seconds) in [
        ("null", None),
        ("0.25", Some(0.25)),
        ("1e9", Some(1e9)),
        ("1000000000", Some(1e9)),
    ] {
        assert_eq!(timeout(text), Ok(seconds), "{text}");
    }
    for (text, found) in [
        ("0", "0"),
        ("-0", "-0.0"),
        ("-1", "-1"),
        ("1e-12", "1e-12"),
        ("-1e300", "-1e+300"),
    ] {
        let wanted = format!("before_commands[0].timeout must be above 0 seconds, found {found}");
        assert_eq!(timeout(text), Err(TaskRefusal(wanted)));
    }
    for (text, found) in [
        ("1000000001", "1000000001"),
        ("1e19", "1e+19"),
        ("18446744073709551615", "18446744073709551615"),
    ] {
        let wanted = format!(
            "before_commands[0].timeout is too large: at most 1000000000 seconds, found {found}"
        );
        assert_eq!(timeout(text), Err(TaskRefusal(wanted)));
    }
    let Err(TaskRefusal(message)) = timeout("1e400") else {
        panic!("no number is so large");
    };
    assert!(
        message.contains("number out of range: it is too large"),
        "{message}"
    );
    assert!(timeout("NaN").is_err() && timeout("1.e5").is_err());
}

#[test]
fn hooks_alone_are_a_job() {
    for data in [
        r#"{"after_commands": [{"value": "mail bob"}]}"#,
        r#"{"command": null, "before_commands": null, "after_commands": [{"value": "mail bob"}]}"#,
    ] {
        let plan = read(data).expect("valid");
        assert_eq!(
            (texts(&plan), plan.main()),
            (vec!["mail bob".to_owned()], None)
        );
    }
    let variables = HookVariables {
        before: br#"[{"value": "from outside"}]"#.to_vec(),
        ..HookVariables::default()
    };
    let plan = read_with("{}", &variables, None).expect("valid");
    assert_eq!(texts(&plan), ["from outside"]);
    // The operator's hooks are not a job, and hooks from elsewhere do not make invalid data valid.
    let operators = HookVariables {
        default_before: variables.before.clone(),
        ..HookVariables::default()
    };
    assert_eq!(
        read_with("{}", &operators, None),
        Err(TaskRefusal(NOTHING_TO_RUN.to_owned()))
    );
    for broken in ["{", "[]", r#"{"comand": "a"}"#, r#"{"command": ""}"#] {
        assert!(read_with(broken, &variables, None).is_err(), "{broken}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    let variables = HookVariables {
        default_after: b"{".to_vec(),
        ..HookVariables::default()
    };
    let Err(TaskRefusal(message)) = read_with(r#"{"command": "a"}"#, &variables, None) else {
        panic!("accepted");
    };
    assert!(
        message.starts_with("EXECUTOR_DEFAULT_AFTER_COMMANDS is not valid JSON"),
        "{message}"
    );
}

#[test]
fn a_byte_order_mark_is_skipped_everywhere() {
    let marked = |text: &str| format!("\u{feff}{text}");
    let hooks = |value: &str| marked(&format!(r#"[{{"value": "{value}"}}]"#)).into_bytes();
    let variables = HookVariables {
        before: hooks("1"),
        default_after: hooks("3"),
        after: marked(" ").into_bytes(),
        ..HookVariables::default()
    };
    let executor = marked(r#"{"after_commands": [{"value": "4"}]}"#);
    let plan = read_with(&marked(r#"{"command": "2"}"#), &variables, Some(&executor));
    assert_eq!(
        plan.map(|plan| texts(&plan)),
        Ok(["1", "2", "3", "4"].map(str::to_owned).into())
    );
}

#[test]
fn unknown_keys_are_logged_and_an_executors_own_data_is_ignored() {
    let mut remarks = Vec::new();
    for executor_data in [
        "\0framework's own",
        "",
        "{",
        "[{}]",
        r#"{"command": 5, "before": [{}]}"#,
    ] {
        let sources = Sources {
            command: None,
            data: Some(br#"{"command": "a", "uris": [], "priority": 5}"#),
            arguments: &[],
            executor_data: Some(executor_data.as_bytes()),
            variables: &HookVariables::default(),
        };
        let plan = read_plan(sources, &mut |line| remarks.push(line)).expect("valid");
        assert_eq!(texts(&plan), ["a"], "{executor_data}");
    }
    remarks.sort();
    remarks.dedup();
    assert_eq!(
        remarks,
        [
            "ignored the unknown key \"priority\" in the task's data",
            "ignored the unknown key \"uris\" in the task's data",
        ]
    );
    let misspelt = r#"{"before_commands": [], "after_comands": []}"#;
    assert!(
        read_with(
            r#"{"command": "a"}"#,
            &HookVariables::default(),
            Some(misspelt)
        )
        .is_err()
    );
}

fn command(value: Option<&str>) -> CommandInfo {
    CommandInfo {
        value: value.map(Into::into),
        ..CommandInfo::default()
    }
}

#[test]
fn beside_a_command_the_data_is_the_frameworks_unless_it_has_hooks() {
    let command = command(Some("the command"));
    let read = |data: &[u8]| {
        let sources = Sources {
            command: Some(&command),
            data: Some(data),
            arguments: &[b"not this".to_vec()],
            executor_data: None,
            variables: &HookVariables::default(),
        };
        let mut remarks = 0;
        let plan = read_plan(sources, &mut |_| remarks += 1);
        assert_eq!(remarks, 0, "remarks about data of the framework");
        plan.map(|plan| texts(&plan))
    };
    let alone = Ok(vec!["the command".to_owned()]);
    for data in [
        &b""[..],
        b"text",
        b"\x00\xff\xfe",
        b"[1]",
        b"5",
        b"null",
        b"{",
        br#"{"command": "not this"}"#,
        br#"{"command": 5, "comand": 6, "before_comands": [{}]}"#,
        br#"{"before_commands": null}"#,
        br#"{"before_commands": [{"value": "x"}]"#,
    ] {
        assert_eq!(read(data), alone, "{data:?}");
    }
    let hooks = read(br#"{"command": 5, "comand": 6, "before_commands": [{"value": "first"}]}"#);
    assert_eq!(
        hooks,
        Ok(vec!["first".to_owned(), "the command".to_owned()])
    );
    assert!(read(br#"{"after_commands": [{"value": ""}]}"#).is_err());
    assert!(read(br#"{"after_commands": {}}"#).is_err());
}

#[test]
fn the_tasks_own_command_may_be_blank_and_need_not_be_a_shell_line() {
    for (value, shell, wanted) in [
        ("", None, Program::Shell(Vec::new())),
        (" ", Some(true), Program::Shell(b" ".to_vec())),
        (
            "/bin/ls",
            Some(false),
            Program::Exec {
                file: b"/bin/ls".to_vec(),
                arguments: vec![b"ls".to_vec(), b"-l".to_vec()],
            },
        ),
    ] {
        let command = CommandInfo {
            shell,
            arguments: vec![b"ls".to_vec(), b"-l".to_vec()],
            ..command(Some(value))
        };
        assert_eq!(main_of(Some(&command), None, &[]), Ok(wanted));
    }
}

#[test]
fn the_programs_arguments_are_the_command_if_there_is_no_other() {
    let arguments = [b"sleep".to_vec(), b"1 000".to_vec()];
    let exec = Ok(Program::Exec {
        file: b"sleep".to_vec(),
        arguments: arguments.to_vec(),
    });
    // Old versions of Marathon send the app as JSON.
    for data in [
        None,
        Some(""),
        Some("{}"),
        Some(r#"{"cmd": "sleep 1000", "args": null}"#),
        Some("{"),
        Some("[]"),
    ] {
        assert_eq!(main_of(None, data, &arguments), exec, "{data:?}");
    }
    assert_eq!(main_of(Some(&command(None)), None, &arguments), exec);
    let shell = Ok(Program::Shell(b"a".to_vec()));
    assert_eq!(
        main_of(None, Some(r#"{"command": "a"}"#), &arguments),
        shell
    );
    assert_eq!(main_of(Some(&command(Some("a"))), None, &arguments), shell);
    for blank in ["", " "] {
        assert!(main_of(None, None, &[blank.into()]).is_err());
    }
    let hooks = r#"{"after_commands": [{"value": "b"}]}"#;
    assert_eq!(main_of(None, Some(hooks), &arguments), exec);
    assert!(main_of(None, Some(r#"{"after_commands": [{}]}"#), &arguments).is_err());
}

fn main_of(
    command: Option<&CommandInfo>,
    data: Option<&str>,
    arguments: &[Vec<u8>],
) -> Result<Program, TaskRefusal> {
    let sources = Sources {
        command,
        data: data.map(str::as_bytes),
        arguments,
        executor_data: None,
        variables: &HookVariables::default(),
    };
    let plan = read_plan(sources, &mut |_| {})?;
    let main = plan
        .main()
        .and_then(|id| plan.get(id))
        .expect("there is one");
    Ok(main.program.clone())
}

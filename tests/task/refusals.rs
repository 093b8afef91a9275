//! Tasks that cannot be run: each gets TASK_ERROR with a message that says what is wrong, where, and what
//! would be right, and nothing is started. Every such message is here, complete.

use crate::support::{Run, Setup, TASK, wait_for_word};
use cook_mesos::messages::{
    CommandInfo, ContainerInfo, Environment, TaskInfo, TaskState, Variable,
};
use serde_json::{Value, json};

/// `REASON_TASK_INVALID`.
const TASK_INVALID: i32 = 14;

/// Checks that the task of this run was refused with this message, and that nothing was started.
#[track_caller]
fn check(run: &Run, message: &str) {
    let ended = run.finish();
    assert_eq!(ended.state, TaskState::Error, "{}", run.transcript());
    assert_eq!(ended.reason, Some(TASK_INVALID));
    assert!(!ended.states.contains(&TaskState::Running));
    assert_eq!(ended.message, message);
    assert!(run.order().is_empty(), "something was started");
}

/// A task with only this `data`.
fn task(run: &Run, data: Option<&[u8]>) -> TaskInfo {
    TaskInfo {
        data: data.map(<[u8]>::to_vec),
        ..run.task(TASK, &json!({}))
    }
}

#[test]
fn a_task_that_would_have_to_run_elsewhere_or_as_another_user_is_refused() {
    let image = Some(b"an image".to_vec());
    let containers = [
        ContainerInfo {
            docker: image.clone(),
            mesos: None,
        },
        ContainerInfo {
            docker: None,
            mesos: image,
        },
    ];
    for container in containers {
        let run = Setup::new().start();
        run.agent.launch(TaskInfo {
            container: Some(container),
            ..run.task(TASK, &json!({"command": "echo x >> order"}))
        });
        check(
            &run,
            "the task asks for a container image, which cook-executor does not support: give the image to the \
             executor, or run the task with one of Mesos' own executors",
        );
    }
    // A container without an image is the executor's own.
    let run = Setup::new().start();
    run.agent.launch(TaskInfo {
        container: Some(ContainerInfo {
            docker: None,
            mesos: Some(Vec::new()),
        }),
        ..run.task(TASK, &json!({"command": "exit 3"}))
    });
    assert_eq!(run.finish().exit_code(), Some(3));
    let as_user = |user: &str| {
        let run = Setup::new().start();
        let command = CommandInfo {
            user: Some(user.into()),
            value: Some(b"echo x >> order".to_vec()),
            ..CommandInfo::default()
        };
        run.agent.launch(TaskInfo {
            command: Some(command),
            ..task(&run, None)
        });
        run
    };
    // An empty name is no wish.
    let (own, others): (&[_], &[_]) = match rustix::process::geteuid().is_root() {
        true => (&["root", ""], &["daemon", "not in any file", "root "]),
        false => (&[""], &["root"]),
    };
    for other in others {
        check(
            &as_user(other),
            &format!(
                "the task asks for the user {other:?}, but the executor runs as another user: set this user for the \
                 executor, and let the agent switch users"
            ),
        );
    }
    for name in own {
        let run = as_user(name);
        assert_eq!(run.finish().state, TaskState::Finished, "{name}");
    }
}

#[test]
fn data_that_is_not_a_job_is_refused() {
    const NOTHING: &str = "the task has no command: put {\"command\": \"...\"} into its data";
    for (data, message) in [
        (None, NOTHING),
        (Some(&b""[..]), NOTHING),
        (Some(b" \n\t"), NOTHING),
        (Some(b"\xef\xbb\xbf"), NOTHING),
        (Some(b"{}"), NOTHING),
        (Some(b"{\"command\": null}"), NOTHING),
        (Some(b"{\"cmd\": \"echo x >> order\"}"), NOTHING),
        (
            Some(b"{\"before_commands\": [], \"after_commands\": null}"),
            NOTHING,
        ),
        (
            Some(b"{\"command\": \"echo x >> order\""),
            "the task's data is not valid JSON: EOF while parsing an object at line 1 column 29",
        ),
        (
            Some(b"{\"command\":\n \"echo x >> order\",}"),
            "the task's data is not valid JSON: trailing comma at line 2 column 20",
        ),
        (
            Some(b"{command: \"echo x >> order\"}"),
            "the task's data is not valid JSON: key must be a string at line 1 column 2",
        ),
        (
            Some(b"echo x >> order"),
            "the task's data is not valid JSON: expected value at line 1 column 1",
        ),
        (
            Some(b"\xff\xfe{\0"),
            "the task's data is not valid JSON: it is UTF-16, and must be UTF-8",
        ),
        (
            Some(b"{\"command\": \"echo caf\xe9 >> order\"}"),
            "the task's data is not valid JSON: invalid unicode code point at line 1 column 22: found the byte \
             0xE9, which is not UTF-8",
        ),
        (
            Some(b"{\"command\":\xc2\xa0\"echo x >> order\"}"),
            "the task's data is not valid JSON: expected value at line 1 column 12: found U+00A0 (a no-break \
             space)",
        ),
        (
            Some(b"[]"),
            "the task's data must be a JSON object, found an array",
        ),
        (
            Some(b"\"echo x >> order\""),
            "the task's data must be a JSON object, found a string",
        ),
        (
            Some(b"null"),
            "the task's data must be a JSON object, found null",
        ),
    ] {
        let run = Setup::new().start();
        run.agent.launch(task(&run, data));
        check(&run, message);
    }
}

#[test]
fn an_error_in_a_job_is_refused_with_the_place_and_what_would_be_right() {
    let good = json!({"value": "echo x >> order"});
    let hooks = |hooks: Value| json!({"command": "echo x >> order", "before_commands": hooks});
    let allowed = "allowed are \"value\", \"guard\", \"async\" and \"timeout\"";
    for (job, message) in [
        (json!({"command": ""}), "command must not be blank".to_owned()),
        (json!({"command": " \t\n"}), "command must not be blank".to_owned()),
        (json!({"command": "a\0b"}), "command must not contain a NUL byte".to_owned()),
        (json!({"command": 5}), "command must be a string, found a number".to_owned()),
        (json!({"command": ["x"]}), "command must be a string, found an array".to_owned()),
        (json!({"command": true}), "command must be a string, found true or false".to_owned()),
        (
            json!({"Command": "echo x >> order"}),
            "the task's data has the unknown key \"Command\": did you mean \"command\"?".to_owned(),
        ),
        (
            json!({"command": "echo x >> order", "before-comands": []}),
            "the task's data has the unknown key \"before-comands\": did you mean \"before_commands\"?"
                .to_owned(),
        ),
        (
            json!({"command": "echo x >> order", "afterCommands": []}),
            "the task's data has the unknown key \"afterCommands\": did you mean \"after_commands\"?"
                .to_owned(),
        ),
        (
            hooks(json!("echo x >> order")),
            "before_commands must be an array of commands, found a string".to_owned(),
        ),
        (
            hooks(json!({"value": "echo x >> order"})),
            "before_commands must be an array of commands, found an object".to_owned(),
        ),
        (
            hooks(json!(["echo x >> order"])),
            "before_commands[0] must be an object such as {\"value\": \"...\"}, found a string".to_owned(),
        ),
        (hooks(json!([good, {}])), "before_commands[1].value is missing".to_owned()),
        (
            hooks(json!([good, {"value": 5}])),
            "before_commands[1].value must be a string, found a number".to_owned(),
        ),
        (
            json!({"command": "echo x >> order", "after_commands": [{"value": null}]}),
            "after_commands[0].value must be a string, found null".to_owned(),
        ),
        (
            hooks(json!([good, {"value": "  "}])),
            "before_commands[1].value must not be blank".to_owned(),
        ),
        (
            hooks(json!([good, {"value": "\0"}])),
            "before_commands[1].value must not contain a NUL byte".to_owned(),
        ),
        (
            hooks(json!([{"value": "true", "guard": "yes"}])),
            "before_commands[0].guard must be true or false, found a string".to_owned(),
        ),
        (
            hooks(json!([{"value": "true", "async": 1}])),
            "before_commands[0].async must be true or false, found a number".to_owned(),
        ),
        (
            hooks(json!([{"value": "./acquire-lock.sh", "gaurd": true}])),
            format!("before_commands[0] has the unknown key \"gaurd\" (did you mean \"guard\"?): {allowed}"),
        ),
        (
            hooks(json!([{"value": "true", "Time-Out": 5}])),
            format!("before_commands[0] has the unknown key \"Time-Out\" (did you mean \"timeout\"?): {allowed}"),
        ),
        (
            hooks(json!([{"value": "true", "retries": 3}])),
            format!("before_commands[0] has the unknown key \"retries\": {allowed}"),
        ),
        (
            hooks(json!([{"value": "true", "timeout": "5"}])),
            "before_commands[0].timeout must be a number of seconds, found a string".to_owned(),
        ),
        (
            hooks(json!([{"value": "true", "timeout": 0}])),
            "before_commands[0].timeout must be above 0 seconds, found 0".to_owned(),
        ),
        (
            hooks(json!([{"value": "true", "timeout": -0.5}])),
            "before_commands[0].timeout must be above 0 seconds, found -0.5".to_owned(),
        ),
        (
            hooks(json!([{"value": "sleep 1", "timeout": 1e19}])),
            "before_commands[0].timeout is too large: at most 1000000000 seconds, found 1e+19".to_owned(),
        ),
        (
            hooks(json!([{"value": "sleep 1", "timeout": 1_000_000_001}])),
            "before_commands[0].timeout is too large: at most 1000000000 seconds, found 1000000001".to_owned(),
        ),
    ] {
        check(&Run::start(job), &message);
    }
}

#[test]
fn a_timeout_that_is_too_large_is_refused() {
    let run = Setup::new().start();
    let data =
        br#"{"command": "echo x >> order", "after_commands": [{"value": "a", "timeout": 1e400}]}"#;
    run.agent.launch(task(&run, Some(data)));
    let message = "the task's data is not valid JSON: number out of range: it is too large at line 1 column 81";
    check(&run, message);
}

#[test]
fn malformed_hooks_in_the_environment_are_refused_with_the_variables_name() {
    for (name, value, message) in [
        (
            "EXECUTOR_BEFORE_COMMANDS",
            "[",
            "EXECUTOR_BEFORE_COMMANDS is not valid JSON: EOF while parsing a list at line 1 column 1",
        ),
        (
            "EXECUTOR_AFTER_COMMANDS",
            "{}",
            "EXECUTOR_AFTER_COMMANDS must be an array of commands, found an object",
        ),
        (
            "EXECUTOR_DEFAULT_BEFORE_COMMANDS",
            r#"[{"value": ""}]"#,
            "EXECUTOR_DEFAULT_BEFORE_COMMANDS[0].value must not be blank",
        ),
        (
            "EXECUTOR_DEFAULT_AFTER_COMMANDS",
            r#"[{"value": "true", "guard": 1}]"#,
            "EXECUTOR_DEFAULT_AFTER_COMMANDS[0].guard must be true or false, found a number",
        ),
    ] {
        let run = Setup::new()
            .variable(name, value)
            .launch(json!({"command": "echo x >> order"}));
        check(&run, message);
    }
}

#[test]
fn a_task_with_an_invalid_command_or_environment_is_refused() {
    let command = |value: &[u8], variable: &[u8]| CommandInfo {
        value: Some(value.to_vec()),
        environment: Some(Environment {
            variables: vec![Variable {
                name: variable.to_vec(),
                value: Some(b"1".to_vec()),
                kind: None,
            }],
        }),
        ..CommandInfo::default()
    };
    for (command, message) in [
        (
            command(b"echo x >> order\0", b"A"),
            "the task's command must not contain a NUL byte",
        ),
        (
            command(b"echo x >> order", b""),
            "the task's environment variable \"\" is invalid: the name of a variable must not be empty",
        ),
        (
            command(b"echo x >> order", b"A=B"),
            "the task's environment variable \"A=B\" is invalid: the name of a variable must not contain '='",
        ),
    ] {
        let run = Setup::new().start();
        run.agent.launch(TaskInfo {
            command: Some(command),
            ..task(&run, None)
        });
        check(&run, message);
    }
}

/// The executor is started like an agent's own command executor. The flags take effect only at LAUNCH, so
/// that the framework learns of a refusal from the task's end.
#[test]
fn unsupported_flags_of_the_agent_are_refused_by_name() {
    let remedy = "which cook-executor does not support: run the task without a container image, terminal or \
                  capabilities of its own, or with Mesos' own command executor";
    let unknown = "an agent's flag that is not understood could change what the task runs";
    for (arguments, message) in [
        ("--rootfs=/", format!("the agent asks for --rootfs, {remedy}")),
        ("--user=nobody", format!("the agent asks for --user, {remedy}")),
        (
            "--launcher_dir=/x --working_directory /tmp --task-launch-info={}",
            format!("the agent asks for --working_directory, --task_launch_info, {remedy}"),
        ),
        ("--nonsense=secret", format!("the argument \"--nonsense\" is unknown: {unknown}")),
        ("--no-launcher_dir", format!("the argument \"--no_launcher_dir\" is unknown: {unknown}")),
        ("--launcher_dir=/x sleep 1", format!("the argument \"sleep\" is unknown: {unknown}")),
        (
            "--launcher_dir=/x --launcher_dir=/y",
            "the agent's flag --launcher_dir is given twice".to_owned(),
        ),
        (
            "--task_environment",
            "the agent's flag --task_environment needs a value".to_owned(),
        ),
        (
            "--task_environment=secret",
            "--task_environment is not valid JSON: expected value at line 1 column 1".to_owned(),
        ),
        (
            r#"'--task_environment={"variables": [{"name": "A=B", "value": "secret"}]}'"#,
            "--task_environment: variables[0] (\"A=B\") is invalid: the name of a variable must not contain '='"
                .to_owned(),
        ),
    ] {
        let run = Setup::new()
            .prelude(format!("exec \"$0\" {arguments}"))
            .launch(json!({"command": "echo x >> order"}));
        check(&run, &message);
        let log = run.sandbox.read("executor.log");
        assert!(!log.contains("secret"), "{log}");
    }
    let run = Setup::new().prelude("exec \"$0\" ' '").start();
    run.agent.launch(task(&run, None));
    check(
        &run,
        "the command in the executor's arguments must not be blank",
    );
}

#[test]
fn a_second_task_is_refused_while_the_first_continues() {
    let run = Run::start(json!({"command": wait_for_word("go")}));
    run.wait_for(TaskState::Running);
    run.launch("task-2", &json!({"command": "echo second >> order"}));
    run.wait_until("the refusal of task-2", |journal| {
        journal.terminal_of("task-2").is_some()
    });
    run.agent.inspect(|journal| {
        let refused = journal.terminal_of("task-2").expect("waited for above");
        assert_eq!(refused.state(), TaskState::Error);
        let message = "cook-executor runs one task, and has one already";
        assert_eq!(refused.message.as_deref(), Some(message));
        assert_eq!(journal.terminal_of(TASK), None);
    });
    run.say("go");
    assert_eq!(run.finish().state, TaskState::Finished);
    assert_eq!(run.order(), ["go"]);
}

#[test]
fn a_group_of_two_tasks_is_refused_for_both() {
    let run = Setup::new().start();
    let job = json!({"command": "echo x >> order"});
    let tasks = [TASK, "task-2"].map(|task_id| run.task(task_id, &job));
    run.agent.launch_group(tasks.to_vec());
    let message = "cook-executor runs one task; this group has several";
    check(&run, message);
    run.agent.inspect(|journal| {
        let refused = journal.terminal_of("task-2").expect("both are refused");
        assert_eq!(refused.state(), TaskState::Error);
        assert_eq!(refused.message.as_deref(), Some(message));
    });
}

//! The environment: what commands get, what a job can and cannot change, and that none of it changes the
//! executor itself.

use std::os::fd::AsRawFd;

use crate::support::executor::program;
use crate::support::{Run, Setup, TASK, hook};
use cook_mesos::messages::{
    CommandInfo, Environment, TaskInfo,
    TaskState::{Failed, Finished},
    Variable,
};
use cook_test_agent::events;
use serde_json::json;

/// Appends the value of a variable to `seen`, or `unset`.
fn show(name: &str) -> String {
    format!("echo \"{name}=${{{name}-unset}}\" >> seen")
}

fn show_all(names: &[&str]) -> String {
    let lines: Vec<String> = names.iter().map(|name| show(name)).collect();
    lines.join("\n")
}

/// A task with this command and these variables of its own.
fn task(run: &Run, command: &str, variables: &[(&str, &str)]) -> TaskInfo {
    let variables = variables.iter().map(|(name, value)| Variable {
        name: (*name).into(),
        value: Some((*value).into()),
        kind: None,
    });
    let mut task = events::command_task(TASK, &run.agent.config().agent_id, command);
    task.command = Some(CommandInfo {
        environment: Some(Environment {
            variables: variables.collect(),
        }),
        ..task.command.unwrap_or_default()
    });
    task
}

const FOR_COMMANDS: [&str; 7] = [
    "EXECUTOR_ENDPOINT",
    "EXECUTOR_BIN",
    "EXECUTOR_PHASE",
    "EXECUTOR_TASK_STATE",
    "EXECUTOR_EXIT_CODE",
    "EXECUTOR_OF",
    "MESOS_ALLOCATION_ROLE",
];

#[test]
fn variables_that_the_executor_sets_override_all_others() {
    let outside = FOR_COMMANDS.map(|name| (name, "from outside"));
    let of_the_executor = || {
        let setup = Setup::new();
        outside
            .iter()
            .fold(setup, |setup, (name, value)| setup.variable(name, value))
    };
    let both = format!(
        "{}\ntest \"$EXECUTOR_PHASE\" = command",
        show_all(&FOR_COMMANDS)
    );
    let runs = [
        {
            let run = of_the_executor().start();
            run.agent.launch(task(&run, &both, &[]));
            run
        },
        {
            let run = Setup::new().start();
            run.agent.launch(task(&run, &both, &outside));
            run
        },
    ];
    for run in runs {
        assert_eq!(run.finish().state, Finished, "{}", run.transcript());
        let seen = run.sandbox.read("seen");
        assert!(!seen.contains("from outside"), "{seen}");
        assert!(
            seen.contains("EXECUTOR_OF=framework-1/executor-1\n"),
            "{seen}"
        );
        assert!(seen.contains("EXECUTOR_ENDPOINT=http://127."), "{seen}");
        let log = run.sandbox.read("executor.log");
        let line = format!(
            "ignored the given value of {}: the executor sets it for commands",
            FOR_COMMANDS.join(", ")
        );
        assert!(log.contains(&line), "{log}");
        assert!(!log.contains("from outside"), "{log}");
    }
}

#[test]
fn no_variable_of_a_job_selects_what_the_program_does() {
    for (name, value) in [
        ("EXECUTOR_PHASE", "command"),
        ("EXECUTOR_PHASE", ""),
        ("EXECUTOR_OF", "framework-1/executor-0"),
        ("EXECUTOR_OF", "framework-1"),
        ("EXECUTOR_OF", ""),
        ("EXECUTOR_BIN", "/bin/true"),
        ("EXECUTOR_TASK_STATE", "TASK_FINISHED"),
        ("EXECUTOR_ENDPOINT", "http://127.0.0.1:1/task/other"),
    ] {
        let run = Setup::new()
            .variable(name, value)
            .launch(json!({"command": "echo ran >> order"}));
        assert_eq!(run.finish().state, Finished, "{name}={value}");
        assert_eq!(run.order(), ["ran"]);
    }
}

#[test]
fn an_executor_that_is_started_by_its_own_task_exits_with_a_text() {
    let run = Run::start(json!({"command": r#"
        for words in "" "sleep 5" "patch progress" "--launcher_dir=/x"; do
            "$EXECUTOR_BIN" $words 2>> err; echo $? >> codes
        done
        EXECUTOR_OF= EXECUTOR_PHASE= MESOS_FRAMEWORK_ID= "$EXECUTOR_BIN" 2>> err; echo $? >> codes"#}));
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    assert_eq!(run.lines("codes"), ["2", "2", "2", "2", "1"]);
    let text = "cook-executor: this is a command of a task; the arguments must be get, or patch '{\"progress\": 10}'";
    assert_eq!(run.lines("err")[..4], [text; 4]);
}

#[test]
fn commands_get_settings_but_neither_hooks_nor_the_token() {
    let names = [
        "EXECUTOR_BEFORE_COMMANDS",
        "EXECUTOR_AFTER_COMMANDS",
        "EXECUTOR_DEFAULT_BEFORE_COMMANDS",
        "EXECUTOR_DEFAULT_AFTER_COMMANDS",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
        "EXECUTOR_LOG_LEVEL",
    ];
    let hooks = r#"[{"value": "echo hook >> order"}]"#;
    let setup = names[..4]
        .iter()
        .fold(Setup::new(), |setup, name| setup.variable(name, hooks));
    let run = setup
        .variable("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "token")
        .variable(
            "EXECUTOR_RESET_VARS",
            "EXECUTOR_BEFORE_COMMANDS,MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
        )
        .variable("EXECUTOR_LOG_LEVEL", "DEBUG")
        .launch(json!({"command": show_all(&names)}));
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["hook"; 4]);
    let mut wanted: Vec<String> = names.iter().map(|name| format!("{name}=unset")).collect();
    wanted[5] = "EXECUTOR_LOG_LEVEL=DEBUG".to_owned();
    assert_eq!(run.lines("seen"), wanted);
}

#[test]
fn a_tasks_own_environment_may_contain_its_hooks_but_not_the_operators() {
    let hooks = |word: &str| format!(r#"[{{"value": "echo {word} >> order"}}]"#);
    let run = Setup::new()
        .variable("EXECUTOR_BEFORE_COMMANDS", &hooks("hidden"))
        .variable("EXECUTOR_DEFAULT_AFTER_COMMANDS", &hooks("operator"))
        .start();
    let task = task(
        &run,
        &format!("echo main >> order; {}", show("EXECUTOR_BEFORE_COMMANDS")),
        &[
            ("EXECUTOR_BEFORE_COMMANDS", &hooks("before")),
            ("EXECUTOR_AFTER_COMMANDS", &hooks("after")),
            ("EXECUTOR_DEFAULT_AFTER_COMMANDS", &hooks("forged")),
            ("EXECUTOR_LOG_LEVEL", "DEBUG"),
        ],
    );
    run.agent.launch(task);
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    assert_eq!(run.order(), ["before", "main", "after", "operator"]);
    assert_eq!(run.lines("seen"), ["EXECUTOR_BEFORE_COMMANDS=unset"]);
    let log = run.sandbox.read("executor.log");
    for line in [
        "\"EXECUTOR_DEFAULT_AFTER_COMMANDS\" of the task's environment is ignored: only the executor's own \
         environment has the operator's hooks",
        "\"EXECUTOR_LOG_LEVEL\" of the task's environment has no effect, because the executor reads it only \
         at its start",
    ] {
        assert!(log.contains(line), "{log}");
    }
}

/// The agent's isolators pass variables, including secrets, in a flag.
#[test]
fn the_agents_task_environment_overrides_the_executors_and_not_the_commands() {
    let json = r#"{"variables": [
        {"name": "A", "type": "VALUE", "value": "flag"}, {"name": "B", "value": "flag"},
        {"name": "C", "type": "SECRET", "secret": {"type": "REFERENCE"}},
        {"name": "EXECUTOR_AFTER_COMMANDS", "value": "[{\"value\": \"echo after >> order\"}]"}]}"#;
    for form in ["--task_environment=", "--task_environment "] {
        let run = Setup::new()
            .variable("A", "executor")
            .variable("B", "executor")
            .variable("C", "executor")
            .variable("D", "executor")
            .prelude(format!("exec \"$0\" --launcher_dir=/x {form}'{json}'"))
            .start();
        let names = ["A", "B", "C", "D"];
        run.agent
            .launch(task(&run, &show_all(&names), &[("B", "command")]));
        assert_eq!(run.finish().state, Finished, "{}", run.transcript());
        let wanted = ["A=flag", "B=command", "C=executor", "D=executor"];
        assert_eq!(run.lines("seen"), wanted);
        assert_eq!(run.order(), ["after"]);
        let log = run.sandbox.read("executor.log");
        assert!(
            log.contains("the agent has not resolved the secret \"C\""),
            "{log}"
        );
    }
}

/// Runs this as the task's command. The function `p` in it sends a PATCH and records its status.
fn patching(setup: Setup, commands: &str) -> Run {
    let patch = "p() { curl -s -o answer -w '%{http_code}\\n' -X PATCH -d \"$1\" $EXECUTOR_ENDPOINT >> codes; \
                 cat answer >> answers; : > answer; }";
    let run = setup.launch(
        json!({"command": format!("{patch}\n{commands}"), "after_commands": [hook("env > later")]}),
    );
    assert_eq!(run.finish().state, Finished, "{}", run.transcript());
    run
}

#[test]
fn a_patch_of_a_protected_variable_is_refused_as_a_whole() {
    let run = patching(
        Setup::new().variable("EXECUTOR_LOG_LEVEL", "INFO"),
        r#"
        p '{env: {EXECUTOR_ENDPOINT: null, A: "1"}}'
        p '{env: {EXECUTOR_BIN: "x"}, progress: 10}'
        p '{env: {EXECUTOR_PHASE: "z"}}'
        p '{env: {EXECUTOR_OF: ""}}'
        p '{env: {MESOS_ALLOCATION_ROLE: "*"}}'
        p '{env: {EXECUTOR_PROGRESS_OUTPUT_FILE: "x"}}'
        p '{env: {EXECUTOR_LOG_LEVEL: "DEBUG"}}'
        p '{env: {EXECUTOR_RESET_VARS: "A"}}'
        p "{env: {EXECUTOR_ENDPOINT: '$EXECUTOR_ENDPOINT', EXECUTOR_BIN: '$EXECUTOR_BIN', EXECUTOR_PHASE: 'command'}}"
        p "{env: {EXECUTOR_EXIT_CODE: null, EXECUTOR_LOG_LEVEL: 'INFO', EXECUTOR_OF: '$EXECUTOR_OF'}}"
        p '{env: {B: "2"}}'"#,
    );
    let codes = [["400"; 8].as_slice(), &["204"; 3]].concat();
    assert_eq!(run.lines("codes"), codes);
    let answers = run.lines("answers");
    let set = |name: &str| {
        format!(
            r#"{{"error":"\"env\": \"{name}\": the executor sets it for commands, and it cannot be changed; nothing was changed"}}"#
        )
    };
    let read = |name: &str| {
        format!(
            r#"{{"error":"\"env\": \"{name}\": the executor reads this variable only at its start; nothing was changed"}}"#
        )
    };
    assert_eq!(
        answers,
        [
            set("EXECUTOR_ENDPOINT"),
            set("EXECUTOR_BIN"),
            set("EXECUTOR_PHASE"),
            set("EXECUTOR_OF"),
            set("MESOS_ALLOCATION_ROLE"),
            set("EXECUTOR_PROGRESS_OUTPUT_FILE"),
            read("EXECUTOR_LOG_LEVEL"),
            read("EXECUTOR_RESET_VARS"),
        ]
    );
    let later = run.lines("later");
    let has = |line: &str| later.iter().any(|it| it == line);
    assert!(
        has("B=2") && !has("A=1") && has("EXECUTOR_LOG_LEVEL=INFO"),
        "{later:?}"
    );
}

/// Nobody listens at this proxy, so a request through it fails.
#[test]
fn requests_to_the_task_api_bypass_the_proxies_of_a_job() {
    for (name, value) in [
        ("http_proxy", "http://127.0.0.1:1"),
        ("all_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ] {
        let run = patching(
            Setup::new()
                .variable(name, value)
                .variable("NO_PROXY", "internal.example"),
            r#"p '{progress: 10}'; p '{env: {http_proxy: "http://127.0.0.1:1", no_proxy: "a.example"}}'"#,
        );
        assert_eq!(run.lines("codes"), ["204", "204"], "{name}");
        let later = run.sandbox.read("later");
        let line = |name: &str| {
            let mut lines = later.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        assert_eq!(line("no_proxy"), "a.example,127.0.0.1,localhost", "{later}");
        assert_eq!(
            line("NO_PROXY"),
            "internal.example,127.0.0.1,localhost",
            "{later}"
        );
        assert_eq!(line(name), value);
    }
    let run = patching(Setup::new().variable("no_proxy", "x"), "p '{}'");
    let later = run.lines("later");
    assert!(later.iter().any(|line| line == "no_proxy=x"), "{later:?}");
    assert!(
        !later.iter().any(|line| line.starts_with("NO_PROXY")),
        "{later:?}"
    );
}

/// Uses the client before and after something happens to the program's file.
fn run_the_client_around(setup: Setup, event: &str) -> Run {
    let get = r#""$EXECUTOR_BIN" get >> views && echo "$EXECUTOR_BIN" >> order || exit 9"#;
    let run = setup.launch_observed(json!({
        "before_commands": [{"value": get, "guard": true}],
        "command": format!("{event}\nexit 0"),
        "after_commands": [{"value": get, "guard": true}],
    }));
    let ended = run.finish_alone();
    assert_eq!(ended.state, Finished, "{}", run.transcript());
    assert_eq!(run.lines("views").len(), 2);
    run
}

#[test]
fn commands_find_this_program_after_its_file_was_changed() {
    let copy = "cp \"$0\" program; chmod +x program";
    for event in [
        "rm program",
        "mv program moved",
        "rm program; echo '#!/bin/false' > program; chmod +x program",
        "chmod -x program",
        "rm program; mkdir program",
        "rm program; ln -s /bin/false program; touch .cook-executor",
    ] {
        let setup = Setup::new().prelude(format!("{copy}; exec ./program"));
        let run = run_the_client_around(setup, event);
        let paths = run.order();
        let sandbox = run.sandbox.path();
        assert_eq!(paths[0], sandbox.join("program").display().to_string());
        assert!(
            paths[1].starts_with(&*sandbox.join(".cook-executor").to_string_lossy()),
            "{paths:?}"
        );
        assert!(
            !std::path::Path::new(&paths[1]).exists(),
            "{event}: the copy is left"
        );
    }
}

#[test]
fn commands_find_this_program_if_it_has_no_file() {
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("cook-executor", flags).expect("a memory file");
    let mut file = std::fs::File::from(memory);
    let mut program = std::fs::File::open(program()).expect("built");
    std::io::copy(&mut program, &mut file).expect("there is room");
    let seals =
        rustix::fs::SealFlags::SEAL | rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::SHRINK;
    rustix::fs::fcntl_add_seals(&file, seals | rustix::fs::SealFlags::GROW).expect("sealed");
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    for before in ["", "mkdir .cook-executor .cook-executor-1; "] {
        let setup = Setup::new().prelude(format!("{before}exec {path}"));
        let run = run_the_client_around(setup, ":");
        let paths = run.order();
        assert_eq!(paths[0], paths[1]);
        assert!(
            paths[0].starts_with(&*run.sandbox.path().to_string_lossy()),
            "{paths:?}"
        );
    }
}

/// What a shell line may begin with.
#[test]
fn a_command_that_begins_with_a_hyphen_is_a_command() {
    for command in ["-mytool --flag", "--version", "-", "--"] {
        let run = Run::start(json!({"command": command}));
        let ended = run.finish();
        assert_eq!(ended.state, Failed, "{command}");
        assert_eq!(
            ended.exit_code(),
            Some(127),
            "{command}: {}",
            run.transcript()
        );
    }
    let run = Run::start(json!({"command": "true", "before_commands": [hook("-x -c 'exit 0'")]}));
    assert_eq!(run.finish().codes("before_codes"), [Some(127)]);
}
